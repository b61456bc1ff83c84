"""What of a run becomes a model to share: which weights, by which task it was fine-tuned."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from softmask.checkpoint import CHECKPOINT_KEY, LISTED, Content
from softmask.config import AnswerConfig, ModelConfig
from softmask.errors import InputError
from softmask.renames import State
from softmask.sizes import Sizes

MATCHING = ("backbone.", "matcher.", "words.")
"""What is shared of a task that matches: no twins, no queue."""
DECODER, CLASSES, PAIRS = "VqaTask", "VqaClassTask", "Nlvr2Task"
HEADS = {DECODER: "decoder.", CLASSES: "head.", PAIRS: "head."}
"""What else, of tasks that do not match."""


class FineTuned(NamedTuple):
    """What a task was, beside its backbone."""

    prefixes: tuple[str, ...] = MATCHING  # of the tensors to share
    answers: AnswerConfig | None = None
    truth: bool = False

    @property
    def matches(self) -> bool:
        """Whether it has a matching head, as pretraining and retrieval have."""
        return self.prefixes == MATCHING

    def kept(self, tensors: State) -> State:
        """The tensors to share."""
        return {name: tensor for name, tensor in tensors.items() if name.startswith(self.prefixes)}

    def sizes(self, found: Sizes) -> Sizes:
        """Sizes of a backbone of one image, which two double."""
        if not self.truth or found.fusion is None:
            return found
        layers = found.fusion.layers // 2
        return found._replace(fusion=found.fusion._replace(layers=layers))

    def config(self, base: ModelConfig) -> ModelConfig:
        """Of a matching model of the same backbone, that of this one."""
        return replace(base, matcher=self.matches, answers=self.answers, truth=self.truth)


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
    prefixes = ("backbone.", HEADS[task])
    if task == PAIRS:
        return FineTuned(prefixes, truth=True)
    options = settings["model"]["init_args"]
    ranking = options.get("ranking") or {}
    given = {"k_test": "ranked", "double_first": "double_first"}
    found = {own: ranking[name] for name, own in given.items() if name in ranking}
    listed = tuple(_listed(options, content))
    return FineTuned(prefixes, AnswerConfig(listed, classes=task == CLASSES, **found))


def _listed(options: Mapping[str, Any], content: Content) -> list[str]:
    """The checkpoint's own list; older ones leave it in its file."""
    written = content.beside.get(CHECKPOINT_KEY)
    if isinstance(written, Mapping) and LISTED in written:
        return list(written[LISTED])
    from softmask.answers import read_answers  # brings metrics along, which nobody else needs here

    try:
        return read_answers(options["answers"])
    except InputError as error:
        raise InputError(
            f"{error} This checkpoint does not hold the list, as newer ones do: start where "
            f"model.init_args.answers of the run's config.yaml finds it."
        ) from error
