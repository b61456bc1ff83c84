"""`softmask demo`: the page, served to this machine."""

import socket
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from jsonargparse import auto_cli
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from softmask.ask.embed import embed
from softmask.ask.index import check_model, load, open_index
from softmask.ask.opening import DType, Opened, open_any, open_model
from softmask.ask.plan import INDEX, BegunOtherwiseError
from softmask.ask.sources import folder_source
from softmask.errors import InputError
from softmask.model import SoftMask
from softmask.web.app import LOOPBACK, Wsgi, application
from softmask.web.asked import Asked, Library


def main(args: list[str]) -> None:
    """Run the command.

    Args:
        args: demo, and what follows.

    Raises:
        InputError: if the user's input cannot be used.
    """
    auto_cli(
        {"demo": demo}, args=args, as_positional=False, prog="softmask", description="A local page."
    )


def demo(
    model: str | None = None,
    images: Path | None = None,
    index: Path | None = None,
    vqa: str | None = None,
    nlvr2: str | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    top: int = 12,
    candidates: int = 16,
    upload_mb: int = 10,
    checkpoint: str = "best",
    device: str = "cpu",
    dtype: DType = "float32",
) -> None:
    """Serve a page that searches a folder, shows where words look, answers and judges.

    What the page can do depends on the models given, one at least. It is served to this machine
    alone unless --host says otherwise, needs no network, and keeps uploads in memory, the last 16.

    Args:
        model: that matches pictures and texts: folder of a run, of `softmask weights export` or
            `convert`, or a name on the hub.
        images: folder of pictures to search; embedded first, into --index if it is given.
        index: folder made by `softmask embed`, whatever its options, or to be made of --images and
            used again; pictures that were moved since are read where --images says.
        vqa: model that answers questions: a run of vqa or vqa-class, its export, or a converted
            official file.
        nlvr2: model that judges statements about two pictures: a run of nlvr2, and so on.
        host: to serve on; 0.0.0.0 is all of this machine's, where anyone can then ask.
        port: to serve on; 0 takes a free one.
        top: hits of a search.
        candidates: hits that the matching head judges again, as in `softmask search`.
        upload_mb: most MiB that a form may send.
        checkpoint: of runs: best, last, or a file's name.
        device: cpu, cuda:0, ...
        dtype: of the models' weights.

    Raises:
        InputError: a model, the pictures, the index or the address cannot be used.
    """
    if min(top, upload_mb) < 1 or candidates < 0:
        raise InputError(
            f"top is {top}, upload_mb {upload_mb} and candidates {candidates}: give 1, 1 and 0 or "
            f"more."
        )
    _check_given(model, images, index, vqa, nlvr2)
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        asked = Asked(top=top, candidates=candidates)
        if model is not None:
            opened = open_model(model, checkpoint, device, dtype)
            asked.matching = opened.model
            if images is not None or index is not None:
                at = index or Path(stack.enter_context(TemporaryDirectory())) / "features"
                if images is not None and not _is_made(at, images):
                    _make(at, images, model, checkpoint, device, dtype)
                asked.library = _library(at, opened, model, images)
        if vqa is not None:
            asked.answering = _fine_tuned("vqa", open_any(vqa, checkpoint, device, dtype), vqa)
        if nlvr2 is not None:
            asked.judging = _fine_tuned("nlvr2", open_any(nlvr2, checkpoint, device, dtype), nlvr2)
        hosts = (*LOOPBACK, host.lower()) if _is_loopback(host) else ()
        serve(listener, application(asked, upload_mb, hosts), host)


def serve(listener: socket.socket, app: Wsgi, host: str) -> None:
    """Serve until Ctrl-C, and say where.

    Args:
        listener: bound.
        app: the page.
        host: as it was given.
    """
    shown = f"[{host}]" if ":" in host else host
    server = _server(listener, app, host)
    print(f"The page is at http://{shown}:{server.port}/ (Ctrl-C stops it)", flush=True)
    if not _is_loopback(host):
        print("Whoever reaches this machine can use it and see its pictures.", flush=True)
    server.serve_forever()  # ends with Ctrl-C, and closes
    print("Stopped.")


class _Quiet(WSGIRequestHandler):
    """Writes nothing of what is asked, and gives up on senders that stop."""

    timeout = 60

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _server(listener: socket.socket, app: Wsgi, host: str) -> BaseWSGIServer:
    port = listener.getsockname()[1]
    return make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=listener.fileno())


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before anything slow is done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"The page cannot be served at {host}, port {port} ({error}): give another --port, 0 "
            f"for a free one, or an address of this machine as --host."
        ) from error
    return listener


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _check_given(
    model: str | None,
    images: Path | None,
    index: Path | None,
    vqa: str | None,
    nlvr2: str | None,
) -> None:
    if model is None and (images is not None or index is not None):
        raise InputError("A folder is searched by a model: give --model too.")
    if model is None and vqa is None and nlvr2 is None:
        raise InputError(
            "The page has nothing to ask: give --model RUN with --images FOLDER to search, --vqa "
            "RUN to answer questions, --nlvr2 RUN to judge statements, or several of them."
        )


def _is_made(folder: Path, images: Path) -> bool:
    """Whether all features of these pictures are there, wherever the pictures lay.

    Raises:
        InputError: the features are of other pictures.
    """
    if not (folder / INDEX).is_file():
        return False
    held, now = open_index(folder).plan.held.get("images"), folder_source(images)
    if held is None or held.hash != now.hash:
        raise InputError(
            f"The features in '{folder}' are not those of the {now.places} pictures in '{images}': "
            f"pictures were added or removed, or a table or shards named others, or in another "
            f"order. Give another --index, for which they are embedded, or leave --images out to "
            f"search what '{folder}' holds."
        )
    if held.files != now.files:
        raise InputError(
            f"The pictures in '{images}' have the names of those that the features in '{folder}' "
            f"are of, but other sizes or times (or an older version did not note them): give "
            f"another --index, for which they are embedded; or, if they are copies, copy them with "
            f"their times (cp -p)."
        )
    return True


def _make(
    folder: Path, images: Path, model: str, checkpoint: str, device: str, dtype: DType
) -> None:
    """Embed a folder, or go on where it was broken off.

    Raises:
        InputError: it was begun by another command.
    """
    try:
        embed(model, images, output=folder, skip_bad=True, checkpoint=checkpoint, device=device,
              dtype=dtype)  # fmt: skip
    except BegunOtherwiseError as error:  # which speaks of options that are not here
        raise InputError(
            f"The features in '{folder}' are not whole, and were begun of other pictures, by "
            f"another model or with other options: end them by the same command again, delete "
            f"'{folder}', or give another --index."
        ) from error


def _library(folder: Path, opened: Opened, model: str, images: Path | None) -> Library:
    """Features in memory, if they are this model's."""
    index = open_index(folder).moved(str(images) if images else None)
    check_model(index, opened.fingerprint, model)
    return Library(index, load(index, "images"))


def _fine_tuned(flag: str, model: SoftMask, source: str) -> SoftMask:
    able = model.config.answers is not None if flag == "vqa" else model.config.truth
    if not able:
        raise InputError(
            f"'{source}' was not fine-tuned for {flag}: give --{flag} a run of that task, or what "
            f"`softmask weights export` or `convert` made of one."
        )
    return model
