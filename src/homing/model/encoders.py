"""Image encoders: pixels in, one embedding per photo out, for every supported family.

An encoder wraps a vision model of transformers. What families differ in is small and stands in one adapter each: how
pixels become tokens, how many tokens come before the patches, what follows the last layer, and which vector the
family itself takes for the image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    CLIPModel,
    CLIPVisionModel,
    Dinov2Model,
    Dinov2WithRegistersModel,
    DINOv3ViTModel,
    PreTrainedModel,
    Siglip2Model,
    Siglip2VisionModel,
    SiglipModel,
    SiglipVisionModel,
)
from transformers import logging as transformers_logging
from transformers.image_processing_base import ImageProcessingMixin

from homing.errors import HomingError
from homing.model.images import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocessing

transformers_logging.set_verbosity_error()  # it warns of the text model's weights when only the vision model is read
transformers_logging.disable_progress_bar()

ATTENTION = "sdpa"  # torch's fused attention
# Programs per kind of layer, of image and text model: full and last micro-batches, also of an epoch's last batch, each
# with and without gradient, and validation. Beyond this limit torch silently runs the layer uncompiled.
PROGRAMS = 64


class ImageEncoder(nn.Module):
    """A vision model and what is done to its images. Subclasses adapt a family of encoders."""

    kind: type[PreTrainedModel]
    pair: type[PreTrainedModel] | None = None  # the family's model of images and text, where it has one
    mean, std = IMAGENET_MEAN, IMAGENET_STD  # where the encoder comes without a preprocessor

    def __init__(self, model: PreTrainedModel, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model, self.preprocessing = model, preprocessing

    def forward(self, pixels: Tensor, pooling: str, kept: Tensor | None = None) -> Tensor:
        """Embeddings (n, d), fp32, of normalised pixels (n, 3, s, s); of (n, views, 3, s, s) the mean over the views.

        pooling: "mean" of the tokens, "class" token, or "own" vector, which the family's text model is trained against.
        kept: (n, k) numbers of the patches to look at; the others are left out before the first layer. Layers below
        the first trainable one run without gradient.
        """
        if pixels.dim() == 5:
            photos, views = pixels.shape[:2]
            kept = None if kept is None else kept.repeat_interleave(views, dim=0)
            return self(pixels.flatten(0, 1), pooling, kept).unflatten(0, (photos, views)).mean(dim=1)
        frozen = self.frozen_layers if torch.is_grad_enabled() else len(self.layers)
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen == 0):
            tokens, context = self.start(pixels, kept)
            for layer in self.layers[:frozen]:
                tokens = self.through(layer, tokens, context)
        for layer in self.layers[frozen:]:
            tokens = self.through(layer, tokens, context)
        return self.pool(tokens, pooling).float()

    @property
    def width(self) -> int:
        """The dimension of an embedding."""
        return self.model.config.hidden_size

    @property
    def patches(self) -> int:
        """The number of patches of an image."""
        return (self.preprocessing.side // self.model.config.patch_size) ** 2

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer's layers, the first one first."""
        return self.model.encoder.layers

    @property
    def prefix(self) -> int:
        """How many tokens come before those of the patches."""
        return 0

    @property
    def frozen_layers(self) -> int:
        """How many layers lie below everything that is trained."""
        stem = [value for name, value in self.model.named_parameters() if self._is_stem(name)]
        if any(value.requires_grad for value in stem):
            return 0
        trained = [any(value.requires_grad for value in layer.parameters()) for layer in self.layers]
        return trained.index(True) if True in trained else len(trained)

    def _is_stem(self, name: str) -> bool:
        return name.startswith(("embeddings.", "pre_layrnorm."))

    def start(self, pixels: Tensor, kept: Tensor | None) -> tuple[Tensor, Any]:
        """Tokens before the first layer, and what every layer is told beside them."""
        return self.keep(self.model.embeddings(pixels), kept), None

    def through(self, layer: nn.Module, tokens: Tensor, context: Any) -> Tensor:
        """One layer."""
        return layer(tokens, attention_mask=None)

    def pool(self, tokens: Tensor, pooling: str) -> Tensor:
        """The embeddings (n, d) of the last layer's tokens."""
        raise NotImplementedError

    def keep(self, tokens: Tensor, kept: Tensor | None) -> Tensor:
        """The tokens before the patches, and those of the patches that are looked at."""
        if kept is None:
            return tokens
        rows = (kept + self.prefix).unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        return torch.cat([tokens[:, : self.prefix], tokens.gather(1, rows)], dim=1)

    def freeze(self, trainable: str, last_layers: int, pooling: str) -> None:
        """Freeze by `finetune.trainable`: "heads" the whole encoder, "last" all but the last layers, "all" nothing."""
        self.model.requires_grad_(trainable == "all")
        if trainable == "last":
            for layer in self.layers[-last_layers:]:
                layer.requires_grad_(True)
        for part in self.unused(pooling):
            part.requires_grad_(False)

    def unused(self, pooling: str) -> list[nn.Module | nn.Parameter]:
        """Parts that do not reach the embeddings of a pooling, so that they cannot be trained by them."""
        return []

    def tune(self, settings: Mapping[str, Any]) -> None:
        """Gradient checkpointing and compiled layers, as the `pretrain` or `finetune` configuration says."""
        if settings.get("gradient_checkpointing"):
            self.model.activation_checkpointing_enable()
        if settings.get("compile"):
            compile_layers(self.layers)

    def save(self, folder: str | Path) -> None:
        """Write a folder in transformers' layout: safetensors, configuration, preprocessor."""
        self.model.save_pretrained(folder)
        self.preprocessing.save(folder)


