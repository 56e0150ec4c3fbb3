"""Every family of encoders, tiny and at random, saved by transformers itself and compared with its own forward pass."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_encoders import ALONE, FAMILIES, PAIRS, PATCHES, SIDE, build, save
from transformers import AutoModel
from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

from homing.errors import HomingError
from homing.files import write_json
from homing.model.clip import build_clip, hand_over, load_clip, save_clip
from homing.model.convert import convert_checkpoint
from homing.model.encoders import family_of, load_encoder
from homing.model.images import CLIP_MEAN, IMAGENET_MEAN, Preprocessing
from homing.training.data.images import kept_patches

SCRATCH = {
    "pretrained": None, "revision": None, "image_side": 16, "patch": 8, "width": 16, "layers": 2, "heads": 2,
    "text_width": 16, "text_layers": 1, "projection": 8, "vocabulary": 300, "pooling": "mean",
}  # fmt: skip


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Folders of one encoder per family, as the hub has them."""
    return {family: save(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(5, 3, SIDE, SIDE, generator=torch.manual_seed(0))


def own_output(folder, family: str, pixels: torch.Tensor):
    """The output of transformers' own model, called as its documentation says."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    vision = model.vision_model if family in PAIRS else model
    given = {"pixel_values": pixels}
    if family == "siglip2":
        patches = torch.stack([torch.from_numpy(convert_image_to_patches(image.numpy(), 8)) for image in pixels])
        given = {"pixel_values": patches, "pixel_attention_mask": torch.ones(patches.shape[:2], dtype=torch.int32)}
        given["spatial_shapes"] = torch.tensor([[4, 4]] * len(pixels))
    with torch.no_grad():
        return vision(**given)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_gives_what_transformers_own_model_gives(encoders, pixels, family):
    expected = own_output(encoders[family], family, pixels)
    encoder = load_encoder(encoders[family]).eval()
    last = expected.last_hidden_state
    before = {"clip": 0, "siglip": 0, "siglip2": 0, "dinov2": 1, "dinov2_with_registers": 4, "dinov3_vit": 4}[family]
    class_token = expected.pooler_output if family.startswith("siglip") else last[:, 0]
    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels, "mean"), last[:, before:].mean(dim=1))
        torch.testing.assert_close(encoder(pixels, "class"), class_token)
        torch.testing.assert_close(encoder(pixels, "own"), expected.pooler_output)
        views = encoder(torch.stack([pixels, pixels.flip(-1)], dim=1), "mean")
        torch.testing.assert_close(views, (encoder(pixels, "mean") + encoder(pixels.flip(-1), "mean")) / 2)
    assert encoder.width == 16 and encoder.patches == PATCHES and len(encoder.layers) == 3
    assert encoder.model.config._attn_implementation == "sdpa" and encoder.preprocessing.side == SIDE


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_layers_and_patch_dropout(encoders, pixels, family):
    """All patches kept change nothing; fewer are other tokens, seen where they were; frozen layers get no gradient."""
    encoder = load_encoder(encoders[family]).train()
    with torch.no_grad():
        whole = encoder(pixels, "mean")
        torch.testing.assert_close(encoder(pixels, "mean", torch.arange(PATCHES).expand(5, -1)), whole)
        kept = kept_patches(PATCHES, 0.5, 1, 2, [f"p{number}" for number in range(5)])
        some = encoder(pixels, "mean", kept)
        blank = pixels.clone()  # what is not looked at may change
        gone = torch.ones(5, PATCHES, dtype=torch.bool).scatter(1, kept, False).unflatten(1, (4, 4))
        blank[gone.repeat_interleave(8, 1).repeat_interleave(8, 2).unsqueeze(1).expand(-1, 3, -1, -1)] = 9.0
        torch.testing.assert_close(encoder(blank, "mean", kept), some)
    assert not torch.allclose(some, whole)
    for trainable, free in (("heads", []), ("last", [2]), ("all", [0, 1, 2])):
        encoder.freeze(trainable, 1, "mean")
        assert [n for n, layer in enumerate(encoder.layers) if all(w.requires_grad for w in layer.parameters())] == free
        assert encoder.frozen_layers == (free[0] if free else 3)
        output = encoder(pixels, "mean")
        torch.testing.assert_close(output, whole)
        encoder.zero_grad()
        if free:
            output.square().sum().backward()
        for name, value in encoder.named_parameters():
            assert (value.grad is not None) == value.requires_grad, name


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_the_same_with_checkpointed_layers(encoders, pixels, family):
    gradients = []
    for settings in ({}, {"gradient_checkpointing": True}):
        encoder = load_encoder(encoders[family]).train()
        encoder.freeze("all", 1, "mean")
        encoder.tune(settings)
        encoder(pixels, "mean").square().sum().backward()
        gradients.append({name: value.grad for name, value in encoder.named_parameters() if value.grad is not None})
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value)


@pytest.mark.parametrize("family", PAIRS)
def test_captions_and_images_meet_as_in_transformers(encoders, pixels, family, tmp_path):
    parts = build_clip(SCRATCH | {"pretrained": str(encoders[family])}, ["unused"], 0)
    model = AutoModel.from_pretrained(encoders[family], dtype=torch.float32).eval()
    ids, mask = parts.tokens(["<start> a photo <end>", "<start> a photo of norway <end>"])
    assert ids.shape[1] == (6 if family == "clip" else 12)  # SigLIP reads the padding too
    with torch.no_grad():
        text = model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        torch.testing.assert_close(parts.text_vectors(ids, mask), text)
        expected = own_output(encoders[family], family, pixels).pooler_output
        expected = model.visual_projection(expected) if family == "clip" else expected
        torch.testing.assert_close(parts.image_vectors(pixels), expected)
        fixed = parts.tokens(["<start> a photo <end>", "<start> a photo of norway <end>"], fixed=True)
        assert fixed[0].shape[1] == 12
        torch.testing.assert_close(parts.text_vectors(*fixed), text)
    save_clip(tmp_path, parts)
    again = load_clip(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(again.image_vectors(pixels), parts.image_vectors(pixels))
        torch.testing.assert_close(load_encoder(tmp_path)(pixels, "own"), parts.encoder(pixels, "own"))


@pytest.mark.parametrize("family", ALONE)
def test_an_encoder_without_text_is_handed_over_but_not_pretrained(encoders, pixels, family, tmp_path):
    settings = SCRATCH | {"pretrained": str(encoders[family])}
    with pytest.raises(HomingError, match=r"reads no text.*pretrain.enabled to false"):
        build_clip(settings, ["a"], 0)
    hand_over(tmp_path / "encoder", settings, 0)
    with torch.no_grad():
        torch.testing.assert_close(
            load_encoder(tmp_path / "encoder")(pixels, "mean"), load_encoder(encoders[family])(pixels, "mean")
        )


def test_half_precision_weights_are_trained_in_full(encoders, tmp_path):
    AutoModel.from_pretrained(encoders["clip"]).half().save_pretrained(tmp_path)
    assert {value.dtype for value in load_encoder(tmp_path).parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("content", "side", "mean"),
    [
        ({"crop_size": None, "size": {"height": 24, "width": 24}, "image_mean": [0.1, 0.2, 0.3]}, 24, (0.1, 0.2, 0.3)),
        ({"crop_size": {"height": 16, "width": 16}, "size": {"shortest_edge": 20}}, 16, IMAGENET_MEAN),
        ({"size": 24}, 24, IMAGENET_MEAN),
        ({"size": {"shortest_edge": 24}}, 24, IMAGENET_MEAN),
        ({"max_num_patches": 9}, 32, IMAGENET_MEAN),
    ],
)
def test_the_preprocessor_is_read_in_every_spelling(encoders, tmp_path, content, side, mean):
    build("dinov3_vit").save_pretrained(tmp_path)
    write_json(tmp_path / "preprocessor_config.json", content)
    encoder = load_encoder(tmp_path)
    assert (encoder.preprocessing.side, encoder.preprocessing.mean) == (side, mean)
    assert encoder(torch.randn(2, 3, side, side), "mean").shape == (2, 16)
    encoder.save(tmp_path / "saved")
    assert Preprocessing.load(tmp_path / "saved") == encoder.preprocessing


def test_a_bin_is_converted_once_without_running_it(encoders, pixels, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    model = AutoModel.from_pretrained(encoders["clip"])
    model.config.save_pretrained(raw)
    weights = model.state_dict() | {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    torch.save({name: value.t().contiguous().t() if value.dim() == 2 else value for name, value in weights.items()},
               raw / "pytorch_model.bin")  # fmt: skip
    convert_checkpoint(raw, tmp_path / "encoder")
    assert not (tmp_path / "encoder/pytorch_model.bin").exists()
    with torch.no_grad():
        torch.testing.assert_close(
            load_encoder(tmp_path / "encoder")(pixels, "own"), load_encoder(encoders["clip"])(pixels, "own")
        )
    convert_checkpoint(encoders["clip"], tmp_path / "same")
    assert (tmp_path / "same/model.safetensors").samefile(encoders["clip"] / "model.safetensors")


class Intruder:
    def __reduce__(self):
        return (print, ("run",))


def test_a_bin_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"weight": Intruder()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(HomingError, match=r"pytorch_model.bin: .*only tensors"):
        convert_checkpoint(tmp_path, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists() and "run" not in capsys.readouterr().out


def test_no_weights_are_named_with_the_rule_and_the_mirror(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for make in (lambda name: build_clip(SCRATCH | {"pretrained": name}, ["a"], 0),
                 lambda name: hand_over("encoder", SCRATCH | {"pretrained": name}, 0)):  # fmt: skip
        with pytest.raises(HomingError, match=r"snakemake .*retrieve.*<mirror>/clip_l14/32bd/"):
            make("results/encoders/clip_l14/32bd")
        with pytest.raises(HomingError, match=r"cannot load .*no-such.*local copy.*model.source.*rule retrieve"):
            make(str(tmp_path / "no-such"))
    with pytest.raises(HomingError, match=r"raw: neither model.safetensors nor pytorch_model.bin.*retrieve.*mirror"):
        convert_checkpoint(tmp_path / "raw", tmp_path / "encoder")


def test_another_kind_of_model_is_named(tmp_path):
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    with pytest.raises(HomingError, match=r"of type 'bert'; known are clip"):
        family_of(tmp_path)


def test_a_small_clip_is_the_same_from_the_same_seed_and_survives_saving(tmp_path):
    parts = [build_clip(SCRATCH, ["A photo I took in Norway.", "In summer."], seed) for seed in (1, 1, 2)]
    weights = [part.clip.state_dict()["visual_projection.weight"] for part in parts]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    save_clip(tmp_path, parts[0])
    again = load_clip(tmp_path)
    assert again.tokens(["A photo I took in Norway."])[0].equal(parts[0].tokens(["A photo I took in Norway."])[0])
    assert again.preprocessing == Preprocessing(16) and again.preprocessing.mean == CLIP_MEAN
    # As a checkpoint of the hub: weights, vocabulary and input side are its own.
    loaded = build_clip(SCRATCH | {"pretrained": str(tmp_path), "image_side": 999}, ["other captions"], 4)
    assert all(torch.equal(value, loaded.clip.state_dict()[name]) for name, value in parts[0].clip.state_dict().items())


def test_patches_are_left_out_by_seed_epoch_and_photo():
    drawn = kept_patches(16, 0.5, 1, 2, ["a", "b", "c"])
    assert drawn.shape == (3, 8) and all(len(set(row.tolist())) == 8 for row in drawn)
    assert torch.equal(drawn[1:2], kept_patches(16, 0.5, 1, 2, ["b"]))
    assert not torch.equal(drawn, kept_patches(16, 0.5, 1, 3, ["a", "b", "c"]))
    assert kept_patches(16, 0, 1, 2, ["a"]) is None


def test_pixels_are_the_centre_square_of_pillow():
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    from homing.model.images import pixels

    theirs = image.crop((10, 0, 50, 40)).resize((24, 24), Image.Resampling.BICUBIC)
    assert np.abs(pixels(image, 24).permute(1, 2, 0).numpy().astype(int) - np.asarray(theirs)).max() <= 1
