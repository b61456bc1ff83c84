"""`softmask weights convert`: files of others as weights of ours, with nothing lost in silence."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from softmask import __version__
from softmask.captions import CaptionOptions
from softmask.card import Facts, ability_of, write_card
from softmask.checkpoint import Content, file_of, read_content
from softmask.config import ModelConfig
from softmask.errors import InputError
from softmask.finetuned import CUT, HEADS, FineTuned, fine_tuned_file
from softmask.inspection import known_kind, renamed
from softmask.kinds import MADE_OF, NOTE, PUNCTUATION, SEP, TASK, Source
from softmask.load_report import LoadReport
from softmask.model import SoftMask
from softmask.renames import State, untied
from softmask.runs import config_of_run, is_run, read_settings, tokenizer_of_run
from softmask.sharing import Parts, write_folder
from softmask.sizes import Named, config_of, read_sizes, usual_heads
from softmask.skeleton import check
from softmask.tokenizer import SHIPPED, load_tokenizer
from softmask.weights import QUEUE

PAIRED = ("Nlvr2Task", "Nlvr2PretrainTask")
"""Tasks whose backbone sees two images."""
OTHER = "other"
"""A license, in the hub's words, of weights of which we know none."""


def convert_weights(
    file: Path,
    output: Path | None = None,
    strict: bool = True,
    text_layers: int | None = None,
    image_heads: int | None = None,
    text_heads: int | None = None,
    tokenizer: str | None = None,
    license: str | None = None,
    answers: Path | None = None,
    double_first: bool = False,
) -> None:
    """Turn a file of weights into softmask's own; runs no code from it.

    Optimiser state and queue are left out. `--model.init_args.init_from` takes either output;
    `SoftMask.from_pretrained` takes the folder.

    Args:
        file: weights of ALBEF, LAVIS, BERT, timm or softmask: a file, or a folder that holds one.
        output: X.safetensors, for all of it by our names, twins and heads of tasks included, with
            its sizes in X.json; or a folder in the form of `SoftMask.save_pretrained`, for what
            matches, answers (VQA), judges statements (NLVR2) or entailment (SNLI-VE). None prints
            what would be matched and writes nothing.
        strict: write nothing unless all of it is known and nothing is missing.
        text_layers: of a BERT, that fill the text encoder; half of its layers unless given.
        image_heads: of a folder: attention heads of the ViT; its width / 64 unless given. A run's
            checkpoint has its own heads.
        text_heads: of a folder: heads of text and fusion encoder; width / 64 unless given.
        tokenizer: of a folder: the one that its texts were cut with, by name or folder; the run's
            own, else bert-base-uncased, unless given.
        license: of the weights, for the folder's card, as the hub names it; other unless given.
        answers: of a folder of VQA, which needs it: JSON file with the list to choose from, such
            as ALBEF's answer_list.json.
        double_first: of a folder of VQA: rank as ALBEF's code does, which counts the first word
            piece of an answer twice.

    Raises:
        InputError: the file is junk or of no known kind; the list of answers is missing or for
            something else; an option has no effect here; or strict, and something did not match.
    """
    heads = image_heads, text_heads
    if output is None or output.suffix == ".safetensors":
        given: dict[str, object] = {
            "--image_heads": image_heads,
            "--text_heads": text_heads,
            "--license": license,
        }
        given |= {"--tokenizer": tokenizer, "--answers": answers, "--double_first": double_first}
        _refuse_idle([name for name, value in given.items() if value])
    path = file_of(file)
    content = read_content(path, mmap=True)
    kind = known_kind(content, path)
    source = Source(path, kind)
    folder = output if output and output.suffix != ".safetensors" else None
    tuned = _tuned(source, content, folder, answers, double_first)
    state = renamed(content, kind, text_layers)
    state = {k: v for k, v in state.items() if not k.startswith(QUEUE)}
    report = check(kind, state, str(path))
    print(f"{kind.title}\n{report.summary(shown=len(content.tensors))}")
    if strict:
        _refuse(report)
        _refuse_untied(source, state)
    if output is None:
        return
    wrong = {*report.unexpected, *(name.split(" ")[0] for name in report.misshapen)}
    kept = {k: v for k, v in state.items() if k not in wrong}
    if tuned is not None:
        cut, terms = tokenizer or _tokenizer(source), license or OTHER
        parts = _parts(kept, source, tuned, heads=heads, tokenizer=cut, license=terms)
        write_folder(output, parts)
    else:
        _write_file(output, kept, source)
    print(f"Written: {output}")


def _refuse_idle(options: Sequence[str]) -> None:
    """Refuse what only a folder keeps."""
    if options:
        raise InputError(
            f"{', '.join(options)} would have no effect without a folder: give --output FOLDER, or "
            f"leave it out. A task that starts from X.safetensors has settings of its own."
        )


