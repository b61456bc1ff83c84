"""What kind of file weights came in, read from its names: whose they are and how to rename them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import NamedTuple, get_args

from torch import Tensor

from softmask.captions import Punctuation
from softmask.checkpoint import CHECKPOINT_KEY
from softmask.renames import State, from_albef, from_bert, from_vit, is_albef

LAVIS = (
    "LAVIS feeds its text encoder with [SEP] at the end of each text, the official code without: "
    "keep data.init_args.text.sep true and text.punctuation {} with these weights."
)
MADE_OF, NOTE, TASK, SEP = "made_of", "note", "task", "sep"
PUNCTUATION = "punctuation"
"""Of a converted file: the kind it was, what to know of it, whose it is, whether texts ended with
[SEP], and what became of their punctuation."""
BERT_WORDS = "embeddings.word_embeddings.weight"


TASKS = {
    "pretraining": "PretrainTask",
    "retrieval": "RetrievalTask",
    "retrieval or grounding": "RetrievalTask",
    "VQA": "VqaTask",
    "NLVR2's text assignment": "Nlvr2PretrainTask",
    "NLVR2": "Nlvr2Task",
    "SNLI-VE": "EntailmentTask",
}
"""ALBEF's models by the task of ours that they are."""


class Kind(NamedTuple):
    """What a file is."""

    title: str
    rename: Callable[[State, int], State]  # to our names, given the layers of the text encoder
    sep: bool = False  # whether its texts ended with [SEP]
    punctuation: Punctuation = "kept"  # of its texts
    note: str = ""
    is_whole: bool = True  # or a BERT alone, a ViT alone
    is_ours: bool = False
    task: str = ""  # the class of ours whose weights they are, where that is known


class Source(NamedTuple):
    """Where weights come from."""

    path: Path
    kind: Kind


def recognise(
    state: Mapping[str, Tensor], beside: Mapping[str, object], path: str | PurePath
) -> Kind | None:
    """Say what kind of file holds these names; None when they are nobody's that we know.

    Args:
        state: the tensors, by the file's names.
        beside: what stands beside the state dict.
        path: of the file; a name that speaks of LAVIS counts.
    """
    if any(name.startswith("backbone.") for name in state):
        return _ours(beside)
    if is_albef(state):
        # LAVIS saves the state of its loss scaler, the official code that of its schedule.
        scaled = "scaler" in beside and "lr_scheduler" not in beside
        lavis = scaled or "lavis" in PurePath(path).name.lower()
        title = albef_task(state)
        known, signs = TASKS.get(title, ""), _signs(title, lavis)
        owner, note = ("LAVIS's ALBEF", LAVIS.format(signs)) if lavis else ("official ALBEF", "")
        return Kind(f"{owner}, {title}", from_albef, lavis, signs, note, task=known)
    if any(name in state for name in (BERT_WORDS, f"bert.{BERT_WORDS}")):
        return Kind("BERT", from_bert, is_whole=False)
    if "patch_embed.proj.weight" in state and "blocks.0.attn.qkv.weight" in state:
        return Kind("timm ViT", from_vit, is_whole=False)
    return None


def _signs(title: str, lavis: bool) -> Punctuation:
    if not lavis:
        return "albef"
    return "lavis_questions" if title == "VQA" else "lavis"


def _ours(beside: Mapping[str, object]) -> Kind:
    """A checkpoint names its task, a converted file what it was made of."""
    written, made_of = beside.get(CHECKPOINT_KEY), beside.get(MADE_OF)
    title, task = "softmask weights", str(beside.get(TASK, ""))
    if isinstance(written, Mapping):
        task = str(written.get("task"))
        title += f" of {task}"
    if made_of:
        title += f", converted from {made_of}"
    sep, note = beside.get(SEP) == str(True), str(beside.get(NOTE, ""))
    return Kind(title, _same, sep, _punctuation(beside), note, is_ours=True, task=task)


def _punctuation(beside: Mapping[str, object]) -> Punctuation:
    known: tuple[Punctuation, ...] = get_args(Punctuation)
    for one in known:
        if one == beside.get(PUNCTUATION):
            return one
    return "kept"


def albef_task(state: Mapping[str, Tensor]) -> str:
    """Which of ALBEF's models has these official names."""
    if any(name.startswith("text_decoder.") for name in state):
        return "VQA"
    if "ta_head.weight" in state:
        return "NLVR2's text assignment"
    if "cls_head.2.weight" in state:
        classes = len(state["cls_head.2.weight"])
        return {2: "NLVR2", 3: "SNLI-VE"}.get(classes, f"a task of {classes} classes")
    if any(name.startswith("text_encoder.cls.") for name in state):
        return "pretraining"
    return "retrieval" if "image_queue" in state else "retrieval or grounding"


def first_fusion_layer(state: Iterable[str]) -> int | None:
    """The first BERT layer with cross-attention to an image; None if there is none."""
    numbers = [
        int(name.split("encoder.layer.")[1].split(".")[0])
        for name in state
        if ".crossattention." in name and not name.startswith("text_decoder")
    ]
    return min(numbers, default=None)


def _same(state: State, layers: int) -> State:  # noqa: ARG001 (as the others)
    return state
