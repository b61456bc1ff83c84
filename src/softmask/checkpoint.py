"""Files of weights, read without running code from them: torch's, safetensors, and folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from softmask.errors import InputError, first_line
from softmask.renames import State

FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
"""What a folder in the form of transformers holds, the better one first."""

CHECKPOINT_KEY, LISTED = "softmask", "answers"
"""Where a checkpoint of a run names its task, and there the answers that this task chooses from."""


class Content(NamedTuple):
    """What a file holds."""

    tensors: State
    beside: dict[str, object]  # what stands around the state dict, optimiser and epoch say


def read_content(path: str | Path, *, mmap: bool = False) -> Content:
    """Read a file of weights.

    Args:
        path: a torch file, bare or with its state dict under `state_dict` or `model`; a
            .safetensors file; or a folder that holds one of the two as transformers names them.
        mmap: leave tensors on the disk until they are read, where the format can.

    Raises:
        InputError: no such file, junk, or a file that needs code to be run.
    """
    file = file_of(path)
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    content = read_torch(file, mmap=mmap)
    beside: dict[str, object] = {}
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            beside |= {str(k): v for k, v in content.items() if k != key}
            content = content[key]
    if not isinstance(content, dict):
        raise InputError(f"'{path}' holds a {type(content).__name__}, not a state dict.")
    return Content({k: v for k, v in content.items() if isinstance(v, Tensor)}, beside)


def file_of(path: str | Path) -> Path:
    """The file of weights that a path means.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    if path.is_dir():
        for name in FOLDER_FILES:
            if (path / name).is_file():
                return path / name
        raise InputError(
            f"The folder '{path}' holds no weights ({' or '.join(FOLDER_FILES)}): give a file, or "
            f"a folder made by `softmask weights export` or by transformers."
        )
    if not path.is_file():
        raise InputError(f"There is no checkpoint at '{path}': correct the path.")
    return path


def listed_answers(content: Content) -> list[str]:
    """The answers that a run's checkpoint says it chooses from; none of another file."""
    written = content.beside.get(CHECKPOINT_KEY)
    return list(written.get(LISTED, ())) if isinstance(written, Mapping) else []


def read_state(path: str | Path) -> State:
    """The state dict in a file of weights; see `read_content`."""
    return read_content(path).tensors


def read_torch(path: str | Path, *, mmap: bool = False) -> object:
    """Whatever a file of torch's holds, if that is tensors and plain types.

    Raises:
        InputError: no such file, junk, or a file that needs code to be run.
    """
    if not Path(path).is_file():
        raise InputError(f"There is no checkpoint at '{path}': correct the path.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # junk makes torch's reader raise nearly anything
        if mmap and "mmap" in str(error):  # files older than torch 1.6
            return read_torch(path)
        raise InputError(
            f"'{path}' cannot be read as a checkpoint of tensors and plain types "
            f"({first_line(error)}). Files that need code to be run are refused: save its state "
            f"dict alone with torch.save."
        ) from error


def check_checkpoint(path: str | Path) -> None:
    """Refuse what a run cannot go on from, before anything is built; tensors are not read.

    Raises:
        InputError: no such file, or not a checkpoint of a run.
    """
    content = read_torch(path, mmap=True)
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        raise InputError(
            f"'{path}' holds no checkpoint of a softmask run, which --ckpt_path needs: give a file "
            f"of its checkpoints folder. To start from bare weights use "
            f"--model.init_args.init_from instead."
        )


def _read_safetensors(path: Path) -> Content:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Content(tensors, dict(file.metadata() or {}))
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path}' cannot be read as safetensors ({first_line(error)}): it is cut or another "
            f"kind of file. Fetch it again, or give torch's files an ending of their own."
        ) from error
