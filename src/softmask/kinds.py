"""What kind of file weights came in, read from its names: whose they are and how to rename them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import NamedTuple

from torch import Tensor

from softmask.renames import State, from_albef, from_bert, from_vit, is_albef

LAVIS = (
    "LAVIS feeds its text encoder with [SEP] at the end of each text, the official code without: "
    "keep data.init_args.text.sep true with these weights."
)
BERT_WORDS = "embeddings.word_embeddings.weight"


class Kind(NamedTuple):
    """What a file is."""

    title: str
    rename: Callable[[State, int], State]  # to our names, given the layers of the text encoder
    sep: bool = False  # whether its texts ended with [SEP]
    note: str = ""
    is_whole: bool = True  # or a BERT alone, a ViT alone


def recognise(
    state: Mapping[str, Tensor], beside: Iterable[str] = (), path: str | PurePath = ""
) -> Kind | None:
    """Say what kind of file holds these names; None when they are nobody's that we know.

    Args:
        state: the tensors, by the file's names.
        beside: keys that stand beside the state dict.
        path: of the file; a name that speaks of LAVIS counts.
    """
    if is_ours(state):
        return Kind("softmask weights", _same)
    if is_albef(state):
        keys = set(beside)
        lavis = "lavis" in PurePath(path).name.lower() or (
            # LAVIS saves the state of its loss scaler, the official code that of its schedule.
            "scaler" in keys and "lr_scheduler" not in keys
        )
        owner, note = ("LAVIS's ALBEF", LAVIS) if lavis else ("official ALBEF", "")
        return Kind(f"{owner}, {albef_task(state)}", from_albef, sep=lavis, note=note)
    if any(name in state for name in (BERT_WORDS, f"bert.{BERT_WORDS}")):
        return Kind("BERT", from_bert, is_whole=False)
    if "patch_embed.proj.weight" in state and "blocks.0.attn.qkv.weight" in state:
        return Kind("timm ViT", from_vit, is_whole=False)
    return None


def is_ours(state: Iterable[str]) -> bool:
    """Whether names are those of our tasks."""
    return any(name.startswith("backbone.") for name in state)


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
