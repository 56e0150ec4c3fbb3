"""Encoders of images and captions: a small CLIP from scratch, or a checkpoint of transformers at a pinned revision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from homing.errors import HomingError
from homing.model.encoders import (
    ATTENTION,
    ClipEncoder,
    ImageEncoder,
    compile_layers,
    family_of,
    load_encoder,
    read_model,
    read_preprocessing,
)
from homing.model.images import Preprocessing

CONTEXT = 64  # tokens of a caption for a model from scratch
SIGMOID_BIAS = -10.0  # so that the many negatives do not rule the first steps (Zhai et al. 2023)
START, END, PAD = "<start>", "<end>", "<pad>"


@dataclass(frozen=True)
class ImageTextModel:
    """A model of images and text (CLIP, SigLIP) with what it needs to read both."""

    clip: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    encoder: ImageEncoder  # the image half of `clip`

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to images."""
        return self.encoder.preprocessing

    def tune(self, settings: Mapping[str, Any]) -> None:
        """As `ImageEncoder.tune`; the captions' layers are compiled too."""
        self.encoder.tune(settings)
        if settings.get("compile"):
            compile_layers(self.clip.text_model.encoder.layers)

    def tokens(self, captions: Sequence[str], fixed: bool = False) -> tuple[Tensor, Tensor]:
        """Token numbers (n, length) and which of them count; `fixed`: always of the full length, for compiled models.

        SigLIP is trained on captions of full length, whose padding it reads too.
        """
        siglip = not isinstance(self.clip, CLIPModel)
        length = self.clip.config.text_config.max_position_embeddings
        padding = "max_length" if fixed or siglip else True
        found = self.tokenizer(
            list(captions), padding=padding, truncation=True, max_length=length, return_attention_mask=True
        )
        ids, mask = torch.tensor(found["input_ids"]), torch.tensor(found["attention_mask"])
        return ids, torch.ones_like(mask) if siglip else mask

    def image_vectors(self, pixels: Tensor, kept: Tensor | None = None) -> Tensor:
        """Vectors (n, d) of the shared space, fp32, of normalised pixels; kept: as in `ImageEncoder`."""
        vectors = self.encoder(pixels, "own", kept)
        return self.clip.visual_projection(vectors).float() if hasattr(self.clip, "visual_projection") else vectors

    def text_vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors (n, d) of the shared space, fp32, of `tokens`."""
        return self.clip.get_text_features(input_ids=ids, attention_mask=mask).pooler_output.float()


class ContrastiveModel(nn.Module):
    """Images and captions to unit vectors of the shared space, with the learned scale and bias of their products."""

    def __init__(self, parts: ImageTextModel, sigmoid: bool) -> None:
        super().__init__()
        self.clip, self.parts = parts.clip, parts
        self.bias = nn.Parameter(torch.tensor(SIGMOID_BIAS)) if sigmoid else None
        if hasattr(self.clip, "logit_bias"):  # SigLIP has learned one
            self.clip.logit_bias.requires_grad_(sigmoid)
            self.bias = self.clip.logit_bias if sigmoid else None

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        outputs = {
            "image": functional.normalize(self.parts.image_vectors(pixels, kept)),
            "text": functional.normalize(self.parts.text_vectors(ids, mask)),
            "scale": self.clip.logit_scale.exp().squeeze(),
        }
        return outputs if self.bias is None else outputs | {"bias": self.bias.squeeze()}


def build_clip(settings: Mapping[str, Any], captions: Sequence[str], seed: int) -> ImageTextModel:
    """The encoder of the `model` configuration; from scratch, its vocabulary is trained on `captions`.

    Raises HomingError when there are no weights, and for an encoder that cannot read text.
    """
    if settings["pretrained"]:
        return _from_checkpoint(settings["pretrained"], settings["revision"])
    tokenizer = train_tokenizer(captions, settings["vocabulary"])
    config = CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": settings["text_width"],
            "intermediate_size": 4 * settings["text_width"],
            "num_hidden_layers": settings["text_layers"],
            "num_attention_heads": settings["heads"],
            "max_position_embeddings": CONTEXT,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": settings["width"],
            "intermediate_size": 4 * settings["width"],
            "num_hidden_layers": settings["layers"],
            "num_attention_heads": settings["heads"],
            "image_size": settings["image_side"],
            "patch_size": settings["patch"],
        },
        projection_dim=settings["projection"],
        attn_implementation=ATTENTION,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPModel(config)
    return ImageTextModel(clip, tokenizer, ClipEncoder(clip.vision_model, Preprocessing(settings["image_side"])))


def train_tokenizer(captions: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the captions (Sennrich et al. 2016); the same captions give the same bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, START],  # an END of 2 would be read as the old CLIP vocabulary by transformers
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(set(captions)), trainer)
    ends = [(START, tokenizer.token_to_id(START)), (END, tokenizer.token_to_id(END))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=PAD, model_max_length=CONTEXT
    )


def _from_checkpoint(name: str, revision: str | None) -> ImageTextModel:
    try:
        family = family_of(name, revision)
        if family.pair is None:
            raise HomingError(
                f"model.pretrained: {name!r} sees images and reads no text, so that captions cannot train it: "
                "set pretrain.enabled to false, and it is fine-tuned as it is"
            )
        return _read(name, revision, family)
    except OSError as error:
        raise no_weights(name, revision, error) from error


def _read(name: str | Path, revision: str | None, family: type[ImageEncoder]) -> ImageTextModel:
    clip = read_model(family.pair, name, revision)
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    preprocessing = read_preprocessing(name, revision, family, clip)
    return ImageTextModel(clip, tokenizer, family(clip.vision_model, preprocessing))


def no_weights(name: str, revision: str | None, error: OSError) -> HomingError:
    """What to say when an encoder cannot be read: where it comes from, and how to bring it here by hand."""
    if name.startswith("results/"):
        files = "/".join(Path(name).parts[2:])
        cure = f"fetch it with `snakemake --profile profiles/local retrieve`, or put its files into <mirror>/{files}/"
    else:
        cure = (
            "without internet, give the path of a local copy of its folder instead, or name it as model.source, a "
            "<dataset>/<version> of config/sources.csv: rule retrieve fetches that, or takes it from the mirror folder "
            "<mirror>/<dataset>/<version>/"
        )
    first = str(error).splitlines()[0]
    return HomingError(f"model.pretrained: cannot load {name!r} at revision {revision!r}: {first} To mend it, {cure}")


def hand_over(folder: str | Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write the encoder of the `model` configuration as it is, with its text model if it has one."""
    name, revision = settings["pretrained"], settings["revision"]
    try:
        without_text = bool(name) and family_of(name, revision).pair is None
        encoder = load_encoder(name, revision) if without_text else None
    except OSError as error:
        raise no_weights(name, revision, error) from error
    if encoder:
        encoder.save(folder)
    else:
        save_clip(folder, build_clip(settings, ["A photo."], seed))


def save_clip(folder: str | Path, parts: ImageTextModel) -> None:
    """Write a folder in transformers' layout: safetensors, configuration, tokenizer, preprocessor."""
    parts.clip.save_pretrained(folder)
    parts.tokenizer.save_pretrained(folder)
    parts.preprocessing.save(folder)


def load_clip(folder: str | Path) -> ImageTextModel:
    """Read what `save_clip` wrote."""
    return _read(folder, None, family_of(folder))
