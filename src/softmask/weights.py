"""Weights from elsewhere: our checkpoints, official ALBEF files, BERT; what fits is reported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from softmask.errors import InputError, first_line
from softmask.renames import State, from_albef, from_bert, is_albef

QUEUE = "queue."
"""Its pairs are of another run: no weights to start from."""
TWIN = "momentum.twin."


@dataclass(frozen=True)
class LoadReport:
    """What happened to each name when weights were loaded.

    Args:
        source: where they came from.
        matched: names of the module that were filled.
        missing: names of the module that the source lacks.
        unexpected: names of the source that the module has no place for.
        misshapen: names whose shapes differ, with both shapes.
    """

    source: str
    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A line of counts and a line for each list that is not empty."""
        lines = [f"{self.source}: {len(self.matched)} tensors loaded"]
        for title in ("missing", "unexpected", "misshapen"):
            names: list[str] = getattr(self, title)
            if names:
                shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
                lines.append(f"  {len(names)} {title}: {shown}")
        return "\n".join(lines)


def load_weights(
    module: nn.Module, path: str | Path, adapt: Callable[[State], State] | None = None
) -> LoadReport:
    """Fill a task with the weights of a file that fit it.

    Args:
        module: a task.
        path: a Lightning checkpoint of ours, or an official ALBEF .pth.
        adapt: what a task makes of weights that it starts from, see `TaskModule.adapt`. With it
            the queue stays behind, and is not missed.

    Returns:
        What was matched, missing, unexpected.

    Raises:
        InputError: the file is missing, unreadable or fits nothing.
    """
    state = read_state(path)
    if is_albef(state):
        state = from_albef(state, text_layers(module))
    if adapt:
        state = _adapted(state, adapt)
    report = fill(module, state, str(path))
    if adapt:
        missing = [k for k in report.missing if not k.startswith(QUEUE)]
        report = replace(report, missing=missing)
    if not report.matched:
        raise InputError(
            f"No tensor of {path} fits {type(module).__name__}: it holds names such as "
            f"{', '.join(list(state)[:3])}. Give init_from a checkpoint of softmask or an "
            f"official ALBEF file."
        )
    return report


def _adapted(state: State, adapt: Callable[[State], State]) -> State:
    """Apply a task's rule to the weights and to their twins alike; the queue is left out."""
    own = {k: v for k, v in state.items() if not k.startswith((QUEUE, TWIN))}
    twins = {k.removeprefix(TWIN): v for k, v in state.items() if k.startswith(TWIN)}
    adapted = adapt(own)
    if twins:
        adapted = adapted | {TWIN + k: v for k, v in adapt(twins).items()}
    return adapted


def read_state(path: str | Path) -> State:
    """The state dict in a checkpoint file, read without running code from it.

    Raises:
        InputError: no such file, or not a checkpoint of tensors and plain types.
    """
    content = _read(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise InputError(f"'{path}' holds a {type(content).__name__}, not a state dict.")
    return {k: v for k, v in content.items() if isinstance(v, Tensor)}


def check_checkpoint(path: str | Path) -> None:
    """Refuse what a run cannot go on from, before anything is built; tensors are not read.

    Raises:
        InputError: no such file, or not a checkpoint of a run.
    """
    content = _read(path, mmap=True)
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        raise InputError(
            f"'{path}' holds no checkpoint of a softmask run, which --ckpt_path needs: give a file "
            f"of its checkpoints folder. To start from bare weights use "
            f"--model.init_args.init_from instead."
        )


def _read(path: str | Path, mmap: bool = False) -> object:
    if not Path(path).is_file():
        raise InputError(f"There is no checkpoint at '{path}': correct the path.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # junk makes torch's reader raise nearly anything
        raise InputError(
            f"'{path}' cannot be read as a checkpoint of tensors and plain types "
            f"({first_line(error)}). Files that need code to be run are refused: save its state "
            f"dict alone with torch.save."
        ) from error


def compare(module: nn.Module, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Say which tensors of `state` fit into `module` by name and shape."""
    own = module.state_dict()
    misshapen = [
        f"{k} {tuple(state[k].shape)} for {tuple(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    matched = [k for k in own if k in state and state[k].shape == own[k].shape]
    return LoadReport(
        source,
        matched,
        [k for k in own if k not in state],
        [k for k in state if k not in own],
        misshapen,
    )


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Copy the tensors of `state` whose names and shapes fit into `module`, and say which."""
    report = compare(module, state, source)
    module.load_state_dict({k: state[k] for k in report.matched}, strict=False)
    return report


def text_layers(module: nn.Module) -> int:
    """How many BERT layers the module's text encoder keeps; the rest are fusion layers."""
    return int(module.backbone.text.layers)  # type: ignore[union-attr, arg-type]


def load_bert(module: nn.Module, name: str) -> LoadReport:
    """Start a task's text encoder, fusion encoder and word head from a BERT.

    Args:
        module: a task.
        name: a folder with a BERT checkpoint, or a name on the hub or in its cache.

    Returns:
        What was matched; cross-attention and the task's own heads are missing by nature.

    Raises:
        InputError: the checkpoint cannot be had, or it is of another width.
    """
    try:
        model = AutoModelForMaskedLM.from_pretrained(name)
    except Exception as error:  # besides OSError, whatever the reader of its format raises
        raise InputError(
            f"The BERT '{name}' could not be loaded ({first_line(error)}). Give "
            f"model.init_args.bert a folder that holds config.json and model.safetensors, fetch "
            f"it once into the Hugging Face cache (HF_HOME), or set it to null to train from "
            f"scratch."
        ) from error
    report = fill(module, from_bert(model.state_dict(), text_layers(module)), name)
    if report.misshapen or not report.matched:
        found = ", ".join(report.misshapen[:3]) or "none of its tensors has a name of BERT's"
        raise InputError(
            f"The BERT '{name}' does not fit this backbone: {found}. "
            f"Choose a backbone of its width (conf/backbone/) or another BERT."
        )
    return report
