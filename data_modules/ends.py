"""The cheapest test of a tar: is its end there?"""

import os
import tarfile
from pathlib import Path


def check_end(file: Path) -> None:
    """Look at a tar's last block, which a copy that broke off has lost.

    Raises:
        tarfile.ReadError: if it is no block of zeros.
        OSError: if it cannot be read.
    """
    # tarfile takes a header that is cut off for the end of the tar.
    size = file.stat().st_size
    with file.open("rb") as data:
        data.seek(max(0, size - tarfile.BLOCKSIZE))
        whole = size >= 2 * tarfile.BLOCKSIZE and size % tarfile.BLOCKSIZE == 0
        if not whole or os.read(data.fileno(), tarfile.BLOCKSIZE).strip(tarfile.NUL):
            raise tarfile.ReadError("its end is missing")
