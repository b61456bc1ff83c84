"""Runs of fine-tuned tasks whose answers differ: a step by the program, then shaken weights."""

from collections.abc import Callable
from pathlib import Path

import program
import torch
from tiny import draw

Corpora = Callable[[str], Path]


def fit(task: str, corpus_of: Corpora, folder: Path) -> Path:
    """A run of a step, whose checkpoint is then shaken: fresh heads say the same of everything."""
    corpus = corpus_of(task)
    args = program.arguments("fit", corpus, folder, task=task, splits=("train", "val"))
    ended = program.here([*args, "--trainer.max_steps", "1"])
    assert ended.code == 0, ended.err
    path = folder / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    shaken = {
        name: tensor + 0.3 * draw(*tensor.shape, seed=place, dtype=tensor.dtype)
        for place, (name, tensor) in enumerate(sorted(content["state_dict"].items()))
        if tensor.is_floating_point() and name.startswith(("backbone.", "decoder.", "head."))
    }
    tied(shaken)
    content["state_dict"] |= shaken
    torch.save(content, path)
    return folder / "run"


def tied(state: dict[str, torch.Tensor]) -> None:
    """Layers of two images project with one set of weights."""
    head = "backbone.fusion.layers."
    for name in [n for n in state if n.startswith(head) and ".image.kv." in n]:
        layer, rest = name.removeprefix(head).split(".", 1)
        if int(layer) % 2 and "head.2.bias" in state and len(state["head.2.bias"]) == 2:
            state[name] = state[f"{head}{int(layer) - 1}.{rest}"]
