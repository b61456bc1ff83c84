"""Whole objects of other machines: tries that continue where the last one broke, and checks.

A try fails when the connection breaks, stalls or ends early. The next one asks for the rest alone,
after a pause that doubles. Addresses are shown without user names, passwords and queries.
"""

import errno
import hashlib
import os
import random
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import BinaryIO, NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit

from data_modules.transports import BLOCK, BrokenError, FinalError, Http, fetch_object, fetch_pipe
from softmask.addresses import PIPE, shown
from softmask.errors import InputError, first_line

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
PROGRESS = 2**20  # new bytes that make a try count as a success
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}  # not the network's fault
Fetch = Callable[[BinaryIO, int | None, float], None]
"""Append to a file what it lacks: the file, the size of the whole if known, the time-out."""


class Remote(NamedTuple):
    """An object elsewhere and what an index says of it."""

    url: str
    size: int | None = None
    sha256: str | None = None


def download(remote: Remote, file: BinaryIO, *, retries: int, timeout: float) -> None:
    """Fetch an object into a file that may hold its first bytes already.

    Args:
        remote: what to fetch.
        file: open for reading and writing; holds the whole object afterwards.
        retries: tries after a failed one; a try that brings a mebibyte starts the count anew.
        timeout: seconds without a byte, or with less than 64 KiB, that end a try.

    Raises:
        InputError: if the object is not there, or no try is left.
        OSError: if the disk is full.
    """
    fetch = _transport(remote.url)
    tries, failed, reached = 0, 0, 0
    while True:
        tries += 1
        try:
            fetch(file, remote.size, timeout)
            return _check(remote, file)
        except FinalError as error:
            _give_up(remote.url, first_line(error), tries)
        except (OSError, HTTPException, BrokenError) as error:
            if isinstance(error, OSError) and error.errno in DISK:
                raise
            reason = first_line(error)
        size = file.seek(0, os.SEEK_END)
        failed = 1 if size >= reached + PROGRESS else failed + 1
        reached = max(reached, size)
        if failed > retries:
            _give_up(remote.url, reason, tries)
        _pause(failed)


def _transport(url: str) -> Fetch:
    if url.startswith(PIPE):
        return fetch_pipe(url.removeprefix(PIPE))
    return Http(url) if urlsplit(url).scheme in ("http", "https") else fetch_object(url)


def _check(remote: Remote, file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    if remote.size is not None and size != remote.size:
        if size > remote.size:
            file.truncate(0)
        raise BrokenError(f"it holds {size} bytes but its index says {remote.size}")
    if remote.sha256 is not None:
        file.seek(0)
        digest = hashlib.sha256()
        while block := file.read(BLOCK):
            digest.update(block)
        if digest.hexdigest() != remote.sha256:
            file.truncate(0)
            raise BrokenError("its SHA-256 is not the one of its index")


def _pause(failed: int) -> None:
    # Not the global generator: a pause must not move the numbers that training draws.
    share = random.SystemRandom().uniform(0.5, 1)
    time.sleep(share * min(FIRST_PAUSE * 2 ** (failed - 1), LONGEST_PAUSE))


def _give_up(url: str, reason: str, tries: int) -> NoReturn:
    raise InputError(
        f"{shown(url)} cannot be fetched after {tries} {'try' if tries == 1 else 'tries'} "
        f"({_hide(reason, url)}): check the address, your credentials and the network, or raise "
        f"data.init_args.store.retries or data.init_args.store.timeout."
    ) from None


def _hide(reason: str, url: str) -> str:
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    command = url.removeprefix(PIPE) if url.startswith(PIPE) else ""
    for secret in (url, command, parts.query, user, *user.split(":")):
        for text in {secret, unquote(secret)} - {""}:
            reason = reason.replace(text, "...")
    return reason
