"""Names of others to ours: official ALBEF files, BERT, ViT. Pure functions of state dicts.

Separate query, key and value matrices are stacked, as our layers keep them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]
TWIN = "momentum.twin."
"""Names of momentum twins begin so."""


def is_albef(state: Mapping[str, Tensor]) -> bool:
    """Whether names are those of the official ALBEF code."""
    return any(k.startswith("visual_encoder.") for k in state)


def from_albef(state: Mapping[str, Tensor], layers: int) -> State:
    """Rename an official ALBEF state dict, momentum twins and queues included.

    Args:
        state: official names.
        layers: BERT layers of the text encoder; layers after them are fusion layers.

    Returns:
        Names of `PretrainTask`. Buffers that carry nothing (`position_ids`) and tied copies
        (`cls.predictions.decoder`) are left out.
    """
    renamed: State = {}
    for name, tensor in state.items():
        place, rest = _albef_place(name)
        if place.endswith(_DECODER):
            ours = decoder_name(_bert_place(rest or "", 0) or "")
            renamed.update({place.removesuffix(_DECODER) + ours: tensor} if ours else {})
        elif rest is not None:
            renamed.update(_one(place, rest, tensor, layers))
    if "backbone.temperature" in renamed and any(k.startswith(TWIN) for k in renamed):
        # Official twins share the live temperature; ours carry one that nothing reads.
        renamed[f"{TWIN}backbone.temperature"] = renamed["backbone.temperature"]
    if "queue.image_id" in renamed:
        # Fine-tuning tells pairs apart by their images alone.
        renamed["queue.text_id"] = renamed["queue.image_id"]
    return stack_projections(renamed)


def from_bert(state: Mapping[str, Tensor], layers: int) -> State:
    """Rename a BERT state dict for a backbone and its word head.

    Args:
        state: names of transformers, with or without `bert.`, LayerNorms as gamma and beta too.
        layers: BERT layers of the text encoder; layers after them fill the fusion encoder.

    Returns:
        Names of a task; cross-attention is not among them. Pooler and next-sentence head are
        left out.
    """
    renamed: State = {}
    for name, tensor in state.items():
        plain = name.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")
        if not plain.startswith(("pooler.", "cls.seq_relationship.")):
            renamed.update(_one("", plain, tensor, layers))
    return stack_projections(renamed)


def from_vit(state: Mapping[str, Tensor], layers: int = 0) -> State:  # noqa: ARG001 (as the others)
    """Rename a state dict of timm's ViT or DeiT.

    Args:
        state: names of timm; the classifier, `head`, is left out.
        layers: not read: a ViT has no text.

    Returns:
        Names of a task.
    """
    kept = (name for name in state if not name.startswith("head."))
    return {f"backbone.image.vit.{name}": state[name] for name in kept}


_ALBEF_PARTS = {
    "visual_encoder": "backbone.image.vit",
    "vision_proj": "backbone.image_projection",
    "text_proj": "backbone.text_projection",
    "cls_head": "head",
    "ta_head": "assigner",
}
_ALBEF_SINGLES = {
    "temp": "backbone.temperature",
    "itm_head.weight": "matcher.weight",
    "itm_head.bias": "matcher.bias",
    "queue_ptr": "queue.pointer",
    "image_queue": "queue.image",
    "text_queue": "queue.text",
    "idx_queue": "queue.image_id",
}


def _albef_place(name: str) -> tuple[str, str | None]:
    """Prefix of the student or its twin, and the name inside it; None inside for what is done."""
    head, _, rest = name.partition(".")
    twin = TWIN if head.endswith("_m") else ""
    part = head.removesuffix("_m")
    if name in _ALBEF_SINGLES:
        return "", name
    if part in _ALBEF_PARTS:
        return twin, f"{_ALBEF_PARTS[part]}.{rest}"
    if part == "text_encoder":
        return twin, rest.removeprefix("bert.")
    if part == "text_decoder":
        return twin + _DECODER, rest.removeprefix("bert.")
    return "", name


def _one(prefix: str, name: str, tensor: Tensor, layers: int) -> State:
    if name in _ALBEF_SINGLES:
        value = tensor.T.contiguous() if name in ("image_queue", "text_queue") else tensor
        if name == "queue_ptr":
            value = tensor.reshape(())
        return {_ALBEF_SINGLES[name]: value.reshape(-1) if name == "idx_queue" else value}
    place = _bert_place(name, layers)
    return {} if place is None else {prefix + place: tensor}


_WORD_HEAD = {
    "cls.predictions.bias": "words.bias",
    "cls.predictions.transform.dense.": "words.dense.",
    "cls.predictions.transform.LayerNorm.": "words.norm.",
}
_FUSION_PARTS = {
    "attention.self.": "words.",
    "attention.output.dense.": "words.out.",
    "attention.output.LayerNorm.": "words.norm.",
    "crossattention.self.": "image.",
    "crossattention.output.dense.": "image.out.",
    "crossattention.output.LayerNorm.": "image.norm.",
    "intermediate.dense.": "feed.up.",
    "output.dense.": "feed.down.",
    "output.LayerNorm.": "feed.norm.",
}


def _bert_place(name: str, layers: int) -> str | None:
    """Our name of a BERT tensor, None when it carries nothing of its own."""
    if name.endswith("position_ids") or name.startswith("cls.predictions.decoder."):
        return None
    for theirs, ours in _WORD_HEAD.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    if name.startswith("embeddings."):
        return f"backbone.text.bert.{name}"
    if not name.startswith("encoder.layer."):
        return name
    number, _, rest = name.removeprefix("encoder.layer.").partition(".")
    if int(number) < layers:
        return f"backbone.text.bert.encoder.layer.{number}.{rest}"
    for theirs, ours in _FUSION_PARTS.items():
        if rest.startswith(theirs):
            return (
                f"backbone.fusion.layers.{int(number) - layers}.{ours}{rest.removeprefix(theirs)}"
            )
    return name


_FUSION = "backbone.fusion.layers."


def pair_fusion(state: Mapping[str, Tensor], layers: int) -> State:
    """Give each fusion layer of one image twice, for two, as ALBEF's text assignment keeps them.

    Args:
        state: names of a task.
        layers: fusion layers that are wanted.

    Returns:
        Layer n as layers 2 n and 2 n + 1; all as it was if the state has another number of layers
        than half of those wanted.
    """
    places = [name.removeprefix(_FUSION).partition(".") for name in state if _FUSION in name]
    if 2 * len({number for number, _, _ in places}) != layers:
        return dict(state)
    paired = {name: tensor for name, tensor in state.items() if _FUSION not in name}
    for number, _, rest in places:
        for side in (0, 1):
            tensor = state[f"{_FUSION}{number}.{rest}"]
            paired[f"{_FUSION}{2 * int(number) + side}.{rest}"] = tensor
    return paired


def untied(state: Mapping[str, Tensor]) -> list[str]:
    """Names of right images' keys and values that are not those of the left image's layer."""
    wrong = []
    for name, tensor in state.items():
        number, _, rest = name.removeprefix(_FUSION).partition(".")
        if _FUSION in name and rest.startswith("image.kv.") and int(number) % 2:
            left = state.get(f"{_FUSION}{int(number) - 1}.{rest}")
            if left is not None and not torch.equal(left, tensor):
                wrong.append(name)
    return wrong


_DECODER = "decoder."
_DECODER_PARTS = {
    "backbone.text.bert.embeddings.": "decoder.embeddings.",
    "backbone.fusion.layers.": "decoder.fusion.layers.",
    "words.": "decoder.words.",
}


def decoder_name(name: str) -> str | None:
    """What of an answer decoder starts from a pretrained task's tensor, None if nothing does."""
    for theirs, ours in _DECODER_PARTS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return None


