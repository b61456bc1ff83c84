"""The folder of a run, read without Lightning: settings, checkpoint, what its test found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml  # type: ignore[import-untyped]

from softmask import __version__
from softmask.addresses import public
from softmask.backbone import Backbone
from softmask.captions import CaptionOptions
from softmask.card import LICENSE, Ability, Facts, ability_of, write_card
from softmask.checkpoint import Content, read_content, read_torch
from softmask.config import ModelConfig
from softmask.errors import InputError, first_line
from softmask.finetuned import MATCHED, FineTuned, fine_tuned
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.renames import State
from softmask.sharing import Parts
from softmask.sizes import Heads, Named, config_of, read_sizes
from softmask.tokenizer import SHIPPED, load_tokenizer

SETTINGS, CHECKPOINTS, REPORT = "config.yaml", "checkpoints", "report.json"
LAST = "last.ckpt"


class Run(NamedTuple):
    """A run that has ended, or rests."""

    folder: Path
    settings: dict[str, Any]
    checkpoint: Path


def is_run(folder: str | Path) -> bool:
    """Whether a folder is a run's."""
    return (Path(folder) / SETTINGS).is_file()


def open_run(folder: Path, checkpoint: str = "best") -> Run:
    """Read a run's settings and choose one of its checkpoints.

    Args:
        folder: of the run.
        checkpoint: "best", the one that its monitored value chose, else the last one; "last"; or a
            file's name.

    Raises:
        InputError: the folder is no run's, or has no such checkpoint.
    """
    return Run(folder, read_settings(folder), choose_checkpoint(folder / CHECKPOINTS, checkpoint))


def choose_checkpoint(folder: Path, checkpoint: str) -> Path:
    """One of a run's checkpoints.

    Args:
        folder: of the checkpoints.
        checkpoint: see `open_run`.

    Raises:
        InputError: there is none such.
    """
    if checkpoint == "best":
        checkpoint = _best(folder) or LAST
    named = LAST if checkpoint == "last" else checkpoint
    if not (folder / named).is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.ckpt"))) or "none"
        raise InputError(
            f"There is no checkpoint '{named}' in '{folder}': give best, last, or one of its files "
            f"({there})."
        )
    return folder / named


def read_settings(folder: Path) -> dict[str, Any]:
    """What config.yaml of a run says.

    Raises:
        InputError: the folder is no run's.
    """
    try:
        settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
        settings["model"]["init_args"]["backbone"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f"'{folder}' is not the folder of a run: its {SETTINGS} cannot be read as a run's "
            f"settings ({first_line(error)}). Give a folder such as runs/version_0."
        ) from error
    return dict(settings)


def read_run(folder: Path, checkpoint: str = "best", license: str = LICENSE) -> Parts:
    """A run as a model to share.

    Args:
        folder: of the run.
        checkpoint: see `open_run`.
        license: of the weights, for the card.

    Raises:
        InputError: the run cannot be read, or its task is none that a shared model can do.
    """
    run = open_run(folder, checkpoint)
    content = read_content(run.checkpoint)
    tuned = fine_tuned(_task(run), run.settings, content)
    state = tuned.kept(content.tensors)
    if tuned.matches and "matcher.weight" not in state:
        raise InputError(
            f"'{folder}' trained {_task(run)}, which has no matching head, so it is no SoftMask "
            f"model: build its task with softmask.tasks.load_task('{folder}')."
        )
    config = config_of_run(run.settings, state, tuned)
    tokenizer = load_tokenizer(tokenizer_of_run(run.settings))
    size = sum(v.numel() for v in state.values())
    card = write_card(_facts(run, content, size, license, ability_of(config)))
    return Parts(str(run.checkpoint), config, state, tokenizer, card)


def tokenizer_of_run(settings: Mapping[str, Any]) -> str:
    """The one that a run cut its texts with."""
    return str(_text(settings).get("tokenizer", SHIPPED))


def config_of_run(
    settings: Mapping[str, Any], state: State, tuned: FineTuned = MATCHED
) -> ModelConfig:
    """The model that a run trained.

    Args:
        settings: of config.yaml.
        state: its weights, of which the sizes are read.
        tuned: what it was fine-tuned for.

    Raises:
        InputError: the backbone is one of the user's own making.
    """
    model = settings["model"]["init_args"]
    backbone = _plain(model["backbone"], Backbone)
    image = _plain(backbone["image"], ImageEncoder)
    text, fusion = _plain(backbone["text"], TextEncoder), _plain(backbone["fusion"], FusionEncoder)
    soft_mask = model.get("soft_mask") or {}
    named = Named(
        Heads(_image_heads(image), text["heads"], fusion["heads"]),
        image["name"],
        tuple(image["mean"]),
        tuple(image["std"]),
        image.get("reach"),
        _captions(settings, text["max_positions"]),
        soft_mask.get("layer"),
        soft_mask.get("by_max", False),
    )
    sizes = tuned.sizes(read_sizes(state))
    return tuned.config(config_of(sizes, named, words="words.bias" in state))


