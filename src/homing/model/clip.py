"""Models of images and text: a small CLIP from scratch, or a checkpoint of transformers at a pinned revision."""

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
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Siglip2Model,
    SiglipModel,
)

from homing.errors import HomingError
from homing.model.encoders import (
    ClipEncoder,
    ImageEncoder,
    compile_layers,
    family_of,
    load_encoder,
    read_model,
    read_preprocessing,
    use_fused_attention,
)
from homing.model.images import Preprocessing

CONTEXT = 64  # tokens per caption of a model from scratch
SIGMOID_BIAS = -10.0  # keeps the many negatives from dominating the first steps (Zhai et al. 2023)
START, END, PAD = "<start>", "<end>", "<pad>"


@dataclass(frozen=True)
class ImageTextModel:
    """A model of images and text (CLIP, SigLIP) with its tokenizer and preprocessing."""

    model: CLIPModel | SiglipModel | Siglip2Model
    tokenizer: PreTrainedTokenizerBase
    image_encoder: ImageEncoder  # wraps `model.vision_model`

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of images."""
        return self.image_encoder.preprocessing

    @property
    def patches(self) -> int:
        """The number of patches of an image."""
        return self.image_encoder.patches

    def tune(self, settings: Mapping[str, Any]) -> None:
        """Apply `ImageEncoder.tune`, and compile the layers of the text model too."""
        self.image_encoder.tune(settings)
        if settings.get("compile"):
            compile_layers(self.model.text_model.encoder.layers)

    def tokens(self, captions: Sequence[str], fixed: bool = False) -> tuple[Tensor, Tensor]:
        """Return token ids (n, length) and their attention mask (n, length).

        fixed: always pad to the full length, for compiled models. SigLIP, trained on captions of full length, attends
        to the padding.
        """
        is_siglip = not isinstance(self.model, CLIPModel)
        length = self.model.text_model.config.max_position_embeddings
        padding = "max_length" if fixed or is_siglip else True
        encoded = self.tokenizer(
            list(captions), padding=padding, truncation=True, max_length=length, return_attention_mask=True
        )
        ids, mask = torch.tensor(encoded["input_ids"]), torch.tensor(encoded["attention_mask"])
        return ids, torch.ones_like(mask) if is_siglip else mask

    def image_vectors(self, pixels: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return fp32 vectors (n, d) of the shared space for normalised pixels; kept: see `ImageEncoder`."""
        vectors = self.image_encoder(pixels, "own", kept)
        return self.model.visual_projection(vectors).float() if isinstance(self.model, CLIPModel) else vectors

    def text_vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return fp32 vectors (n, d) of the shared space for `tokens`."""
        return self.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output.float()

    def save(self, folder: str | Path) -> None:
        """Write a folder in transformers' layout: safetensors, configuration, tokenizer, preprocessor."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.preprocessing.save(folder)


class ContrastiveModel(nn.Module):
    """Maps images and captions to unit vectors of the shared space, with the learned scale and bias of the logits."""

    def __init__(self, encoder: ImageTextModel, sigmoid: bool) -> None:
        super().__init__()
        self.model, self.encoder = encoder.model, encoder
        self.bias = nn.Parameter(torch.tensor(SIGMOID_BIAS)) if sigmoid else None
        if not isinstance(encoder.model, CLIPModel):  # SigLIP has a learned bias
            encoder.model.logit_bias.requires_grad_(sigmoid)
            self.bias = encoder.model.logit_bias if sigmoid else None

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        """Return "image" and "text" (n, d), and the scalars "scale" and, for the sigmoid loss, "bias"."""
        outputs = {
            "image": functional.normalize(self.encoder.image_vectors(pixels, kept)),
            "text": functional.normalize(self.encoder.text_vectors(ids, mask)),
            "scale": self.model.logit_scale.exp().squeeze(),
        }
        return outputs if self.bias is None else outputs | {"bias": self.bias.squeeze()}


def build_clip(settings: Mapping[str, Any], captions: Sequence[str], seed: int) -> ImageTextModel:
    """Build the model of the `model` configuration; from scratch, its vocabulary is trained on `captions`.

    Raises HomingError if the weights are missing or the encoder has no text model.
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
    )
    use_fused_attention(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(config)
    return ImageTextModel(model, tokenizer, ClipEncoder(model.vision_model, Preprocessing(settings["image_side"])))


def train_tokenizer(captions: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer (Sennrich et al. 2016); the same captions give the same bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, START],  # transformers takes an END of 2 for the old CLIP vocabulary
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
                f"model.pretrained: {name!r} reads no text and cannot be pretrained on captions: "
                "set pretrain.enabled to false to fine-tune it directly"
            )
        return _read(name, revision, family)
    except OSError as error:
        raise missing_weights(name, revision, error) from error


def _read(name: str | Path, revision: str | None, family: type[ImageEncoder]) -> ImageTextModel:
    assert family.pair is not None
    model = read_model(family.pair, name, revision)
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    preprocessing = read_preprocessing(name, revision, family, model)
    return ImageTextModel(model, tokenizer, family(model.vision_model, preprocessing))


def missing_weights(name: str, revision: str | None, error: OSError) -> HomingError:
    """Return the error for an encoder that cannot be read, with ways to provide it."""
    if name.startswith("results/"):
        files = "/".join(Path(name).parts[2:])
        cure = f"fetch it with `snakemake --profile profiles/local retrieve`, or put its files into <mirror>/{files}/"
    else:
        cure = (
            "without internet, give the path of a local copy of its folder instead, or set model.source to a "
            "<dataset>/<version> of config/sources.csv: rule retrieve downloads it, or takes it from the mirror folder "
            "<mirror>/<dataset>/<version>/"
        )
    first = str(error).splitlines()[0]
    return HomingError(f"model.pretrained: cannot load {name!r} at revision {revision!r}: {first} To fix it, {cure}")


def save_untrained(folder: str | Path, settings: Mapping[str, Any], seed: int) -> None:
    """Write the encoder of the `model` configuration without training it, with its text model if it has one."""
    name, revision = settings["pretrained"], settings["revision"]
    try:
        without_text = bool(name) and family_of(name, revision).pair is None
        encoder = load_encoder(name, revision) if without_text else None
    except OSError as error:
        raise missing_weights(name, revision, error) from error
    (encoder or build_clip(settings, ["A photo."], seed)).save(folder)
