"""One try to bring the rest of an object: over HTTP, from an object store, from a command.

HTTP has its own code: fsspec does not notice a server that ignores ranges.
"""

import base64
import os
import signal
import subprocess
import time
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

import fsspec  # type: ignore[import-untyped]

BLOCK = 2**18  # bytes read at once
PART = 4 * 2**20  # bytes of one request to an object store
LEAST = 2**16  # bytes that must come within a time-out: a drip is a stall
POLL = 0.05  # seconds between looks at a command
AGAIN = {408, 416, 425, 429}  # and 5xx; all else below 500 stays as it is
AS_IS = "%/:=&?~+!$,;'@()*[]"
"""What addresses may hold; blanks and umlauts, as one types them, are quoted."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


class BrokenError(Exception):
    """A try that failed; the next one may not."""


class FinalError(Exception):
    """A failure that no further try mends."""


class Http:
    """GET with a range.

    Args:
        url: with user name and password where the server wants them.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        path, query = (quote(part, safe=AS_IS) for part in (parts.path, parts.query))
        self._url = urlunsplit((parts.scheme, host, path, query, ""))
        self._secret = base64.b64encode(unquote(user).encode()).decode() if user else None
        self._tag: str | None = None

    def __call__(self, file: BinaryIO, size: int | None, timeout: float) -> None:
        """Append the rest of the object."""
        start = file.seek(0, os.SEEK_END)
        if size is not None and start == size:
            return
        try:
            with urlopen(self._request(start), timeout=timeout) as response:
                self._take(response, file, start, size, timeout)
        except HTTPError as error:
            error.close()
            if error.code == 416:  # the server's object is shorter than what is here
                file.truncate(0)
            if error.code in AGAIN or error.code >= 500:
                raise BrokenError(f"HTTP {error.code} {error.reason}") from None
            raise FinalError(f"HTTP {error.code} {error.reason}") from None
        except ValueError as error:  # no such host name, no such port
            raise FinalError(str(error)) from None

    def _request(self, start: int) -> Request:
        request = Request(self._url, headers={"Accept-Encoding": "identity"})
        if self._secret:
            # Not to the host of a redirect.
            request.add_unredirected_header("Authorization", f"Basic {self._secret}")
        if start:
            request.add_header("Range", f"bytes={start}-")
            if self._tag:
                request.add_header("If-Range", self._tag)
        return request

    def _take(
        self, response: HTTPResponse, file: BinaryIO, start: int, size: int | None, timeout: float
    ) -> None:
        if response.status != 206:  # the whole object, whatever was asked for
            start = 0
            file.truncate(0)
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise BrokenError("the server sent another range than the one asked for")
        tag = response.headers.get("ETag", "")
        self._tag = None if tag.startswith("W/") else tag or None
        file.seek(start)
        declared = response.length  # None where the server does not say
        whole = self._copy(response, file, size, timeout)
        if whole and declared is not None and file.tell() < start + declared:
            raise BrokenError(f"the body ended at byte {file.tell()} of {start + declared}")

    @staticmethod
    def _copy(response: HTTPResponse, file: BinaryIO, size: int | None, timeout: float) -> bool:
        since, received = time.monotonic(), 0
        while data := response.read1(BLOCK):
            file.write(data)
            received += len(data)
            if size is not None and file.tell() > size:
                return False  # the check names both sizes
            if received >= LEAST:
                since, received = time.monotonic(), 0
            elif time.monotonic() - since > timeout:
                raise BrokenError(f"less than {LEAST // 1024} KiB came in {timeout:g} seconds")
        return True


def fetch_object(url: str) -> Callable[[BinaryIO, int | None, float], None]:
    """Give a try to fetch from s3://, gs:// and what else fsspec knows, by parts."""

    def fetch(file: BinaryIO, size: int | None, timeout: float) -> None:
        try:
            system, path = _open_store(url)
            # Others have no event loop that could end a call.
            bound: dict[str, Any] = {"timeout": timeout} if system.async_impl else {}
            end = size if size is not None else system.info(path, **bound)["size"]
            while (start := file.seek(0, os.SEEK_END)) < end:
                stop = min(start + PART, end)
                part = system.cat_file(path, start=start, end=stop, **bound)
                if not part:
                    raise BrokenError(f"the body ended at byte {start} of {end}")
                if len(part) > stop - start:
                    raise BrokenError("the store sent more than the range asked for")
                file.write(part)
        except (FileNotFoundError, PermissionError) as error:
            raise FinalError(f"{type(error).__name__}: {error}") from error
        except (BrokenError, FinalError, OSError):
            raise
        except Exception as error:  # each store has errors of its own
            raise BrokenError(f"{type(error).__name__}: {error}") from error

    return fetch


def _open_store(url: str) -> Any:  # noqa: ANN401 (fsspec has no types)
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise FinalError(f"{error}; {_advice(url)}") from error
    except ValueError as error:
        raise FinalError(str(error)) from error


def fetch_pipe(command: str) -> Callable[[BinaryIO, int | None, float], None]:
    """Give a try to take what a shell command writes; it begins anew each time."""

    def fetch(file: BinaryIO, size: int | None, timeout: float) -> None:  # noqa: ARG001
        file.truncate(0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # where the command begins to write
        process = subprocess.Popen(
            command, shell=True, stdin=subprocess.DEVNULL, stdout=file, start_new_session=True
        )
        try:
            code = _wait(process, file, timeout)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            raise BrokenError(f"the command ended with {code}")

    return fetch


def _wait(process: "subprocess.Popen[bytes]", file: BinaryIO, timeout: float) -> int:
    since, size = time.monotonic(), 0
    while (code := process.poll()) is None:
        now = os.fstat(file.fileno()).st_size
        if now > size:
            since, size = time.monotonic(), now
        elif time.monotonic() - since > timeout:
            raise BrokenError(f"the command wrote nothing in {timeout:g} seconds")
        time.sleep(POLL)
    return code


def _advice(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme in EXTRAS:
        return f"pip install 'softmask[{EXTRAS[scheme]}]'"
    return f"install the package that serves {scheme}://"