def _refuse(report: LoadReport) -> None:
    wrong = {name: getattr(report, name) for name in ("missing", "unexpected", "misshapen")}
    found = [f"{len(names)} {name}, such as {names[0]}" for name, names in wrong.items() if names]
    if found:
        raise InputError(
            f"'{report.source}' was not converted: of its tensors {'; '.join(found)}. Give "
            f"--strict false to keep what fits."
        )


def _refuse_untied(source: Source, state: State) -> None:
    wrong = untied(state) if source.kind.task in PAIRED else []
    if wrong:
        raise InputError(
            f"'{source.path}' was not converted: it looks like {source.kind.title}, whose two "
            f"images share keys and values, but {len(wrong)} tensors such as {wrong[0]} differ "
            f"from the left image's, so it may be another model. Give --strict false to take the "
            f"right image's for both, as the official code does."
        )


def _tuned(
    source: Source, content: Content, folder: Path | None, answers: Path | None, double_first: bool
) -> FineTuned | None:
    """What a folder will be asked; None where none is to be written."""
    if folder is None:
        return None
    task, run = source.kind.task, _run(source)
    if run and task in HEADS:
        raise InputError(
            f"'{source.path}' belongs to a run of {task}: `softmask weights export {run}` makes a "
            f"folder of it, with the settings of the run."
        )
    return fine_tuned_file(source, content, answers, double_first)


def _write_file(output: Path, state: State, source: Source) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    kind = source.kind
    metadata = {"format": "pt", MADE_OF: kind.title, NOTE: kind.note, TASK: kind.task}
    metadata |= {SEP: str(kind.sep), PUNCTUATION: kind.punctuation}
    # Cloned: safetensors takes no two names of one tensor.
    save_file({k: v.clone().contiguous() for k, v in state.items()}, output, metadata=metadata)
    sizes = read_sizes(state)
    parts = {"image": sizes.image, "text": sizes.text, "fusion": sizes.fusion}
    found = {name: part._asdict() for name, part in parts.items() if part}
    noted = {**_origin(source), SEP: kind.sep, PUNCTUATION: kind.punctuation, **found}
    noted["embed_dim"] = sizes.embed_dim
    output.with_suffix(".json").write_text(json.dumps(noted, indent=2) + "\n")


def _parts(
    state: State,
    source: Source,
    tuned: FineTuned,
    *,
    heads: tuple[int | None, int | None],
    tokenizer: str,
    license: str,
) -> Parts:
    """A folder's pieces, of which a model was built: whoever gets it can load it."""
    if tuned.matches and "matcher.weight" not in state:
        raise InputError(
            f"'{source.path}' ({source.kind.title}) has no matching head and none of VQA, NLVR2 or "
            f"SNLI-VE, of which a model to share needs one: give --output X.safetensors, which "
            f"--model.init_args.init_from reads."
        )
    config = _config(state, source, tuned, heads)
    facts = Facts(source.path.stem, _origin(source), license=license, ability=ability_of(config))
    pieces = load_tokenizer(tokenizer)
    parts = Parts(str(source.path), config, tuned.kept(state), pieces, write_card(facts))
    SoftMask.of_parts(parts)
    return parts


def _config(
    state: State, source: Source, tuned: FineTuned, heads: tuple[int | None, int | None]
) -> ModelConfig:
    """Of a run's checkpoint, what the run says; else what is usual."""
    if run := _run(source):
        if heads != (None, None):
            raise InputError(
                f"'{source.path}' belongs to the run '{run}', whose settings name its heads: leave "
                f"--image_heads and --text_heads out."
            )
        return config_of_run(read_settings(run), state)
    sizes = tuned.sizes(read_sizes(state))
    usual = CUT.get(source.kind.task, CaptionOptions())
    longest = min(usual.max_tokens, sizes.text.max_positions if sizes.text else 0)
    kind = source.kind
    captions = replace(usual, max_tokens=longest, sep=kind.sep, punctuation=kind.punctuation)
    named = Named(usual_heads(sizes, *heads), captions=captions)
    return tuned.config(config_of(sizes, named, words=tuned.matches and "words.bias" in state))


def _run(source: Source) -> Path | None:
    """The run that a checkpoint of ours lies in."""
    run = source.path.resolve().parent.parent
    return run if source.kind.is_ours and is_run(run) else None


def _tokenizer(source: Source) -> str:
    """Of a run's checkpoint, what the run's texts were cut with; else the usual one."""
    run = _run(source)
    return tokenizer_of_run(read_settings(run)) if run else SHIPPED


def _origin(source: Source) -> dict[str, str]:
    with source.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "converted from": source.path.name,
        "kind": source.kind.title,
        "sha256": digest,
        "softmask": __version__,
    }
