"""An HTTP server that breaks as stores do, in front of a folder or of another server."""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# What a try can survive; each takes part of a request's place.
MENDABLE = (
    *("reset", "cut", "stall", "drip", "500", "503", "429", "silent", "garbage"),
    *("norange", "other_range", "short_length", "long_length", "corrupt"),
)


class Answer(NamedTuple):
    """What a server that behaves says."""

    status: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[[str, str, dict[str, str], bytes], Answer]
"""Method, path, headers, body to an answer."""


def folder(root: Path) -> Ask:
    """Files, with ranges."""

    def ask(_method: str, path: str, headers: dict[str, str], _body: bytes) -> Answer:
        file = root / unquote(urlsplit(path).path).lstrip("/")
        if not file.is_file():
            return Answer(404, {}, b"")
        data = file.read_bytes()
        tag = {"ETag": f'"{hash(data)}"'}
        if "Range" in headers and headers.get("If-Range", tag["ETag"]) == tag["ETag"]:
            start = int(headers["Range"].removeprefix("bytes=").split("-")[0])
            if start >= len(data):
                return Answer(416, {}, b"")
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return Answer(206, {"Content-Range": span, **tag}, data[start:])
        return Answer(200, tag, data)

    return ask


def server(host: str, port: int) -> Ask:
    """Another server's answers."""

    def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = HTTPConnection(host, port, timeout=30)
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        data = response.read()
        hop = {"connection", "transfer-encoding", "date", "server"}
        kept = {k: v for k, v in response.getheaders() if k.lower() not in hop}
        connection.close()
        return Answer(response.status, kept, data)

    return ask


class Misbehaving:
    """A running server.

    Args:
        ask: answers that behave.
        choose: path and the number of its request, from 0, to a fault or None.
    """

    def __init__(self, ask: Ask, choose: Callable[[str, int], str | None]) -> None:
        self.ask, self.choose = ask, choose
        self.requests: Counter[str] = Counter()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sent: Counter[str] = Counter()  # bytes of bodies
        self.faults: Counter[str] = Counter()
        self.lock, self.end = threading.Lock(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def run(self) -> None:
        self._server.handle_error = lambda request, address: None
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self.end.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(owner: "Misbehaving") -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                owner.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, headers = handler.path, dict(handler.headers)
        with self.lock:
            number = self.requests[path]
            self.requests[path] += 1
            self.seen.append((path, headers))
            fault = self.choose(path, number)
            self.faults[str(fault)] += 1
        body = handler.rfile.read(int(headers.get("Content-Length", 0)))
        if fault == "norange":
            headers.pop("Range", None)
        answer = self.ask(handler.command, path, headers, body)
        if fault == "silent":
            self.end.wait(20)
        elif fault == "garbage":
            handler.wfile.write(b"what?\r\n\r\n")
        elif fault in ("500", "503", "429", "404", "403"):
            self.say(handler, Answer(int(fault), {}, b"no"))
        else:
            self.say(handler, spoilt(answer, fault), fault)
        handler.close_connection = fault is not None

    def say(
        self, handler: BaseHTTPRequestHandler, answer: Answer, fault: str | None = None
    ) -> None:
        length = len(answer.body)
        lies = {"short_length": length // 2, "long_length": length + 100}
        declared = {k: v for k, v in answer.headers.items() if k.lower() == "content-length"}
        own = {k: v for k, v in answer.headers.items() if k not in declared}
        if handler.command == "HEAD" and declared:
            own |= declared
        else:
            own["Content-Length"] = str(lies.get(fault or "", length))
        handler.send_response(answer.status)
        for name, value in own.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            self.send(handler, answer.body, fault)

    def send(self, handler: BaseHTTPRequestHandler, body: bytes, fault: str | None) -> None:
        half = len(body) // 2
        part = body[:half] if fault in ("reset", "cut", "stall", "drip", "short_length") else body
        with self.lock:
            self.sent[handler.path] += len(part)
        handler.wfile.write(part)
        if fault == "reset":
            # Linger 0: the kernel sends RST in place of FIN.
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            handler.connection.close()
        elif fault == "stall":
            self.end.wait(20)
        elif fault == "drip":
            for byte in body[half : half + 400]:
                handler.wfile.write(bytes([byte]))
                if self.end.wait(0.05):
                    return


def spoilt(answer: Answer, fault: str | None) -> Answer:
    if fault == "corrupt" and answer.body:
        body = bytearray(answer.body)
        body[len(body) // 2] ^= 0xFF
        return answer._replace(body=bytes(body))
    if fault == "other_range" and answer.status == 206:
        headers = {**answer.headers, "Content-Range": "bytes 7-8/9"}
        return Answer(206, headers, bytes(reversed(answer.body)))
    return answer


@contextmanager
def misbehaving(
    ask: Ask, choose: Callable[[str, int], str | None] = lambda path, number: None
) -> Iterator[Misbehaving]:
    """Serve for the length of a block."""
    running = Misbehaving(ask, choose)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.stop()
        thread.join(5)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail when a block takes longer."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.1f} of {seconds} seconds"
