"""The encoder: a small CLIP from scratch, or a checkpoint of transformers at a pinned revision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPVisionModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers import logging as transformers_logging

from homing.errors import HomingError
from homing.model.images import CLIP_MEAN, CLIP_STD, Preprocessing

transformers_logging.set_verbosity_error()  # it reports the text tower as unexpected when only the vision tower is read
transformers_logging.disable_progress_bar()

CONTEXT = 64  # tokens of a caption for a model from scratch
START, END, PAD = "<start>", "<end>", "<pad>"


@dataclass(frozen=True)
class ClipParts:
    """A CLIP model with what it needs to read text and images."""

    clip: CLIPModel
    tokenizer: PreTrainedTokenizerBase
    preprocessing: Preprocessing


def build_clip(settings: Mapping[str, Any], captions: Sequence[str], seed: int) -> ClipParts:
    """The encoder of the `model` configuration; from scratch, its vocabulary is trained on `captions`."""
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPModel(config)
    return ClipParts(clip, tokenizer, Preprocessing(settings["image_side"], CLIP_MEAN, CLIP_STD))


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


def _from_checkpoint(name: str, revision: str | None) -> ClipParts:
    try:
        clip = CLIPModel.from_pretrained(name, revision=revision, weights_only=True)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except OSError as error:
        raise HomingError(
            f"model.pretrained: cannot load {name!r} at revision {revision!r}: {str(error).splitlines()[0]}. "
            "Without internet, give the path of a local copy of its folder instead"
        ) from error
    return ClipParts(clip, tokenizer, Preprocessing(clip.config.vision_config.image_size, CLIP_MEAN, CLIP_STD))


def save_clip(folder: str | Path, parts: ClipParts) -> None:
    """Write a folder in transformers' layout: safetensors, configuration, tokenizer, preprocessor."""
    parts.clip.save_pretrained(folder)
    parts.tokenizer.save_pretrained(folder)
    parts.preprocessing.save(folder)


def load_clip(folder: str | Path) -> ClipParts:
    """Read what `save_clip` wrote."""
    clip = CLIPModel.from_pretrained(folder, local_files_only=True, weights_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return ClipParts(clip, tokenizer, Preprocessing.load(folder))


def load_vision(folder: str | Path) -> tuple[CLIPVisionModel, Preprocessing]:
    """The vision tower alone, of a folder with a whole CLIP or with a vision tower."""
    vision = CLIPVisionModel.from_pretrained(folder, local_files_only=True, weights_only=True)
    return vision, Preprocessing.load(folder)


def embed(vision: CLIPVisionModel, pixel_values: Tensor, pooling: str) -> Tensor:
    """Embeddings (n, d), fp32: the mean of all tokens of the last hidden state ("mean"), or the class token."""
    tokens = vision(pixel_values=pixel_values).last_hidden_state.float()
    return tokens.mean(dim=1) if pooling == "mean" else tokens[:, 0]


def freeze_below(vision: CLIPVisionModel, trainable: str, last_layers: int) -> None:
    """Leave trainable what `finetune.trainable` says: "heads" nothing, "last" the last layers, "all" the tower."""
    tower = getattr(vision, "vision_model", vision)
    vision.requires_grad_(trainable == "all")
    if trainable == "last":
        for layer in tower.encoder.layers[-last_layers:]:
            layer.requires_grad_(True)
    # The post-layernorm acts on the pooled class token only, which the embeddings do not use.
    tower.post_layernorm.requires_grad_(False)