def start_decoder(state: Mapping[str, Tensor]) -> State:
    """Make a decoder of fusion layers, embeddings and word head (ALBEF, section 4.2).

    Args:
        state: names of a task.

    Returns:
        All of it but the word head and matching, and a decoder; as it was if it has one.
    """
    if any(name.startswith(_DECODER) for name in state):
        return dict(state)
    copies = {ours: tensor for name, tensor in state.items() if (ours := decoder_name(name))}
    kept = {k: v for k, v in state.items() if not k.startswith(("words.", "matcher."))}
    return kept | copies


_STACKS = {"words.": ("qkv", ("query", "key", "value")), "image.": ("kv", ("key", "value"))}


def stack_projections(state: Mapping[str, Tensor]) -> State:
    """Join a fusion layer's query, key and value matrices as our layers keep them."""
    joined = dict(state)
    for name in state:
        layer, dot, leaf = name.rpartition("value.")
        for part, (ours, pieces) in _STACKS.items():
            if dot and layer.endswith(f".{part}") and ".fusion.layers." in layer:
                names = [f"{layer}{piece}.{leaf}" for piece in pieces]
                if not all(each in state for each in names):
                    continue  # what is left over tells which piece is missing
                joined[f"{layer}{ours}.{leaf}"] = torch.cat([state[n] for n in names])
                for used in names:
                    del joined[used]
    return joined