def compile_layers(layers: nn.ModuleList) -> None:
    """Have the layers of a transformer compiled for each shape they meet.

    One by one: they are alike, so that the program of the first one serves them all.
    """
    torch._dynamo.config.recompile_limit = PROGRAMS
    for layer in layers:
        layer.compile(dynamic=False)


def forget_programs() -> None:
    """Drop what was compiled: for shapes that are not met again, of which there may be no more than `PROGRAMS`."""
    torch._dynamo.reset()


class ClipEncoder(ImageEncoder):
    """CLIP (Radford et al. 2021) and what was trained from it, such as StreetCLIP."""

    kind, pair, mean, std = CLIPVisionModel, CLIPModel, CLIP_MEAN, CLIP_STD

    @property
    def prefix(self) -> int:
        return 1

    def start(self, pixels: Tensor, kept: Tensor | None) -> tuple[Tensor, None]:
        return self.model.pre_layrnorm(self.keep(self.model.embeddings(pixels), kept)), None

    def pool(self, tokens: Tensor, pooling: str) -> Tensor:
        """The mean is over all tokens, the class token too, as in Haas et al., "PIGEON", CVPR 2024."""
        if pooling == "mean":
            return tokens.mean(dim=1)
        return self.model.post_layernorm(tokens[:, 0]) if pooling == "own" else tokens[:, 0]

    def unused(self, pooling: str) -> list[nn.Module | nn.Parameter]:
        return [] if pooling == "own" else [self.model.post_layernorm]


class SiglipEncoder(ImageEncoder):
    """SigLIP, and SigLIP 2 of fixed size, whose configuration is SigLIP's (Tschannen et al. 2025).

    There is no class token: its place is taken by an attention pooling head over the patches.
    """

    kind, pair, mean, std = SiglipVisionModel, SiglipModel, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def pool(self, tokens: Tensor, pooling: str) -> Tensor:
        tokens = self.model.post_layernorm(tokens)
        return tokens.mean(dim=1) if pooling == "mean" else self.model.head(tokens)

    def unused(self, pooling: str) -> list[nn.Module | nn.Parameter]:
        return [self.model.head] if pooling == "mean" and self.model.use_head else []


