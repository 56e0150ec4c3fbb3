"""The guides are true: every command runs, on small data in upstream's layout; links and quoted messages exist."""

import re

import guides
import pytest
import upstream
import yaml
from checkout import ROOT

from homing.toyplanet.world import World

pytestmark = pytest.mark.workflow

# What makes a run small; the data sets' own floors (bytes of a photo) are for real photos.
SMALL = {
    "geocells": {"min_photos": 5, "max_photos": 20, "optics": [[4, 0.05]]},
    "compare_geocells": ["kmeans", "admin"],
    "pretrain": {"epochs": 1, "global_batch": 64, "processes_per_node": 1, "gpus_per_node": 0, "mixed_precision": "no"},
    "embed": {"mixed_precision": "no"},
    "finetune": {"epochs": 1, "global_batch": 64, "processes_per_node": 1, "gpus_per_node": 0, "mixed_precision": "no"},
    "refine": {"top_cells": 5, "optics": [3, 0.15]},
    "max_rejected_share": 0.5,
}
OWN = {
    "osv_mini": {"datasets": {"osv_mini": {"parts": 1}}},
    "pigeotto": {
        "datasets": {"mp16": {"min_bytes": 0, "parts": 2}},
        "evaluate": {"benchmarks": []},
        "splits": {"val_share": 0.3, "test_share": 0.3},
    },
    "osv5m": {"datasets": {"osv5m": {"parts": 1}}, "splits": {"val_share": 0.2}},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A fresh clone with a mirror of upstream, and the photos a reader would bring along."""
    folder = guides.checkout(tmp_path_factory.mktemp("guides"))
    upstream.write_mirror(folder / "mirror")
    world = World(seed=2, countries=5)
    upstream.photo_folder(world, folder / "my_photos")
    upstream.photo_folder(world, folder / "panoramas", views=4)
    upstream.encoder(folder / "encoders/mine")
    return folder


# Guides of one group share downloads in one checkout; the two groups run side by side.
GROUPS = {"public": ["osv_mini", "pigeotto", "osv5m"], "own": ["my_photos", "region", "encoder", "cluster"]}


@pytest.mark.guides
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(group), id=name)
        for group, names in GROUPS.items()
        for name in names
    ],
)
def test_every_command_of_the_guide_runs(checkout, name):
    fixture = SMALL | {"mirror": str(checkout / "mirror")} | OWN.get(name, {})
    guides.follow(guides.GUIDES / f"{name}.md", checkout, fixture)


PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_yaml_is_yaml(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", guides.BLOCK.sub("", text)):
        assert (page.parent / link).exists(), link
    for language, block in guides.BLOCK.findall(text):
        if language == "yaml":
            assert yaml.safe_load(block), block


def test_quoted_messages_are_those_of_the_code():
    """Each is found in the code, where it may go over several lines; Snakemake's and SLURM's own are not ours."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in files))
    text = (guides.GUIDES / "errors.md").read_text(encoding="utf-8").split("## SLURM")[0]
    quoted = re.findall(r"^\*\*`([^`]+)`\*\* (?!\(Snakemake\))", text, re.M)
    assert len(quoted) >= 16
    for message in quoted:
        assert message in code, message