def _plain(given: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Arguments of a part, if it is of our own class."""
    path = str(given.get("class_path", ""))
    if path.rpartition(".")[2] != kind.__name__ or not path.startswith("softmask."):
        raise InputError(
            f"This run's {kind.__name__} is of the class {path or 'unknown'}: a model is shared as "
            f"sizes and weights, without code. Build its task with softmask.tasks.load_task."
        )
    return dict(given["init_args"])


def _image_heads(image: Mapping[str, Any]) -> int:
    """What the settings say, or what timm's model of that name has."""
    if image.get("heads") is not None:
        return int(image["heads"])
    keys = ("name", "patch_size", "width", "depth")
    with torch.device("meta"):
        return ImageEncoder(**{k: image[k] for k in keys if k in image}).heads


def _text(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the texts; another data module's may be named otherwise."""
    return dict(settings.get("data", {}).get("init_args", {}).get("text") or {})


def _captions(settings: Mapping[str, Any], positions: int) -> CaptionOptions:
    """How texts are cut in evaluation, where questions may be longer than in training.

    Where settings leave more tokens than the text encoder has positions, no text was that long.
    """
    text, data = _text(settings), settings.get("data", {}).get("init_args", {})
    found: dict[str, Any] = {
        k: text[k] for k in ("max_words", "max_tokens", "sep", "punctuation") if k in text
    }
    longer = {"eval_words": "max_words", "eval_tokens": "max_tokens"}
    found |= {own: data[name] for name, own in longer.items() if name in data}
    most = min(found.pop("max_tokens", CaptionOptions.max_tokens), positions)
    return CaptionOptions(max_tokens=most, **found)


def _best(folder: Path) -> str | None:
    """The file that ModelCheckpoint chose, by the last checkpoint's word."""
    if not (folder / LAST).is_file():
        return None
    content = read_torch(folder / LAST, mmap=True)
    callbacks = content.get("callbacks", {}) if isinstance(content, dict) else {}
    for state in callbacks.values():
        # Where nothing is monitored, ModelCheckpoint calls its latest file the best one.
        chose = isinstance(state, dict) and state.get("monitor")
        path = state.get("best_model_path") if chose else None
        # The run may have been moved since: its name counts, not its folder.
        if path and (folder / Path(path).name).is_file():
            return Path(path).name
    return None


def _task(run: Run) -> str:
    return str(run.settings["model"].get("class_path", "")).rpartition(".")[2]


def _facts(run: Run, content: Content, size: int, license: str, ability: Ability) -> Facts:
    beside = content.beside
    step = int(str(beside.get("global_step", 0)))
    hashes = [v["hash"] for v in beside.values() if isinstance(v, dict) and "hash" in v]
    table = {
        "task": f"`{_task(run)}`",
        "parameters": f"{size:,}",
        "trained for": f"{step:,} steps, epoch {beside.get('epoch', 0)}",
        "training data's hash": f"`{hashes[0]}`" if hashes else "not known",
        "checkpoint": f"`{run.checkpoint.name}`",
        "softmask": __version__,
    }
    metrics, tested_on = _metrics(run.folder / REPORT, step)
    settings = yaml.safe_dump(_public(run.settings), sort_keys=False)
    return Facts(run.folder.resolve().name, table, metrics, tested_on, settings, license, ability)


def _metrics(path: Path, step: int) -> tuple[dict[str, float], str]:
    """Numbers of the run's last test, if they are this checkpoint's."""
    if not path.is_file():
        return {}, Facts.tested_on
    report = json.loads(path.read_text(encoding="utf-8"))
    if report.get("steps") != step:
        return {}, (
            f"The run's last test was of step {report.get('steps')}, these are the weights of step "
            f"{step}: its figures are not given."
        )
    asides = ("steps", "parameters", "train_seconds", "corpus")
    numbers = {k: v for k, v in _flat(report).items() if k not in asides}
    return numbers, f"Tested on `{Path(public(str(report.get('corpus', 'unknown')))).name}`."


def _flat(report: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a report by path, such as itc/i2t/r1."""
    numbers: dict[str, float] = {}
    for name, value in report.items():
        if isinstance(value, Mapping):
            numbers |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            numbers[prefix + name] = value
    return numbers


def _public(value: object) -> object:
    """Settings without what is above a file, and what is secret of an address, for a card."""
    if isinstance(value, Mapping):
        return {name: _public(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_public(item) for item in value]
    return public(value) if isinstance(value, str) else value
