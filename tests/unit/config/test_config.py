"""The configuration: one definition, errors that name the key, slices that hold exactly what a rule depends on."""

import pytest
import yaml

from homing.config import configuration, reference, slices
from homing.errors import HomingError
from homing.sources import table

CONFIG = configuration.FOLDER


def preset(name: str) -> dict:
    return yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))


def test_shipped_configuration_is_what_the_schema_gives():
    assert reference.main(["--check"]) == 0
    assert preset("config.yaml") == configuration.defaults()


def every_key(node: dict, name: str = ""):
    """Name and definition of every key and section below a node of the schema."""
    for key, child in node["properties"].items():
        child = configuration.dereference(child)
        yield f"{name}{key}", child
        if not reference.leaf(child):
            yield from every_key(child, f"{name}{key}.")


KEYS = list(every_key(configuration.schema()))
NESTED = [found for kind in ("raster", "dataset") for found in every_key(configuration.schema()["$defs"][kind])]


def test_every_key_has_a_description_a_default_and_a_unit():
    assert len(KEYS) > 100
    for name, node in KEYS + NESTED:
        assert node.get("description", "").endswith("."), f"{name}: no description"
        types = [] if "enum" in node else [node.get("type"), node.get("items", {}).get("type")]
        flat = {one for kind in types for one in (kind if isinstance(kind, list) else [kind])}
        if flat & {"integer", "number"}:
            assert node.get("unit"), f"{name}: no unit (`none` where it has none)"
    assert [name for name, node in KEYS if reference.leaf(node) and "default" not in node] == []