class Siglip2Encoder(SiglipEncoder):
    """SigLIP 2 of native aspect ("NaFlex"), given squares; it takes patches that are cut already."""

    kind, pair = Siglip2VisionModel, Siglip2Model

    def start(self, pixels: Tensor, kept: Tensor | None) -> tuple[Tensor, None]:
        cut = self.model.config.patch_size
        grid = [size // cut for size in pixels.shape[-2:]]
        patches = pixels.unfold(2, cut, cut).unfold(3, cut, cut).permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
        shapes = torch.tensor([grid], device=pixels.device).expand(len(pixels), 2)
        return self.keep(self.model.embeddings(patches, shapes), kept), None


class Dinov2Encoder(ImageEncoder):
    """DINOv2 (Oquab et al. 2023), with or without registers. The mean is over the patches alone."""

    kind = Dinov2Model

    @property
    def layers(self) -> nn.ModuleList:
        return self.model.encoder.layer

    @property
    def prefix(self) -> int:
        return 1 + getattr(self.model.config, "num_register_tokens", 0)

    def pool(self, tokens: Tensor, pooling: str) -> Tensor:
        tokens = self.model.layernorm(tokens)
        return tokens[:, self.prefix :].mean(dim=1) if pooling == "mean" else tokens[:, 0]

    def unused(self, pooling: str) -> list[nn.Module | nn.Parameter]:
        return [self.model.embeddings.mask_token] if self.model.embeddings.mask_token is not None else []


class Dinov2RegistersEncoder(Dinov2Encoder):
    """DINOv2 with registers (Darcet et al. 2024)."""

    kind = Dinov2WithRegistersModel


class Dinov3Encoder(Dinov2Encoder):
    """DINOv3 (Siméoni et al. 2025): positions are turned into queries and keys, in each layer."""

    kind = DINOv3ViTModel

    @property
    def layers(self) -> nn.ModuleList:
        return self.model.model.layer

    def train(self, mode: bool = True) -> "Dinov3Encoder":
        """The rotation stays as in evaluation: its random stretch would differ between processes and after a resume."""
        super().train(mode)
        self.model.rope_embeddings.eval()
        return self

    def start(self, pixels: Tensor, kept: Tensor | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rotation = self.model.rope_embeddings(pixels)
        if kept is not None:
            rotation = tuple(angles[kept].unsqueeze(1) for angles in rotation)
        return self.keep(self.model.embeddings(pixels), kept), rotation

    def through(self, layer: nn.Module, tokens: Tensor, context: tuple[Tensor, Tensor]) -> Tensor:
        return layer(tokens, attention_mask=None, position_embeddings=context)

    def pool(self, tokens: Tensor, pooling: str) -> Tensor:
        tokens = self.model.norm(tokens)
        return tokens[:, self.prefix :].mean(dim=1) if pooling == "mean" else tokens[:, 0]


# By the `model_type` of config.json: of a whole model, or of its vision model alone.
FAMILIES: dict[str, type[ImageEncoder]] = {
    "clip": ClipEncoder,
    "clip_vision_model": ClipEncoder,
    "siglip": SiglipEncoder,
    "siglip_vision_model": SiglipEncoder,
    "siglip2": Siglip2Encoder,
    "siglip2_vision_model": Siglip2Encoder,
    "dinov2": Dinov2Encoder,
    "dinov2_with_registers": Dinov2RegistersEncoder,
    "dinov3_vit": Dinov3Encoder,
}


def family_of(name: str | Path, revision: str | None = None) -> type[ImageEncoder]:
    """The adapter of an encoder: a hub name at a revision, or a folder. Raises HomingError, OSError."""
    kind = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False).model_type
    if kind not in FAMILIES:
        raise HomingError(f"{name}: an encoder of type {kind!r}; known are {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def load_encoder(name: str | Path, revision: str | None = None) -> ImageEncoder:
    """Load the image encoder alone, in fp32, from a whole model or a vision model. Raises OSError if there is none."""
    family = family_of(name, revision)
    model = read_model(family.kind, name, revision)
    return family(model, read_preprocessing(name, revision, family, model))


def read_model(kind: type[PreTrainedModel], name: str | Path, revision: str | None = None) -> PreTrainedModel:
    """A model of transformers in fp32, whatever its file is in; never by unpickling."""
    return kind.from_pretrained(
        name, revision=revision, dtype=torch.float32, attn_implementation=ATTENTION, weights_only=True
    )


def read_preprocessing(
    name: str | Path, revision: str | None, family: type[ImageEncoder], model: PreTrainedModel
) -> Preprocessing:
    """Side, mean and deviation of an encoder's preprocessor; what it does not say is as usual in its family."""
    config = getattr(model.config, "vision_config", model.config)
    side = getattr(config, "image_size", None) or config.patch_size * round(config.num_patches**0.5)
    try:
        content, _ = ImageProcessingMixin.get_image_processor_dict(name, revision=revision)
    except OSError:  # no such file beside the weights
        content = {}
    return Preprocessing.parse(content, Preprocessing(side, family.mean, family.std))
