"""Every place that names readouts takes them from one declaration."""

import numpy as np

from homing import readouts
from homing.config.configuration import schema
from homing.evaluate.summary import PREFIXES
from homing.refine.readout import further_readouts
from homing.refine.search import Candidates
from homing.report.charts import COLOURS


def test_each_readout_is_declared_once_and_by_one_rule():
    assert len(set(readouts.NAMES)) == len(readouts.READOUTS) == 9
    rules = dict.fromkeys(readout.rule for readout in readouts.READOUTS)
    assert sorted(name for rule in rules for name in readouts.written_by(rule)) == sorted(readouts.NAMES)
    assert readouts.written_by("predict_photos") == (readouts.CLASSIFIER,)
    assert readouts.written_by("refine_predictions") == (readouts.ANSWER,)


def test_the_configuration_offers_the_readouts_that_its_rule_writes():
    key = schema()["properties"]["refine"]["properties"]["readout"]
    assert tuple(key["items"]["enum"]) == tuple(key["default"]) == readouts.FURTHER


def test_summary_and_charts_name_readouts_that_exist():
    assert set(PREFIXES) <= set(readouts.NAMES) and set(COLOURS) <= set(readouts.NAMES)


def test_the_refinement_computes_what_its_rule_writes():
    computed = further_readouts(Candidates(*np.ones((4, 1, 1))), {}, dict, list)
    assert tuple(computed) == readouts.FURTHER
