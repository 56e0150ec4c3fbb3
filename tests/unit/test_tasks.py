"""The eight tasks: what else must name them, in files that cannot import them."""

import numpy as np
import pytest
import torch
import yaml

from homing import tables
from homing.model.heads import GeoHeads
from homing.shipped import ROOT
from homing.tasks import REGRESSIONS, TASKS, TRANSFORMS


def test_the_configuration_weighs_every_task():
    schema = yaml.safe_load((ROOT / "config/schema.yaml").read_text(encoding="utf-8"))
    weights = schema["properties"]["finetune"]["properties"]["weights"]["properties"]
    assert set(weights) == {"cell", "hierarchy", *TASKS}


def test_every_class_and_value_has_a_label_and_every_task_a_prediction():
    for task in TASKS.values():
        for column in task.columns:
            assert column in tables.SCHEMAS["tasks"].names
            assert column in tables.SCHEMAS["photos" if task.kind == "coordinate" else "labels"].names


def test_the_heads_answer_every_task():
    outputs = GeoHeads(4, 3)(torch.zeros(2, 4))
    assert outputs["regression"].shape == (2, len(REGRESSIONS))
    for name, task in TASKS.items():
        if task.kind != "value":
            assert outputs[name].shape == ((2, task.classes) if task.kind == "class" else (2,))


@pytest.mark.parametrize(("name", "least"), [("linear", -60.0), ("log", 0.0), ("log_500", -430.0)])
def test_transforms_grow_and_are_inverted(name, least):
    values = np.linspace(least, 8000, 1000)
    transform, inverse = TRANSFORMS[name]
    assert (np.diff(transform(values)) > 0).all()
    np.testing.assert_allclose(inverse(transform(values)), values, rtol=1e-12, atol=1e-9)
