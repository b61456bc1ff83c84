"""Where a model goes and in which type its weights, looked at before anything is loaded."""

import torch

from softmask.errors import InputError, first_line


def checked_device(device: str | torch.device) -> torch.device:
    """A device of this machine.

    Raises:
        InputError: there is no such device.
    """
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"The device '{device}' cannot be used ({first_line(error)}): give cpu, or a GPU of "
            f"this machine such as cuda:0."
        ) from error
    return place


def checked_dtype(dtype: torch.dtype) -> torch.dtype:
    """A type that weights may have.

    Raises:
        InputError: it is no type of torch's for floating point numbers.
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(
            f"dtype is {dtype!r}: give torch.float32, torch.float16 or torch.bfloat16."
        )
    return dtype
