"""The workflow can be planned for every configuration, quickly, and says beforehand what it will download."""

import re

import pytest
from checkout import ROOT, copy_repository, planned_rules, snakemake

pytestmark = pytest.mark.workflow

PRESETS = sorted(
    path.name for path in (ROOT / "config").glob("*.yaml") if path.stem not in ("config", "schema", "open")
)
STAGES = {"label_photos", "make_geocells", "report_geocells", "pretrain_clip", "finetune_geolocator", "make_report"}
RETRIEVED = {
    "pigeotto.yaml": {"gadm_levels/4.1": (1, "~1.4"), "mp16pro/": (20, "~371.5"), "clip_l14_336/": (8, "1.7")},
    "osv5m.yaml": {"osv5m/": (105, "~250.2"), "koppen/2023_V3": (1, "0.131"), "worldpop/2020_1km": (1, "0.870")},
    "osv_mini.yaml": {"osv_mini/1": (1, "?"), "clip_b32/": (8, "~0.606")},
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy with a table and folders of a user's own photos, which some presets name."""
    folder = copy_repository(tmp_path_factory.mktemp("plans"))
    for name in ("my_photos/photos.csv", "panoramas/panoramas.csv"):
        (folder / name).parent.mkdir()
        (folder / name).touch()
    return folder


def config_of(name: str, request) -> list[str]:
    mirror = f"mirror={request.getfixturevalue('sample_data')}" if name == "sample.yaml" else "seed=20"
    return ["--configfile", f"config/{name}", "--config", mirror]


@pytest.mark.parametrize("name", ["config.yaml", *PRESETS])
def test_every_stage_is_planned(request, checkout, name):
    planned = planned_rules(checkout, *config_of(name, request))
    assert {"retrieve_file", "list_photos", "import_photos"} | STAGES <= planned
    assert ("find_leaks" in planned) == (name in ("pigeotto.yaml", "sample.yaml"))


def test_a_profile_of_gpus_stands_beside_that_of_the_site(checkout):
    profiles = sorted((ROOT / "profiles/gpus").glob("*.yaml"))
    assert len(profiles) == 3
    for profile in profiles:
        assert planned_rules(checkout, "--profile", profile) >= STAGES


@pytest.mark.parametrize("name", RETRIEVED)
def test_files_volumes_and_licences_are_listed_beforehand(request, checkout, name):
    listed = snakemake(checkout, "retrieve", "--dry-run", *config_of(name, request)).stdout
    for source, (files, gigabytes) in RETRIEVED[name].items():
        assert re.search(rf"^{re.escape(source)}\S* +{files} +{re.escape(gigabytes)} ", listed, re.M), source
    assert re.search(
        r"^gadm_levels/4.1 .*GADM \(non-commercial; no redistribution\) +\[not accepted yet\]$", listed, re.M
    )
    wanted = "gadm_levels, mp16pro" if name == "pigeotto.yaml" else "gadm_levels"
    assert f"licences to read, then: accept_licences: [{wanted}]" in listed


def test_open_data_laid_over_a_preset_needs_no_acceptance(checkout):
    over = ["--configfile", "config/osv5m.yaml", "config/open.yaml"]
    listed = snakemake(checkout, "retrieve", "--dry-run", *over).stdout
    assert "licences to read" not in listed and not re.search(r"^(gadm|worldclim)", listed, re.M)
    assert re.search(r"^cgaz/8d1f491a\S+ +3 +0.548 ", listed, re.M)


def test_nothing_that_is_fitted_waits_for_a_test_photos_prediction(checkout, request):
    """With benchmarks too: of all photo sets, validation alone is predicted before temperatures and gates are known."""
    fitted = [f"results/runs/sample/{name}" for name in ("calibration.json", "refine.json")]
    listed = snakemake(checkout, "--dry-run", *config_of("sample.yaml", request), "--", *fitted).stdout
    assert set(re.findall(r"predictions/(\w+)/", listed)) == {"val"}
    assert not re.search("evaluate_predictions|/metrics/|embeddings/[^ ]*/ground/", listed)
