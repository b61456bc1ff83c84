"""Memory that the C library keeps for the next step instead of handing it back."""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Names of mallopt(3)'s settings, as glibc numbers them."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for as long as it lives.

    glibc takes large blocks from the system and hands them back as soon as they are freed, so that
    each step on a CPU asks for all of its tensors again, and waits while the system clears their
    pages. Kept, they are there already. What the process holds at most grows little; it holds it
    until it ends, and so do processes that are forked from it.

    Returns:
        Whether the C library could be told; musl, macOS and Windows have other ways.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    tell = ctypes.CDLL(None).mallopt
    # No block apart from the heap of the main thread, which then never shrinks.
    return all([tell(MMAP_MAX, 0), tell(TRIM_THRESHOLD, -1)])