def test_the_page_of_the_configuration_tells_every_key():
    leaves = [name for name, node in KEYS + NESTED if reference.leaf(node)]
    page = reference.configuration_page()
    assert page.count("\n| `") == len(leaves)
    for name in leaves:
        assert f"| `{name.split('.')[-1]}` |" in page


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_every_preset_is_valid_and_its_sources_exist(path):
    if path.name == "schema.yaml":
        pytest.skip("the definition itself")
    config = configuration.resolve(preset(path.name))
    sources = table.read_sources(CONFIG / "sources.csv")
    for source in configuration.used_sources(config):
        assert table.source_rows(sources, source)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"sed": 3}, ["'sed'", "did you mean 'seed'"]),
        ({"geocells": {"min_photo": 3}}, ["'geocells.min_photo'", "'min_photos'"]),
        ({"finetune": {"weights": {"climat": 1}}}, ["'finetune.weights.climat'", "'climate'"]),
        ({"seed": "twelve"}, ["seed", "'twelve'", "integer"]),
        ({"splits": {"method": "randm"}}, ["splits.method", "'random'", "'regions'"]),
        ({"splits": {"test_share": 0.9}}, ["splits.test_share", "less than 0.5"]),
        ({"finetune": {"tau_km": 0}}, ["finetune.tau_km", "more than 0"]),
        ({"geocells": {"min_photos": 90, "max_photos": 60}}, ["geocells.min_photos", "max_photos"]),
        ({"run_dataset": "mp16"}, ["run_dataset", "'mp16'", "toy"]),
        ({"evaluate": {"benchmarks": ["ground"]}}, ["'ground'", "toy"]),
        ({"model": {"image_side": 60, "patch": 16}}, ["model.image_side", "model.patch"]),
        ({"model": {"pretrained": "openai/clip-vit-large-patch14"}}, ["model.revision"]),
        ({"variants": {"other": {"labels": {}}}}, ["variants.other.labels", "seed"]),
        ({"variants": {"other": {"refine": {"top": 3}}}}, ["variants.other.refine.top", "top_cells"]),
        ({"datasets": {"Mine": {"adapter": "csv_folder", "table": "x.csv"}}}, ["datasets.Mine", "small letters"]),
        ({"datasets": {"mine": {"adapter": "csv_folder"}}}, ["datasets.mine", "'table'"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key_and_the_cure(given, expected):
    with pytest.raises(HomingError) as caught:
        configuration.resolve(given)
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


def test_a_source_that_is_not_listed_names_the_near_ones():
    sources = table.read_sources(CONFIG / "sources.csv")
    with pytest.raises(HomingError, match="koppen/2023_V3"):
        table.source_rows(sources, "koppen/2023_V4")


def test_choosing_another_version_of_a_source_is_one_key():
    sources = table.read_sources(CONFIG / "sources.csv")
    config = configuration.resolve({"labels": {"climate": {"source": "koppen/2018_V1"}}, "seed": 4})
    labels = configuration.with_members(config["labels"], sources)
    assert labels["climate"] == {
        "source": "koppen/2018_V1", "nearest_km": 50, "member": "Beck_KG_V1_present_0p0083.tif"
    }  # fmt: skip
    given = {"temperature": {"source": "worldclim_tavg/2.1_30s"}, "population": {"source": "ghs_pop/R2023A_4326_30ss"}}
    labels = configuration.with_members(configuration.resolve({"labels": given})["labels"], sources)
    assert labels["temperature"]["member"] == "wc2.1_30s_tavg_{month:02d}.tif"
    assert labels["population"]["unit"] == "count" and labels["population"]["member"].endswith("30ss_V1_0.tif")
    assert config["seed"] == 4


def test_a_member_of_ones_own_stays_until_the_source_changes():
    own = configuration.merge({"source": "koppen/2023_V3", "member": "own.tif"}, {"nearest_km": 5})
    assert own["member"] == "own.tif"
    assert "member" not in configuration.merge(own, {"source": "koppen/2018_V1"})


def test_a_slice_holds_the_variants_values_and_nothing_that_only_sizes_the_job():
    config = configuration.resolve({"variants": {"seeded": {"seed": 77}}, "pretrain": {"nodes": 2}})
    assert slices.slice_of(config, ["seed"], run="seeded") == {"seed": 77}
    assert slices.slice_of(config, ["seed"], run="demo") == {"seed": 20}
    one_node = configuration.resolve({})
    assert slices.slice_of(config, ["pretrain"]) == slices.slice_of(one_node, ["pretrain"])
    assert configuration.runs(config) == ["demo", "seeded"]


def test_dotted_keys_take_what_they_name_and_nest_it_as_the_configuration_does():
    config = configuration.resolve({})
    keys = ["refine.top_cells", "labels.boundaries.nearest_km", "seed"]
    expected = {"refine": {"top_cells": 5}, "labels": {"boundaries": {"nearest_km": 100}}, "seed": 20}
    assert slices.slice_of(config, keys, run="demo") == expected
    with pytest.raises(KeyError):
        slices.slice_of(config, ["refine.top_cell"])


@pytest.mark.parametrize(
    ("section", "given", "counting", "idle"),
    [
        ("splits", {}, {"test_share", "val_share"}, {"regions", "buffer_km", "distance_km", "block_km"}),
        ("splits", {"method": "distance"}, {"distance_km", "block_km", "test_share"}, {"regions", "buffer_km"}),
        ("splits", {"method": "regions", "regions": ["0,0,9,9"]}, {"regions", "buffer_km"}, {"test_share", "block_km"}),
        ("geocells", {}, {"optics", "max_radius_km", "min_photos"}, {"h3_resolution", "s2_level", "levels"}),
        ("geocells", {"method": "h3"}, {"h3_resolution", "min_photos"}, {"optics", "levels", "admin_level"}),
        ("pretrain", {"enabled": False}, {"enabled"}, {"learning_rate", "epochs"}),
        ("model", {"pretrained": "./folder"}, {"pooling", "pretrained"}, {"width", "layers", "vocabulary"}),
        ("finetune", {"trainable": "last"}, {"last_layers"}, {"nodes", "micro_batch"}),
        ("refine", {"readout": ["mode"]}, {"mode_radius_km"}, {"score_radius_km"}),
    ],
)
def test_keys_of_a_method_count_only_where_it_is_chosen(section, given, counting, idle):
    kept = set(slices.slice_of(configuration.resolve({section: given}), [section])[section])
    assert counting <= kept and not idle & kept


def test_keys_of_further_methods_count_where_they_are_compared():
    config = configuration.resolve({})
    assert slices.slice_of(config, ["geocells.s2_level"]) == {"geocells": {}}
    assert slices.slice_of(config, ["geocells.s2_level"], methods=["s2"]) == {"geocells": {"s2_level": 13}}


def test_every_condition_of_the_schema_names_a_key_of_its_section_and_possible_values():
    def sections(node):
        node = configuration.dereference(node)
        if "properties" in node:
            yield node
            for child in node["properties"].values():
                yield from sections(child)

    for section in sections(configuration.schema()):
        for node in [section, *map(configuration.dereference, section["properties"].values())]:
            for key, values in node.get("only", {}).items():
                home = section if key in section["properties"] else node
                choice = configuration.dereference(home["properties"][key])
                allowed = choice.get("enum") or choice.get("items", {}).get("enum")
                assert allowed is None or set(values) <= set(allowed), (key, values)


def test_the_mirror_placeholder_needs_a_mirror():
    assert configuration.expand_path({"mirror": "m"}, "{mirror}/a.csv") == "m/a.csv"
    with pytest.raises(HomingError, match="mirror"):
        configuration.expand_path({"mirror": None}, "{mirror}/a.csv")
