"""A tiny encoder of each family with random weights."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
TEXT = SMALL | {
    "vocab_size": 30,
    "max_position_embeddings": 12,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
IMAGE = SMALL | {"image_size": 32, "patch_size": 8}
SIDE, PATCHES = 32, 16
PAIRS, ALONE = ("clip", "siglip", "siglip2"), ("dinov2", "dinov2_with_registers", "dinov3_vit")
FAMILIES = PAIRS + ALONE


def build(family: str) -> transformers.PreTrainedModel:
    """A model with random weights, its norms and scales too, so that leaving one out is seen."""
    if family in PAIRS:
        name = {"clip": "CLIP", "siglip": "Siglip", "siglip2": "Siglip2"}[family]
        vision = SMALL | {"num_patches": PATCHES, "patch_size": 8} if family == "siglip2" else IMAGE
        text = TEXT if family == "clip" else TEXT | {"projection_size": 16}
        sizes = {"vision_config": vision, "text_config": text} | ({"projection_dim": 8} if family == "clip" else {})
    else:
        name = {"dinov2": "Dinov2", "dinov2_with_registers": "Dinov2WithRegisters", "dinov3_vit": "DINOv3ViT"}[family]
        sizes = IMAGE | ({} if family == "dinov2" else {"num_register_tokens": 3})
    torch.manual_seed(FAMILIES.index(family))
    model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**sizes))
    for value in model.parameters():
        torch.nn.init.normal_(value, 0.1, 0.2)
    return model


def save(family: str, folder: Path) -> Path:
    """Write the model, and a tokenizer of a few words where it reads captions."""
    build(family).save_pretrained(folder)
    if family in PAIRS:
        names = ["<start>", "<end>", "a", "photo", "of", "norway", "<unk>", "<pad>"]
        words = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        special = {"bos_token": "<start>", "eos_token": "<end>", "pad_token": "<end>", "unk_token": "<unk>"}
        PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return folder
