"""SoftMask++: vision-language pretraining with text-driven soft masks.

Read `tasks` for the method, `losses` for its equations, `backbone` and `nn` for the network,
`saliency` for the maps. Data lives in the sibling package `data_modules`. `SoftMask` is a trained
model to share and to ask; it needs neither Lightning nor data modules.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softmask.model import SoftMask as SoftMask

__all__ = ["SoftMask", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import `SoftMask` when it is asked for: the command line starts sooner without."""
    if name != "SoftMask":
        raise AttributeError(f"module 'softmask' has no attribute '{name}'")
    from softmask.model import SoftMask

    return SoftMask
