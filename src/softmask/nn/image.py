"""The image encoder: a timm ViT from pixels to tokens.

B images, P patches, D width.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import cast

import timm
import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from softmask.errors import InputError, first_line
from softmask.nn.attention import initial_std

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ImageEncoder(nn.Module):
    """Any timm ViT with a class token, read after its final norm (ALBEF, section 3.1).

    Args:
        name: timm name with its weights tag, such as `deit_base_patch16_224.fb_in1k`.
        image_size: side of the square input in pixels; positions are resampled to it.
        pretrained: load timm's weights by that name (from the hub or its cache).
        patch_size: pixels of a patch; None keeps the named model's.
        width: units of a token; None keeps the named model's.
        depth: layers; None keeps the named model's.
        heads: attention heads; None keeps the named model's.
        drop_path: stochastic depth.
        reach: rows and columns that a patch sees around itself, of patches alone; None sees all.
            Small ViTs from scratch let empty patches gather the picture, where a word then looks
            instead of at the thing; with a short reach tokens stay where they are (ours).
        mean: subtracted from pixels in 0..1, per channel; CLIP's, as ALBEF.
        std: divides them after that.

    Raises:
        InputError: timm has no such ViT, its weights cannot be had, mean or std are not three
            numbers, or the reach is negative.
    """

    mean: Tensor
    std: Tensor
    near: Tensor | None  # (1 + P, 1 + P)

    def __init__(
        self,
        name: str = "deit_base_patch16_224.fb_in1k",
        image_size: int = 256,
        pretrained: bool = False,
        patch_size: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        drop_path: float = 0.0,
        reach: int | None = None,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        super().__init__()
        sizes = {"patch_size": patch_size, "embed_dim": width, "depth": depth, "num_heads": heads}
        given = {k: v for k, v in sizes.items() if v is not None}
        self.vit = _create(name, pretrained, image_size, drop_path, given)
        self.width: int = self.vit.num_features
        rows, columns = self.vit.patch_embed.grid_size
        self.grid = (int(rows), int(columns))
        if not pretrained:
            _widen_init(self.vit, self.width)
            _place(self.vit, self.grid)
        self.heads = int(self.vit.blocks[0].attn.num_heads)  # type: ignore[union-attr, arg-type]
        for key, value in (("mean", mean), ("std", std)):
            if len(value) != 3:
                raise InputError(_wrong_channels(key, value))
            self.register_buffer(key, torch.tensor(value).view(3, 1, 1), persistent=False)
        if reach is not None and reach < 0:
            raise InputError(
                f"model.init_args.backbone.image.reach is {reach}: give the rows and columns that "
                f"a patch sees around itself, 0 at least, or null for the whole picture."
            )
        near = None if reach is None else within_reach(self.grid, reach)
        self.register_buffer("near", near, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: (B, 3, H, W), uint8, or floating point when already normalised.

        Returns:
            Tokens after the final norm, class token first, (B, 1 + P, D).
        """
        if pixels.dtype == torch.uint8:
            pixels = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.std
        return self.vit.forward_features(pixels, attn_mask=self.near)

    def check_channels(self) -> None:
        """Refuse to bring pixels where none can be told from another, or far from where they are.

        Raises:
            InputError: names the mean or the deviation.
        """
        fits = {"mean": (self.mean >= 0) & (self.mean <= 1), "std": self.std > 0}
        for name, fit in fits.items():
            if not fit.all():
                raise InputError(_wrong_channels(name, getattr(self, name).flatten().tolist()))

    def check_rim(self) -> None:
        """Refuse pictures whose rim no patch sees: timm leaves it out without a word.

        Raises:
            InputError: with the nearest sizes that patches divide.
        """
        patches = self.vit.patch_embed
        side, patch = patches.img_size[0], patches.patch_size[0]
        if side % patch:
            low = side // patch * patch
            raise InputError(
                f"image_size is {side}, which patches of {patch} pixels do not divide: give "
                f"{f'{low} or ' if low else ''}{low + patch}."
            )

    def levels(self) -> list[list[nn.Parameter]]:
        """Parameters by layer, patches and positions first; the last norm is above them all."""
        first = [self.vit.cls_token, self.vit.pos_embed, *self.vit.patch_embed.parameters()]
        return [first, *(list(block.parameters()) for block in self.vit.blocks)]


