"""Weights from elsewhere: our checkpoints, official ALBEF files, BERT, ViTs; what fits is reported.

Positions of another resolution are resampled on the way.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from softmask.checkpoint import check_checkpoint, read_content, read_state
from softmask.errors import InputError, first_line
from softmask.kinds import recognise
from softmask.load_report import LoadReport
from softmask.positions import fit_positions
from softmask.renames import TWIN, State, from_bert

__all__ = [
    "LoadReport",
    "check_checkpoint",
    "compare",
    "compare_states",
    "fill",
    "load_bert",
    "load_weights",
    "read_state",
    "text_layers",
]

QUEUE = "queue."
"""Its pairs are of another run: no weights to start from."""


def load_weights(
    module: nn.Module, path: str | Path, adapt: Callable[[State], State] | None = None
) -> LoadReport:
    """Fill a task with the weights of a file that fit it.

    Args:
        module: a task.
        path: a Lightning checkpoint of ours, a folder that `SoftMask.save_pretrained` made, an
            official ALBEF .pth, or a BERT's or ViT's file, which fills its part.
        adapt: what a task makes of weights that it starts from, see `TaskModule.adapt`. With it
            queue and twins stay behind and are not missed: `loaded_weights` makes them anew.

    Returns:
        What was matched, missing, unexpected.

    Raises:
        InputError: the file is missing, unreadable or fits nothing.
    """
    content = read_content(path)
    kind = recognise(content.tensors, content.beside, path)
    # A file of nobody's that we know may still fit by its names.
    state = kind.rename(content.tensors, text_layers(module)) if kind else content.tensors
    if adapt:
        state = adapt({k: v for k, v in state.items() if not k.startswith((QUEUE, TWIN))})
    report = fill(module, state, str(path))
    if adapt:
        missing = [name for name in report.missing if not name.startswith((QUEUE, TWIN))]
        report = replace(report, missing=missing)
    if kind:
        report = replace(report, note=kind.note)
        if kind.rename is from_bert:
            _check_bert(report)
    if not report.matched:
        raise InputError(
            f"No tensor of {path} fits {type(module).__name__}: it holds names such as "
            f"{', '.join(list(state)[:3])}. Give init_from a checkpoint of softmask or an "
            f"official ALBEF file."
        )
    return report


def compare(module: nn.Module, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Say which tensors of `state` fit into `module` by name and shape."""
    return compare_states(module.state_dict(), state, source)


def compare_states(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str
) -> LoadReport:
    """Say which tensors of `state` fit into `own`, a module's state dict, by name and shape."""
    shapes = {k: tuple(v.shape) for k, v in own.items()}
    theirs = {k: tuple(v.shape) for k, v in state.items()}
    shared = [k for k in shapes if k in theirs]
    missing = [k for k in shapes if k not in theirs]
    unexpected = [k for k in theirs if k not in shapes]
    return LoadReport(
        source,
        [k for k in shared if theirs[k] == shapes[k]],
        missing,
        unexpected,
        [f"{k} {theirs[k]} for {shapes[k]}" for k in shared if theirs[k] != shapes[k]],
        shapes={k: (theirs | shapes)[k] for k in [*missing, *unexpected]},
    )


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Copy the tensors of `state` whose names and shapes fit into `module`, and say which.

    Positions of another size are brought to the module's, see `fit_positions`.
    """
    own = module.state_dict()
    fitted = fit_positions(own, state)
    report = compare(module, {**state, **fitted}, source)
    module.load_state_dict({k: fitted.get(k, state[k]) for k in report.matched}, strict=False)
    resampled = [f"{k} {tuple(state[k].shape)} to {tuple(v.shape)}" for k, v in fitted.items()]
    return replace(report, resampled=resampled)


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
    _check_bert(report)
    return report


def _check_bert(report: LoadReport) -> None:
    if report.misshapen or not report.matched:
        found = ", ".join(report.misshapen[:3]) or "none of its tensors has a name of BERT's"
        raise InputError(
            f"The BERT '{report.source}' does not fit this backbone: {found}. "
            f"Choose a backbone of its width (conf/backbone/) or another BERT."
        )
