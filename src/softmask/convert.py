"""`softmask weights convert`: files of others as weights of ours, with nothing lost in silence."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import save_file

from softmask import __version__
from softmask.captions import CaptionOptions
from softmask.card import Facts, write_card
from softmask.checkpoint import file_of, read_content
from softmask.config import ModelConfig
from softmask.errors import InputError
from softmask.finetuned import MATCHING
from softmask.inspection import known_kind, renamed
from softmask.kinds import MADE_OF, NOTE, Kind
from softmask.load_report import LoadReport
from softmask.model import SoftMask
from softmask.renames import State
from softmask.runs import config_of_run, is_run, read_settings
from softmask.sharing import Parts, write_folder
from softmask.sizes import Named, config_of, read_sizes, usual_heads
from softmask.skeleton import check
from softmask.tokenizer import SHIPPED, load_tokenizer
from softmask.weights import QUEUE


class Source(NamedTuple):
    """Where weights come from."""

    path: Path
    kind: Kind


def convert_weights(
    file: Path,
    output: Path | None = None,
    strict: bool = True,
    text_layers: int | None = None,
    image_heads: int | None = None,
    text_heads: int | None = None,
    tokenizer: str = SHIPPED,
    license: str = "other",
) -> None:
    """Turn a file of weights into softmask's own; runs no code from it.

    Optimiser state and queue are left out. `--model.init_args.init_from` takes either output;
    `SoftMask.from_pretrained` takes the folder.

    Args:
        file: weights of ALBEF, LAVIS, BERT, timm or softmask: a file, or a folder that holds one.
        output: X.safetensors, for all of it by our names, twins and heads of tasks included, with
            its sizes in X.json; or a folder in the form of `SoftMask.save_pretrained`, for what has
            a matching head. None prints what would be matched and writes nothing.
        strict: write nothing unless all of it is known and nothing is missing.
        text_layers: of a BERT, that fill the text encoder; half of its layers unless given.
        image_heads: of a folder: attention heads of the ViT; its width / 64 unless given.
        text_heads: of a folder: heads of text and fusion encoder; width / 64 unless given.
        tokenizer: of a folder: the one that its texts were cut with, by name or folder.
        license: of the weights, for the folder's card, as the hub names it.

    Raises:
        InputError: the file is junk or of no known kind; or strict, and something did not match.
    """
    path = file_of(file)
    content = read_content(path, mmap=True)
    kind = known_kind(content, path)
    state = renamed(content, kind, text_layers)
    state = {k: v for k, v in state.items() if not k.startswith(QUEUE)}
    report = check(kind, content.tensors, state, str(path))
    print(f"{kind.title}\n{report.summary(shown=len(content.tensors))}")
    if strict:
        _refuse(report)
    if output is None:
        return
    wrong = {*report.unexpected, *(name.split(" ")[0] for name in report.misshapen)}
    kept = {k: v for k, v in state.items() if k not in wrong}
    source = Source(path, kind)
    if output.suffix == ".safetensors":
        _write_file(output, kept, source)
    else:
        heads = image_heads, text_heads
        _write_folder(output, kept, source, heads=heads, tokenizer=tokenizer, license=license)
    print(f"Written: {output}")


def _refuse(report: LoadReport) -> None:
    wrong = {name: getattr(report, name) for name in ("missing", "unexpected", "misshapen")}
    found = [f"{len(names)} {name}, such as {names[0]}" for name, names in wrong.items() if names]
    if found:
        raise InputError(
            f"'{report.source}' was not converted: of its tensors {'; '.join(found)}. Give "
            f"--strict false to keep what fits."
        )


def _write_file(output: Path, state: State, source: Source) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt", MADE_OF: source.kind.title, NOTE: source.kind.note}
    # Cloned: safetensors takes no two names of one tensor.
    save_file({k: v.clone().contiguous() for k, v in state.items()}, output, metadata=metadata)
    sizes = read_sizes(state)
    parts = {"image": sizes.image, "text": sizes.text, "fusion": sizes.fusion}
    found = {name: part._asdict() for name, part in parts.items() if part}
    noted = {**_origin(source), "sep": source.kind.sep, **found, "embed_dim": sizes.embed_dim}
    output.with_suffix(".json").write_text(json.dumps(noted, indent=2) + "\n")


def _write_folder(
    output: Path,
    state: State,
    source: Source,
    *,
    heads: tuple[int | None, int | None],
    tokenizer: str,
    license: str,
) -> None:
    if "matcher.weight" not in state:
        raise InputError(
            f"'{source.path}' ({source.kind.title}) has no matching head, which a model to share "
            f"needs: give --output X.safetensors, which --model.init_args.init_from reads. A "
            f"run of VQA or NLVR2 becomes a folder by `softmask weights export`."
        )
    config = _config(state, source, heads)
    facts = Facts(source.path.stem, _origin(source), license=license)
    shared = {k: v for k, v in state.items() if k.startswith(MATCHING)}
    pieces = load_tokenizer(tokenizer)
    write_folder(output, Parts(str(source.path), config, shared, pieces, write_card(facts)))
    SoftMask.from_pretrained(output)  # whoever gets it can load it


def _config(state: State, source: Source, heads: tuple[int | None, int | None]) -> ModelConfig:
    """Of a run's checkpoint, what the run says; else what is usual."""
    run = source.path.resolve().parent.parent
    if source.kind.is_ours and is_run(run):
        return config_of_run(read_settings(run), state)
    sizes = read_sizes(state)
    longest = min(CaptionOptions.max_tokens, sizes.text.max_positions if sizes.text else 0)
    captions = CaptionOptions(max_tokens=longest, sep=source.kind.sep)
    named = Named(usual_heads(sizes, *heads), captions=captions)
    return config_of(sizes, named, words="words.bias" in state)


def _origin(source: Source) -> dict[str, str]:
    with source.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "converted from": source.path.name,
        "kind": source.kind.title,
        "sha256": digest,
        "softmask": __version__,
    }
