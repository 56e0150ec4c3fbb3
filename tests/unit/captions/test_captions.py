"""Captions say what the labels say, as often as the configuration asks."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from homing.captions.clues import climate, climate_names, location, season, with_article, write_clues
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
    ("country", "expected"),
    [
        ("Netherlands", "the Netherlands"), ("United States", "the United States"), ("Norway", "Norway"),
        ("Philippines", "the Philippines"), ("Czech Republic", "the Czech Republic"), ("The Gambia", "The Gambia"),
        ("Marshall Islands", "the Marshall Islands"),
    ],
)  # fmt: skip
def test_articles_of_countries(country, expected):
    assert with_article(country) == expected


CLIMATES = {
    1: "a tropical rainforest climate", 3: "a tropical savannah climate", 4: "a hot arid desert climate",
    7: "a cold arid steppe climate", 8: "a temperate climate with a dry, hot summer",
    11: "a temperate climate with a dry winter and a hot summer",
    20: "a cold climate with a dry summer and a very cold winter",
    24: "a cold climate with a dry, very cold winter", 27: "a cold climate with no dry season and a cold summer",
    29: "a polar tundra climate",
}  # fmt: skip


def test_every_climate_is_a_sentence_with_the_words_of_its_class():
    assert set(climate_names()) == set(range(1, 31))
    sentences = {number: climate(number) for number in climate_names()}
    assert {number: sentences[number] for number in CLIMATES} == {
        number: f"This location has {phrase}." for number, phrase in CLIMATES.items()
    }
    assert len(set(sentences.values())) == 30
    for number, description in climate_names().items():
        words = re.findall("[a-z]+", sentences[number])
        assert set(re.findall("[a-z]+", description.lower())) <= set(words)
        for article, following in pairwise(words):
            assert article != "a" or following[0] not in "aeiou"
            assert article != "an" or following[0] in "aeiou"
        assert not any(first == second for first, second in pairwise(words)) and "," not in sentences[number][-10:]


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


def test_clues_are_drawn_with_their_probabilities(clues):
    captions = sample_captions(clues, range(1, 4000), SETTINGS, seed=1, epoch=0)
    assert share(captions, "climate") == pytest.approx(0.45, abs=0.03)
    assert share(captions, "side of the road") == pytest.approx(0.2 * 0.55, abs=0.02)
    assert share(captions, "taken in July") == pytest.approx(0.2, abs=0.02)
    assert share(captions, "taken in summer") == pytest.approx(0.1 * 0.8, abs=0.02)
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
        captions = sample_captions(clues, range(1, 4000), off | {clue: probability}, seed=1, epoch=0)
        assert share(captions, words[clue]) == pytest.approx(probability, abs=0.03)


def test_unknown_labels_are_left_out(clues):
    for epoch in range(40):
        (caption,) = sample_captions(clues, [0], SETTINGS, seed=1, epoch=epoch)
        assert caption in (EMPTY, "This photo is facing east.")


def test_a_draw_depends_only_on_seed_epoch_and_photo(clues):
    whole = sample_captions(clues, range(200), SETTINGS, seed=1, epoch=3)
    assert sample_captions(clues, range(199, -1, -1), SETTINGS, seed=1, epoch=3) == whole[::-1]
    assert sample_captions(clues, range(200), SETTINGS, seed=1, epoch=4) != whole
    assert sample_captions(clues, range(200), SETTINGS, seed=2, epoch=3) != whole


def test_photos_of_one_place_are_no_negatives_of_each_other():
    """Photos with equal text or within the distance limit are left out; without a limit every other photo counts."""
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
