"""What kind of file weights came in, read from its names: whose they are and how to rename them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import NamedTuple

from torch import Tensor

from softmask.checkpoint import CHECKPOINT_KEY
from softmask.renames import State, from_albef, from_bert, from_vit, is_albef

LAVIS = (
    "LAVIS feeds its text encoder with [SEP] at the end of each text, the official code without: "
    "keep data.init_args.text.sep true with these weights."
)
MADE_OF, NOTE = "made_of", "note"
"""Of a converted file: the kind it was, and what to know of it."""
BERT_WORDS = "embeddings.word_embeddings.weight"


class Kind(NamedTuple):
    """What a file is."""

    title: str
    rename: Callable[[State, int], State]  # to our names, given the layers of the text encoder
    sep: bool = False  # whether its texts ended with [SEP]
    note: str = ""
    is_whole: bool = True  # or a BERT alone, a ViT alone
    is_ours: bool = False


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
        owner, note = ("LAVIS's ALBEF", LAVIS) if lavis else ("official ALBEF", "")
        return Kind(f"{owner}, {albef_task(state)}", from_albef, sep=lavis, note=note)
    if any(name in state for name in (BERT_WORDS, f"bert.{BERT_WORDS}")):
        return Kind("BERT", from_bert, is_whole=False)
    if "patch_embed.proj.weight" in state and "blocks.0.attn.qkv.weight" in state:
        return Kind("timm ViT", from_vit, is_whole=False)
    return None


def _ours(beside: Mapping[str, object]) -> Kind:
    """A checkpoint names its task, a converted file what it was made of."""
    written, made_of = beside.get(CHECKPOINT_KEY), beside.get(MADE_OF)
    title = "softmask weights"
    if isinstance(written, Mapping):
        title += f" of {written.get('task')}"
    if made_of:
        title += f", converted from {made_of}"
    return Kind(title, _same, note=str(beside.get(NOTE, "")), is_ours=True)


def albef_task(state: Mapping[str, Tensor]) -> str:
    """Which of ALBEF's models has these official names."""
    if any(name.startswith("text_decoder.") for name in state):
        return "VQA"
    if "ta_head.weight" in state:
        return "NLVR2's text assignment"
    if "cls_head.2.weight" in state:
        return "SNLI-VE" if len(state["cls_head.2.weight"]) == 3 else "NLVR2"
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
