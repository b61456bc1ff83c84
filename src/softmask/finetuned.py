"""What of a run becomes a model to share: which weights, by which task it was fine-tuned."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from softmask.captions import CaptionOptions
from softmask.checkpoint import Content, listed_answers
from softmask.config import AnswerConfig, ModelConfig
from softmask.errors import InputError
from softmask.kinds import Source
from softmask.renames import State
from softmask.sizes import Sizes

MATCHING = ("backbone.", "matcher.", "words.")
"""What is shared of a task that matches: no twins, no queue."""
DECODER, CLASSES, PAIRS, ENTAILS = "VqaTask", "VqaClassTask", "Nlvr2Task", "EntailmentTask"
HEADS = {DECODER: "decoder.", CLASSES: "head.", PAIRS: "head.", ENTAILS: "head."}
"""What else, of tasks that do not match."""
EMBED_DIM = 256
"""ALBEF's, where a task that does not match left its shared space away."""
QUESTION, SENTENCE = CaptionOptions(max_words=50, max_tokens=512), CaptionOptions(max_tokens=128)
CUT = {
    "RetrievalTask": CaptionOptions(max_tokens=30),
    "GroundingTask": CaptionOptions(max_tokens=30),
    **{DECODER: QUESTION, CLASSES: QUESTION, PAIRS: SENTENCE, ENTAILS: SENTENCE},
}
"""How ALBEF's evaluation cuts the texts of a task, as conf/data says it."""


class FineTuned(NamedTuple):
    """What a task was, beside its backbone."""

    prefixes: tuple[str, ...] = MATCHING  # of the tensors to share
    answers: AnswerConfig | None = None
    truth: bool = False
    entailment: bool = False

    @property
    def matches(self) -> bool:
        """Whether it has a matching head, as pretraining and retrieval have."""
        return self.prefixes == MATCHING

    def kept(self, tensors: State) -> State:
        """The tensors to share."""
        return {name: tensor for name, tensor in tensors.items() if name.startswith(self.prefixes)}

    def sizes(self, found: Sizes) -> Sizes:
        """Sizes of a backbone of one image, which two double, with a shared space."""
        if not self.matches and found.embed_dim is None:
            found = found._replace(embed_dim=EMBED_DIM)
        if not self.truth or found.fusion is None:
            return found
        layers = found.fusion.layers // 2
        return found._replace(fusion=found.fusion._replace(layers=layers))

    def config(self, base: ModelConfig) -> ModelConfig:
        """Of a matching model of the same backbone, that of this one."""
        return replace(
            base,
            matcher=self.matches,
            answers=self.answers,
            truth=self.truth,
            entailment=self.entailment,
        )


MATCHED = FineTuned()
"""A task that was none of those."""


def fine_tuned(task: str, settings: Mapping[str, Any], content: Content) -> FineTuned:
    """Read what a run trained.

    Args:
        task: name of its class.
        settings: of its config.yaml.
        content: of its checkpoint.

    Raises:
        InputError: its list of answers is nowhere.
    """
    if task not in HEADS:
        return MATCHED
    if task in (PAIRS, ENTAILS):
        return _classified(task)
    options = settings["model"]["init_args"]
    ranking = options.get("ranking") or {}
    given = {"k_test": "ranked", "double_first": "double_first"}
    found = {own: ranking[name] for name, own in given.items() if name in ranking}
    listed = tuple(_listed(options, content))
    return FineTuned(_prefixes(task), AnswerConfig(listed, classes=task == CLASSES, **found))


def fine_tuned_file(
    source: Source, content: Content, answers: Path | None, double_first: bool
) -> FineTuned:
    """Say what a file of weights was fine-tuned for; its kind tells.

    Args:
        source: the file.
        content: of it.
        answers: JSON file with the list that a model of VQA chooses from; a checkpoint's own
            unless given.
        double_first: whether a decoder counts the first word piece of an answer twice.

    Raises:
        InputError: the list is missing, cannot be read, is another model's, or there is nothing to
            answer.
    """
    task, title = source.kind.task, f"'{source.path}' is {source.kind.title}"
    if (answers and task not in (DECODER, CLASSES)) or (double_first and task != DECODER):
        flag = "--answers" if answers else "--double_first"
        raise InputError(
            f"{flag} was given, but {title}, which ranks no answers: leave it out, or give the "
            f"file of a model that was fine-tuned for VQA."
        )
    if task not in (DECODER, CLASSES):
        return _classified(task) if task in HEADS else MATCHED
    listed = _read(answers) if answers else listed_answers(content)
    if not listed:
        raise InputError(
            f"{title}, which chooses from a list of answers that the file does not hold: give "
            f"--answers FILE, a JSON list of texts; ALBEF's is answer_list.json."
        )
    head = content.tensors.get("head.2.weight")
    if task == CLASSES and head is not None and len(head) != len(listed):
        raise InputError(
            f"{title} and has {len(head)} classes, but '{answers}' lists {len(listed)} answers: "
            f"give the list that the model was trained with, in its order."
        )
    config = AnswerConfig(tuple(listed), classes=task == CLASSES, double_first=double_first)
    return FineTuned(_prefixes(task), config)


def _classified(task: str) -> FineTuned:
    return FineTuned(_prefixes(task), truth=task == PAIRS, entailment=task == ENTAILS)


def _prefixes(task: str) -> tuple[str, ...]:
    return ("backbone.", HEADS[task])


def _listed(options: Mapping[str, Any], content: Content) -> list[str]:
    """The checkpoint's own list; older ones leave it in its file."""
    if own := listed_answers(content):
        return own
    try:
        return _read(options["answers"])
    except InputError as error:
        raise InputError(
            f"{error} This checkpoint does not hold the list, as newer ones do: start where "
            f"model.init_args.answers of the run's config.yaml finds it."
        ) from error


def _read(path: str | Path) -> list[str]:
    from softmask.answers import read_answers  # brings metrics along, which nobody else needs here

    return read_answers(path)
