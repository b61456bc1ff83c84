"""The image tower and the text tower as programs of their own: torch.export, and ONNX from it.

B images or texts, L text tokens, E width of a feature, S side of a picture in pixels.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from softmask.backbone import Backbone
from softmask.config import ModelConfig
from softmask.errors import InputError

FEATURE = "feature"
"""Name of what a tower gives."""
LEAST_TOKENS = 2
"""[CLS] and a word piece."""

Inputs = tuple[Tensor, ...]
Run = Callable[..., Tensor]
"""Inputs of a tower to unit features, (B, E) float32."""


class Tower(NamedTuple):
    """A tower, and what it takes."""

    module: nn.Module
    shapes: tuple[dict[int, Any], ...]  # which dimensions of each input may have any size
    samples: list[Inputs]  # random inputs of differing sizes


class ImageTower(nn.Module):
    """Pixels (B, 3, S, S) uint8 to unit features (B, E); normalising is inside."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.image, self.projection = backbone.image, backbone.image_projection

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, E)."""
        feature: Tensor = self.projection(self.image(pixels)[:, 0])
        return feature


class TextTower(nn.Module):
    """Token ids (B, L) int64 and their mask (B, L) bool to unit features (B, E)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.text, self.projection = backbone.text, backbone.text_projection

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(B, L) and (B, L) to (B, E)."""
        feature: Tensor = self.projection(self.text(input_ids, mask)[:, 0])
        return feature


def towers(backbone: Backbone, config: ModelConfig, seed: int = 0) -> dict[str, Tower]:
    """Both towers by name, on the CPU in float32.

    Args:
        backbone: in eval mode.
        config: its sizes.
        seed: of the random inputs.
    """
    draw = torch.Generator().manual_seed(seed)
    size, most = config.image.image_size, config.text.max_positions
    batch, length = Dim("batch"), Dim("length", min=LEAST_TOKENS, max=most)
    lengths = sorted({LEAST_TOKENS, (LEAST_TOKENS + most) // 2, most}, reverse=True)
    pixels = [torch.randint(256, (n, 3, size, size), generator=draw).byte() for n in (3, 1, 5)]
    # Three rows come first and are traced: a single one would be taken for a constant.
    texts = [_texts(n, long, config.text.vocab_size, draw) for long in lengths for n in (3, 1, 5)]
    return {
        "image": Tower(ImageTower(backbone), ({0: batch},), [(each,) for each in pixels]),
        "text": Tower(TextTower(backbone), ({0: batch, 1: length},) * 2, texts),
    }


def _texts(count: int, length: int, pieces: int, draw: torch.Generator) -> Inputs:
    """Ids of texts, the first as long as it goes, and their mask."""
    lengths = torch.randint(LEAST_TOKENS, length + 1, (count, 1), generator=draw)
    lengths[0] = length
    mask = torch.arange(length) < lengths
    return torch.randint(pieces, (count, length), generator=draw) * mask, mask


def exported(tower: Tower) -> ExportedProgram:
    """The tower as torch.export's program, for any number of rows and tokens."""
    return torch.export.export(tower.module, tower.samples[0], dynamic_shapes=tower.shapes)


def write_program(program: ExportedProgram, path: Path) -> Run:
    """Write a program, and give what runs the file."""
    torch.export.save(program, path)
    run: Run = torch.export.load(path).module()
    return run


def write_onnx(program: ExportedProgram, tower: Tower, path: Path) -> Run:
    """Write a program as ONNX, and give what runs the file, by onnxruntime on the CPU.

    Raises:
        InputError: a package is missing.
    """
    check_onnx()
    import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="# The axis name")  # one name for equal sizes
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            output_names=[FEATURE],
            dynamic_shapes=tower.shapes,  # once more, for the names of the dimensions
        )
    assert made is not None
    made.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run([FEATURE], given)[0])

    return run


def check_onnx() -> None:
    """Refuse to go on without the packages of ONNX.

    Raises:
        InputError: one is missing.
    """
    try:
        import onnx  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"ONNX needs packages that are not installed ({error}): pip install 'softmask[onnx]', "
            f"120 MB."
        ) from error


@torch.no_grad()
def difference(tower: Tower, run: Run) -> float:
    """The largest absolute difference of an exported tower's features from its own."""
    apart = [(run(*inputs) - tower.module(*inputs)).abs().max() for inputs in tower.samples]
    return float(torch.stack(apart).max())
