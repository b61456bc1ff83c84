"""`softmask export`: the two towers as programs that run without softmask."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from softmask import __version__
from softmask.ask.opening import Opened, open_model
from softmask.errors import InputError
from softmask.towers import (
    Run,
    Tower,
    check_onnx,
    difference,
    exported,
    towers,
    write_onnx,
    write_program,
)

RECORD = "export.json"
WRITTEN = tuple(
    f"{tower}.{ending}" for tower in ("image", "text") for ending in ("pt2", "onnx", "onnx.data")
)
"""What an export may have left."""


def export(
    model: str,
    output: Path = Path("exported"),
    onnx: bool = False,
    tolerance: float = 1e-4,
    checkpoint: str = "best",
) -> None:
    """Write image encoder and text encoder, each with its projection, for programs of others.

    image.pt2 and text.pt2 are torch.export's: torch.export.load(FILE).module() runs them. They take
    any number of pictures or texts; texts may have any length up to the model's. export.json says
    what goes in, and the tokenizer lies beside. Each file is read again and compared with the model
    on random inputs of several sizes; nothing is written when one differs too much.

    Args:
        model: folder of a run, of `softmask weights export` or `convert`, or a name on the hub.
        output: folder to write; made if missing.
        onnx: also write image.onnx and text.onnx, which needs softmask[onnx].
        tolerance: most that a feature's number, between -1 and 1, may differ.
        checkpoint: of a run: best, last, or a file's name.

    Raises:
        InputError: the model cannot be used, a package is missing, or a file differs too much.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}: give a number between 0 and 1, such as 1e-4.")
    if onnx:
        check_onnx()
    opened = open_model(model, checkpoint, "cpu", "float32")
    output.mkdir(parents=True, exist_ok=True)
    print(f"{'file':<12}{'inputs':>8}{'largest difference':>22}{'allowed':>10}")
    with TemporaryDirectory(dir=output) as folder:
        apart = _write(opened, Path(folder), onnx=onnx, tolerance=tolerance)
        record = {**_record(opened, model), "tolerance": tolerance, "difference": apart}
        (Path(folder) / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        opened.model.captions.tokenizer.save_pretrained(folder)
        # The record comes last, and an older one goes first: what it stands beside belongs to it.
        for name in (RECORD, *WRITTEN):
            (output / name).unlink(missing_ok=True)
        names = sorted(path.name for path in Path(folder).iterdir())
        for name in [*(name for name in names if name != RECORD), RECORD]:
            shutil.move(Path(folder) / name, output / name)
    print(f"Written to {output}: {', '.join([*apart, RECORD])} and the tokenizer")


def _write(opened: Opened, folder: Path, *, onnx: bool, tolerance: float) -> dict[str, float]:
    """Export both towers, and give how much each file differs."""
    apart = {}
    for name, tower in towers(opened.model.backbone, opened.model.config).items():
        program = exported(tower)
        runs = {f"{name}.pt2": write_program(program, folder / f"{name}.pt2")}
        if onnx:
            path = folder / f"{name}.onnx"
            runs[path.name] = write_onnx(program, tower, path)
        for file, run in runs.items():
            apart[file] = _compared(file, tower, run, tolerance)
    return apart


def _compared(file: str, tower: Tower, run: Run, tolerance: float) -> float:
    apart = difference(tower, run)
    print(f"{file:<12}{len(tower.samples):>8}{apart:>22.2e}{tolerance:>10.0e}")
    if not apart <= tolerance:  # also where it is no number
        raise InputError(
            f"{file} gives other features than the model: the largest difference is {apart:.2e}, "
            f"more than the {tolerance:.0e} allowed, and nothing was written. Give --tolerance if "
            f"that is enough, or try other versions of torch and of the packages of ONNX."
        )
    return apart


def _record(opened: Opened, source: str) -> dict[str, Any]:
    """What goes into the towers."""
    config, special = opened.model.config, opened.model.captions.tokenizer
    side = config.image.image_size
    captions = config.captions
    ends = f", then [SEP] ({special.sep_token_id})" if captions.sep else ""
    return {
        "model": Path(source).name,
        "fingerprint": opened.fingerprint,
        "softmask": __version__,
        "image": {
            "pixels": f"uint8 (batch, 3, {side}, {side}), RGB, resized to the square by bicubic "
            f"interpolation with antialiasing; normalising is inside",
            "feature": f"float32 (batch, {config.embed_dim}), of unit length",
        },
        "text": {
            "input_ids": f"int64 (batch, length): [CLS] ({special.cls_token_id}), at most "
            f"{captions.max_words} words as word pieces of tokenizer.json, cut to "
            f"{captions.max_tokens} tokens in all{ends}, filled up with {special.pad_token_id}",
            "mask": "bool (batch, length), true on tokens that do not fill up",
            "feature": f"float32 (batch, {config.embed_dim}), of unit length",
        },
    }
