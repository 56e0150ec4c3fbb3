"""Captions tell what the labels say, as often as the configuration says."""

import numpy as np
import pandas as pd
import pytest
import torch

from homing.captions.clues import location, season, with_article, write_clues
from homing.captions.sampling import EMPTY, sample_captions
from homing.training.pretrain import Candidates

SETTINGS = {
    "location": 1, "climate": 0.45, "driving_side": 0.2, "month": 0.2, "season": 0.1, "heading": 0.2,
    "drop_location": 0.2,
}  # fmt: skip


def test_the_papers_example():
    text = location("South Africa", "Gauteng", None)
    assert text == "A photo I took in the region of Gauteng in South Africa."
    assert location("France", "Brittany", "Auray").startswith("A photo I took close to the town of Auray in the region")
    assert location(None, None, None) is None


@pytest.mark.parametrize(
    ("country", "told"),
    [
        ("Netherlands", "the Netherlands"), ("United States", "the United States"), ("Norway", "Norway"),
        ("Philippines", "the Philippines"), ("Czech Republic", "the Czech Republic"), ("The Gambia", "The Gambia"),
        ("Marshall Islands", "the Marshall Islands"),
    ],
)  # fmt: skip
def test_articles(country, told):
    assert with_article(country) == told


def test_seasons_turn_with_the_hemisphere():
    assert "winter" in season(1, 50) and "summer" in season(1, -30)
    assert "autumn" in season(10, 50) and "spring" in season(10, -30)


@pytest.fixture
def clues() -> pd.DataFrame:
    count = 4000
    ids = [f"p{number}" for number in range(count)]
    photos = pd.DataFrame({"photo_id": ids, "latitude": 50.0, "heading_deg": 91.0})
    labels = pd.DataFrame(
        {"photo_id": ids, "country_name": "Norway", "region": "Oslo", "town": None, "climate": 26,
         "drives_on_left": False, "month": 7},
        dtype=object,
    )  # fmt: skip
    labels.loc[0, ["country_name", "region", "climate", "drives_on_left", "month"]] = None
    return write_clues(photos, labels)


def share(captions, words: str) -> float:
    return float(np.mean([words in caption for caption in captions]))


def test_clues_are_told_with_their_probabilities(clues):
    captions = sample_captions(clues, range(1, 4000), SETTINGS, seed=1, epoch=0)
    assert share(captions, "climate") == pytest.approx(0.45, abs=0.03)
    assert share(captions, "side of the road") == pytest.approx(0.2 * 0.55, abs=0.02)
    assert share(captions, "taken in July") == pytest.approx(0.2, abs=0.02)
    assert share(captions, "summer.") == pytest.approx(0.1 * 0.8, abs=0.02)
    assert share(captions, "facing east") == pytest.approx(0.2, abs=0.02)
    assert share(captions, "in Norway") == pytest.approx(1 - 0.45 * 0.2, abs=0.02)
    both = [caption for caption in captions if "climate" in caption and "side of the road" in caption]
    assert not both


@pytest.mark.parametrize("clue", ["location", "climate", "driving_side", "month", "season", "heading"])
def test_each_clue_is_switched_off_and_on_by_its_own_probability(clues, clue):
    words = {"location": "in Norway", "climate": "climate", "driving_side": "side of the road", "month": "July",
             "season": "summer", "heading": "facing"}  # fmt: skip
    off = dict.fromkeys(SETTINGS, 0.0)
    assert set(sample_captions(clues, range(1, 200), off, seed=1, epoch=0)) == {EMPTY}
    for probability in (0.5, 1.0):
        told = sample_captions(clues, range(1, 4000), off | {clue: probability}, seed=1, epoch=0)
        assert share(told, words[clue]) == pytest.approx(probability, abs=0.03)


def test_what_is_not_known_is_not_told(clues):
    for epoch in range(40):
        (caption,) = sample_captions(clues, [0], SETTINGS, seed=1, epoch=epoch)
        assert caption in (EMPTY, "This photo is facing east.")


def test_a_draw_depends_on_seed_epoch_and_photo_alone(clues):
    whole = sample_captions(clues, range(200), SETTINGS, seed=1, epoch=3)
    assert sample_captions(clues, range(199, -1, -1), SETTINGS, seed=1, epoch=3) == whole[::-1]
    assert sample_captions(clues, range(200), SETTINGS, seed=1, epoch=4) != whole
    assert sample_captions(clues, range(200), SETTINGS, seed=2, epoch=3) != whole


def test_photos_of_one_place_are_no_negatives_of_each_other():
    """By their text or by their distance; without a limit, every other photo is one."""
    frame = pd.DataFrame(
        {"location": ["Norway", "Norway", "Chile", None, None], "latitude": [60.0, 61, -30, 10, 10.005],
         "longitude": [9.0, 9, -70, 0, 0]}
    )  # fmt: skip
    rows = np.arange(5)
    candidates = Candidates(frame, images=None, device=torch.device("cpu"))
    pairs = {(0, 1), (3, 4)}
    found = np.argwhere(np.triu(candidates.same(rows, rows, 1.0).numpy(), 1))
    assert set(map(tuple, found.tolist())) == pairs
    assert torch.equal(candidates.same(rows, rows, None), torch.eye(5, dtype=torch.bool))
