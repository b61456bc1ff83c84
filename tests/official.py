"""Files as others write them, at the smallest size: official ALBEF, BERT, DeiT."""

import json
import re
from pathlib import Path

import golden_albef
import torch
from torch import Tensor

from softmask.tokenizer import load_tokenizer

WIDTH, EMBED, QUEUE = 16, 8, 4
SMALL = {768: WIDTH, 2304: 3 * WIDTH, 3072: 64, 256: EMBED, 65536: QUEUE, 577: 17, 257: 17}
SMALL |= {512: 32}


def full_size(task: str) -> dict[str, tuple[str, list[int]]]:
    """Names, types and shapes of an official model's whole state dict."""
    known = json.loads((golden_albef.FOLDER / "albef_state_dict_keys.json").read_text())
    return known[task]


def albef(task: str, seed: int = 0, vocabulary: int = 30522) -> dict[str, Tensor]:
    """An official model's state dict: every name, narrow, at 64 pixels; tied tensors are tied."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, (kind, shape) in full_size(task).items():
        small = [vocabulary if n == 30522 else SMALL.get(n, n) for n in shape]
        if kind == "int64":
            state[name] = torch.zeros(small, dtype=torch.long)
        else:
            drawn = 0.1 * torch.randn(small, generator=generator)
            state[name] = drawn + 1 if re.search(r"(Layer)?[Nn]orm\d?\.weight$", name) else drawn
    for name in state:
        if name.endswith("cls.predictions.decoder.weight"):
            head = name.removesuffix("cls.predictions.decoder.weight")
            state[name] = state[f"{head}bert.embeddings.word_embeddings.weight"]
            state[f"{head}cls.predictions.decoder.bias"] = state[f"{head}cls.predictions.bias"]
    if "temp" in state:
        state["temp"] = torch.tensor(0.07)
    return state


def write_albef(path: Path, task: str = "pretrain", **around: object) -> dict[str, Tensor]:
    """A checkpoint as the official code saves it, optimiser state and settings included."""
    state = albef(task)
    parts = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "lr_scheduler": {"t": 1}}
    content = {"model": state, **parts, "config": {"image_res": 64, "temp": 0.07}, "epoch": 29}
    torch.save(content | around, path)
    return state


def small_tokenizer(folder: Path, pieces: int) -> str:
    """BERT's tokenizer with the first pieces of its vocabulary."""
    load_tokenizer().save_pretrained(folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {k: v for k, v in vocabulary.items() if v < pieces}
    path.write_text(json.dumps(content))
    return str(folder)
