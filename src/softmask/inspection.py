"""`softmask weights inspect`: what a file of weights is, and what it holds."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from softmask.checkpoint import Content, file_of, read_content
from softmask.errors import InputError
from softmask.kinds import Kind, first_fusion_layer, recognise
from softmask.renames import TWIN, State
from softmask.runs import is_run, open_run
from softmask.sizes import Sizes, read_sizes
from softmask.skeleton import check
from softmask.weights import QUEUE


def known_kind(content: Content, path: Path) -> Kind:
    """What kind of file this is.

    Raises:
        InputError: none that we know.
    """
    kind = recognise(content.tensors, content.beside, path)
    if kind is None:
        names = ", ".join(list(content.tensors)[:3]) or "none"
        raise InputError(
            f"'{path}' holds {len(content.tensors)} tensors ({names}) of no kind that softmask "
            f"knows: give weights of softmask, an official ALBEF or LAVIS file, a BERT, or timm's "
            f"ViT or DeiT with one class token."
        )
    return kind


def renamed(content: Content, kind: Kind, text_layers: int | None = None) -> State:
    """The tensors by our names.

    Args:
        content: of the file.
        kind: of the file.
        text_layers: layers of the text encoder; where fusion begins, or half of them, unless given.
    """
    layers = text_layers or first_fusion_layer(content.tensors) or _half(content.tensors)
    return kind.rename(content.tensors, layers)


def inspect_weights(file: Path) -> None:
    """Say what kind of file this is, the sizes in it, and how to use it; runs no code from it.

    Args:
        file: weights of softmask, ALBEF, LAVIS, BERT or timm: a file, a folder, or a run's folder.

    Raises:
        InputError: the file is not there, is junk, or is of no kind that softmask knows.
    """
    path = open_run(file).checkpoint if is_run(file) else file_of(file)
    content = read_content(path, mmap=True)
    kind = known_kind(content, path)
    # Shapes say all, and names are stacked without reading a byte.
    shapes = {name: tensor.to("meta") for name, tensor in content.tensors.items()}
    state = renamed(content._replace(tensors=shapes), kind)
    print(f"{path}: {kind.title}")
    for name, value in _rows(content, kind, state).items():
        print(f"  {name:<18}{value}")
    if kind.note:
        print(f"  {'note':<18}{kind.note}")


def _rows(content: Content, kind: Kind, state: State) -> dict[str, str]:
    sizes = read_sizes(state)
    own = {k: v for k, v in state.items() if not k.startswith((QUEUE, TWIN))}
    twins = sum(k.startswith(TWIN) for k in state)
    rows = {
        "tensors": f"{len(content.tensors)}, {_parameters(own):,} parameters apart from copies",
        **_parts(sizes),
        "heads": ", ".join(_heads(own)) or "none",
        "momentum twins": f"{twins} tensors" if twins else "none",
        "queue": f"{sizes.queue:,} pairs" if sizes.queue else "none",
        "stands beside": ", ".join(_beside(content)) or "nothing",
    }
    report = check(kind, state, "")
    for title in ("missing", "unexpected", "misshapen"):
        names: list[str] = getattr(report, title)
        if names:
            rows[title] = f"{len(names)} tensors, such as {names[0]}"
    return rows


def _parts(sizes: Sizes) -> dict[str, str]:
    image, text, fusion = sizes.image, sizes.text, sizes.fusion
    rows = {}
    if image:
        side = image.image_size
        rows["image encoder"] = (
            f"ViT, depth {image.depth}, width {image.width}, patches of {image.patch_size}, "
            f"{side} x {side} pixels"
        )
    if text:
        rows["text encoder"] = (
            f"BERT, depth {text.layers}, width {text.width}, {text.vocab_size:,} word pieces, up "
            f"to {text.max_positions} tokens"
        )
    if fusion:
        rows["fusion encoder"] = f"depth {fusion.layers}, width {fusion.width}"
    if sizes.embed_dim:
        rows["shared space"] = f"width {sizes.embed_dim}"
    return rows


def _heads(own: Mapping[str, Tensor]) -> list[str]:
    return list(dict.fromkeys(k.split(".")[0] for k in own if not k.startswith("backbone.")))


def _beside(content: Content) -> list[str]:
    plain = (str, int, float)
    return [f"{k} {v}" if isinstance(v, plain) else k for k, v in content.beside.items()]


def _parameters(own: Mapping[str, Tensor]) -> int:
    return sum(v.numel() for v in own.values() if v.is_floating_point())


def _half(names: Mapping[str, Tensor]) -> int:
    parts = (name.split("encoder.layer.") for name in names)
    layers = {part[1].split(".")[0] for part in parts if len(part) == 2}
    return len(layers) // 2