def _wrong_channels(name: str, values: Sequence[float]) -> str:
    given = ", ".join(f"{value:g}" for value in values)
    least = "from 0 to 1" if name == "mean" else "above 0"
    return (
        f"model.init_args.backbone.image.{name} is [{given}]: give three numbers {least}, one a "
        f"channel; pixels are in 0..1, so divide those of 0..255 by 255."
    )


def within_reach(grid: tuple[int, int], reach: int) -> Tensor:
    """Which tokens see which: a patch those near it, the class token all and unseen by patches.

    Args:
        grid: rows and columns of patches.
        reach: most rows, and most columns, between two patches that see each other.

    Returns:
        True where the row's token sees the column's, (1 + P, 1 + P).
    """
    places = torch.cartesian_prod(*(torch.arange(side) for side in grid))
    apart = (places[:, None] - places).abs().amax(dim=-1)
    near = nn.functional.pad(apart <= reach, (1, 0, 1, 0))
    near[0] = True
    return near


@torch.no_grad()
def _widen_init(vit: VisionTransformer, width: int) -> None:
    """Bring timm's fresh layers, drawn with 0.02 whatever their width, to a gain for this one."""
    for module in vit.blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=initial_std(width))


@torch.no_grad()
def _place(vit: VisionTransformer, grid: tuple[int, int]) -> None:
    """Begin with waves of rows and columns as positions (MAE, section 3), which stay learnable.

    timm's are noise of deviation 0.02 under patches of 0.5 and more: short runs never learn to tell
    left from right (CONTRIBUTING.md has the figures). The slowest wave is fitted to the grid, where
    MAE's are the same at any size, most of them flat over a small one.
    """
    width = vit.embed_dim // 4 * 4  # a sine and a cosine for rows, and for columns
    waves = build_sincos2d_pos_embed(list(grid), width, temperature=4 * max(grid))
    places = vit.pos_embed
    assert places is not None, "_create refuses a ViT without"
    places.zero_()
    places[0, 1:, :width] = waves


def _create(
    name: str, pretrained: bool, image_size: int, drop_path: float, sizes: dict[str, int]
) -> VisionTransformer:
    if not timm.is_model(name):
        close = ", ".join(get_close_matches(name.split(".")[0], timm.list_models(), 5))
        raise InputError(
            f"timm has no model named '{name}'. "
            + (f"Names near it: {close}. " if close else "")
            + "Set model.init_args.backbone.image.name to one that timm.list_models() gives."
        )
    try:
        vit = timm.create_model(
            name,
            pretrained=pretrained,
            img_size=image_size,
            num_classes=0,
            global_pool="token",
            drop_path_rate=drop_path,
            **sizes,  # type: ignore[arg-type]
        )
    except (OSError, RuntimeError, TypeError, AssertionError) as error:
        raise InputError(_refusal(name, pretrained, error)) from error
    known = isinstance(vit, VisionTransformer) and vit.num_prefix_tokens == 1
    if not known or vit.pos_embed is None or vit.no_embed_class:
        raise InputError(
            f"'{name}' is not a ViT with one class token before its patches, which ALBEF's "
            f"matching reads, and a position for each: choose a plain ViT or DeiT, such as "
            f"deit_base_patch16_224.fb_in1k."
        )
    return cast(VisionTransformer, vit)


def _refusal(name: str, pretrained: bool, error: Exception) -> str:
    reason = first_line(error)
    if isinstance(error, TypeError | AssertionError):  # not a ViT, no class token, or odd sizes
        return (
            f"timm cannot build '{name}' as a ViT with a class token and the sizes given "
            f"({reason}): choose a plain ViT or DeiT, such as deit_base_patch16_224.fb_in1k, and a "
            f"width that its heads divide."
        )
    if not pretrained:
        return (
            f"timm cannot build '{name}' ({reason}): choose a name that "
            f"timm.list_models(pretrained=True) gives."
        )
    return (
        f"The weights of '{name}' could not be loaded ({reason}). They come from the Hugging Face "
        f"hub or its cache (HF_HOME): fetch them once on a machine that reaches the hub, or train "
        f"from scratch with --model.init_args.backbone.image.pretrained=false."
    )
