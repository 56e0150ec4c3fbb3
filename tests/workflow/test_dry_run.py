"""The workflow can be planned for every configuration, quickly."""

import pytest
from checkout import copy_repository, planned_rules

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("name", ["config.yaml", "sample.yaml", "pigeotto.yaml"])
def test_every_stage_is_planned(request, tmp_path, name):
    folder = copy_repository(tmp_path)
    mirror = f"mirror={request.getfixturevalue('sample_data')}" if name == "sample.yaml" else "seed=20"
    planned = planned_rules(folder, "--configfile", f"config/{name}", "--config", mirror)
    assert {
        "retrieve_file",
        "label_photos",
        "make_geocells",
        "pretrain_clip",
        "finetune_geolocator",
        "make_report",
    } <= planned
