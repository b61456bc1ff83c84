"""The folder that a model is shared as: weights, sizes, tokenizer, card; and the hub's copy of it.

`config.json` holds no class paths and the weights no code: what is fetched is data alone.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors.torch import save_file

from softmask.backbone import CONTRAST
from softmask.checkpoint import read_state
from softmask.config import ModelConfig, read_config
from softmask.errors import InputError, first_line
from softmask.renames import State
from softmask.tokenizer import PreTrainedTokenizerBase, load_tokenizer
from softmask.whole import replace_whole, write_text_whole

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


class Parts(NamedTuple):
    """A model in pieces."""

    source: str
    config: ModelConfig
    state: State
    tokenizer: PreTrainedTokenizerBase
    card: str


def write_folder(folder: Path, parts: Parts) -> None:
    """Write a model's pieces; the shared space only with the matching head that reads it."""
    unread = () if parts.config.matcher else CONTRAST
    kept = {k: v for k, v in parts.state.items() if not k.startswith(unread)}
    folder.mkdir(parents=True, exist_ok=True)
    # Cloned: safetensors takes no two names of one tensor, which two images' layers have.
    state = {name: tensor.detach().clone().contiguous() for name, tensor in kept.items()}
    partial = folder / f".{WEIGHTS}.partial"
    save_file(state, partial, metadata={"format": "pt"})
    # Sizes and answers of another model that lay here would fit these weights: no folder is read
    # without the file that comes last.
    (folder / CONFIG).unlink(missing_ok=True)
    replace_whole(partial, folder / WEIGHTS)
    parts.tokenizer.save_pretrained(folder)
    (folder / CARD).write_text(parts.card, encoding="utf-8")
    write_text_whole(folder / CONFIG, json.dumps(parts.config.to_dict(), indent=2) + "\n")


def read_folder(folder: Path) -> Parts:
    """The inverse of `write_folder`.

    Raises:
        InputError: a piece is missing or cannot be read.
    """
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{folder}' is neither a run nor a shared model: its {CONFIG} cannot be read "
            f"({first_line(error)}). Give a folder made by `softmask weights export` or `convert`, "
            f"or the folder of a run, which holds config.yaml."
        ) from error
    config = read_config(found, str(path))
    state = read_state(folder / WEIGHTS)
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    return Parts(str(folder), config, state, load_tokenizer(str(folder)), text)


def fetch(
    name: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | Path | None,
    local_files_only: bool,
) -> Path:
    """Bring a model's folder from the hub, or find it in the cache.

    Raises:
        InputError: there is no such model, or the hub cannot be reached.
    """
    try:
        folder = snapshot_download(
            name,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=[CONFIG, WEIGHTS, CARD, *TOKENIZER],
        )
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise InputError(
            f"There is no folder '{name}', and no model of that name could be had from the Hugging "
            f"Face hub ({first_line(error)}): correct the path or the ORGANISATION/NAME, or fetch "
            f"it once on a machine that reaches the hub."
        ) from error
    return Path(folder)


def pushed(send: Callable[[], object], name: str, folder: Path) -> str:
    """Send a model to the hub; gives what the hub says of it.

    Args:
        send: does so.
        name: ORGANISATION/NAME.
        folder: where the model lies already.

    Raises:
        InputError: the hub refuses it, or cannot be reached.
    """
    try:
        return str(send())
    except Exception as error:  # the hub's client has errors of its own, and the network's
        raise InputError(
            f"'{folder}' is written, but '{name}' could not be pushed to the Hugging Face hub "
            f"({first_line(error)}): log in by `hf auth login`, and give --push ORGANISATION/NAME "
            f"where you may write, on a machine that reaches the hub."
        ) from error
