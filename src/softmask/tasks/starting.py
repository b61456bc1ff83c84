"""What a task starts from, or goes on from, is looked at: what is wrong is said in words."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from softmask.batch import CutTexts, GivesQuestions, GivesTexts
from softmask.checkpoint import CHECKPOINT_KEY
from softmask.errors import InputError
from softmask.nn import TextEncoder
from softmask.tokenizer import load_tokenizer
from softmask.weights import LoadReport, compare

HALF = ("bf16-true", "16-true", "transformer-engine", "transformer-engine-float16")
"""Precisions of Lightning's that keep weights in half precision."""


def refuse_half_weights(precision: str | int) -> None:
    """Refuse to train weights of half precision.

    Args:
        precision: of the trainer.

    Raises:
        InputError: names the two that do.
    """
    if precision in HALF:
        raise InputError(
            f"trainer.precision {precision} keeps weights in half precision, in which steps of "
            f"AdamW and of momentum twins round to nothing: train with bf16-mixed, which computes "
            f"in it too, or with 32-true."
        )


def refuse_unreadable(encoder: TextEncoder, data: object) -> None:
    """Refuse to train on texts that the text encoder cannot read.

    Args:
        encoder: of the backbone.
        data: of the run; what does not tell how its texts are cut passes.

    Raises:
        InputError: too many word pieces, or too many tokens.
    """
    if not (isinstance(data, GivesTexts) and isinstance(data.text, CutTexts)):
        return
    sizes, name = encoder.bert.config, data.text.tokenizer
    pieces = len(load_tokenizer(name))
    if pieces > sizes.vocab_size:
        raise InputError(
            f"data.init_args.text.tokenizer is {name!r}, which gives {pieces} word pieces, but the "
            f"backbone's text.vocab_size is {sizes.vocab_size}: give {pieces} at least, or the "
            f"tokenizer that its weights were trained with."
        )
    longest = {"text.max_tokens": data.text.max_tokens}
    if isinstance(data, GivesQuestions):
        longest["eval_tokens"] = data.eval_tokens
    for option, tokens in longest.items():
        if tokens > (most := sizes.max_position_embeddings):
            raise InputError(
                f"data.init_args.{option} is {tokens}, but the backbone's text.max_positions is "
                f"{most}: give {most} at most."
            )


def refuse_other(
    task: nn.Module, checkpoint: Mapping[str, Any], groups: Mapping[str, Any] | None
) -> None:
    """Refuse the checkpoint of another task or of another size.

    Args:
        task: that is to be filled.
        checkpoint: as Lightning keeps it.
        groups: settings on which the optimiser's state depends; None when there is no optimiser.

    Raises:
        InputError: names both tasks, both groups, or the tensors that do not fit.
    """
    kind = type(task).__name__
    written = checkpoint.get(CHECKPOINT_KEY, {})
    if (other := written.get("task", "something else than softmask")) != kind:
        raise InputError(
            f"The checkpoint given by --ckpt_path was written by {other}, but this run is a "
            f"{kind}. To start from its weights use --model.init_args.init_from=PATH; to resume it "
            f"use the config.yaml of its run."
        )
    # Checkpoints from before there were such settings say nothing of them.
    before = written.get("groups", {"layer_decay": 1.0, "freeze": []})
    if groups is not None and before != groups:
        raise InputError(
            f"The checkpoint given by --ckpt_path was written under {before} and this run has "
            f"{groups}: resume with its own --model.init_args.optim, or start anew from its "
            f"weights with --model.init_args.init_from=PATH."
        )
    report = compare(task, checkpoint["state_dict"], "--ckpt_path")
    wrong = {n: getattr(report, n) for n in ("missing", "unexpected", "misshapen")}
    found = [f"{len(names)} {n}, such as {names[0]}" for n, names in wrong.items() if names]
    if found:
        raise InputError(
            f"The checkpoint given by --ckpt_path holds a {kind} of another size: of its "
            f"tensors {'; '.join(found)}. Resume with the config.yaml of its run, or take what "
            f"fits with --model.init_args.init_from=PATH."
        )


def warn_of_settings(differ: Mapping[str, tuple[Any, Any]]) -> None:
    """Say what a run that goes on does otherwise than before."""
    if differ:
        said = ", ".join(f"{name} is {own}, where {old} was" for name, (old, own) in differ.items())
        rank_zero_warn(f"The optimiser goes on with other settings than its checkpoint's: {said}.")


def warn_of_unfilled(report: LoadReport) -> None:
    """Say aloud when a whole part of the backbone got nothing: heads may well be new."""
    unfilled = [part for part in report.unfilled() if part.startswith("backbone.")]
    if unfilled:
        rank_zero_warn(
            f"{report.source} filled nothing of {', '.join(unfilled)}: this stays as it was before "
            f"init_from, drawn at random or from model.init_args.bert. If that is not meant, "
            f"compare the sizes of the backbone with `softmask weights inspect`."
        )
