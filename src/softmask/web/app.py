"""The page as a WSGI application: addresses, limits, errors.

A form is sent, its pictures are put on the shelf, and the browser is led to an address that asks:
answers can be loaded again, gone back to and linked.
"""

import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from PIL import Image
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from softmask.ask.html import fitted
from softmask.errors import InputError
from softmask.web.asked import UPLOAD, Asked, Values
from softmask.web.frame import MOST_LETTERS, TEXT, View, address, framed, message, page
from softmask.web.uploads import Upload
from softmask.web.views import SIDE, views

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src "
    "'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
"""No scripts, nothing from elsewhere, in no frame of others."""
ICON, PICTURE = "/favicon.ico", "/picture/"
READ = ("GET", "HEAD")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MIB = 1024 * 1024
NOTHING: Values = {}

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def application(asked: Asked, upload_mb: int = 10, hosts: tuple[str, ...] = LOOPBACK) -> Wsgi:
    """The page.

    Args:
        asked: models and pictures.
        upload_mb: most MiB that a form may send.
        hosts: names under which it answers, so that a page of elsewhere whose name leads here does
            not read it; none answers under any name.
    """

    def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = upload_mb * MIB
        request.max_form_parts = 20
        response = _safe(asked, request, hosts)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response(environ, start)

    return serve


def _safe(asked: Asked, request: Request, hosts: tuple[str, ...]) -> Response:
    """An answer, or a page that says what is wrong."""
    # What was sent is read for those who may ask, and shown again if it could be read.
    try:
        _check_sender(request, hosts)
    except InputError as error:
        return _refused(asked, request, str(error), 400)
    try:
        return _respond(asked, request)
    except RequestEntityTooLarge:
        most = (request.max_content_length or 0) // MIB
        text = f"This was too much: pictures of a form may have {most} MiB in all. Choose smaller."
        return _refused(asked, request, text, 413)
    except InputError as error:
        return _refused(asked, request, str(error), 400, request.values)
    except HTTPException as error:
        found = _refused(asked, request, error.description or error.name, error.code or 500)
        if isinstance(error, MethodNotAllowed):
            found.allow.update(error.valid_methods or ())
        return found


def _check_sender(request: Request, hosts: tuple[str, ...]) -> None:
    """Refuse what pages of elsewhere make a browser send.

    Raises:
        InputError: it came by another name, or from another site.
    """
    # With or without a port, which addresses of IPv6 hold in brackets before.
    name = re.sub(r":\d*$", "", request.headers.get("Host", ""))
    if hosts and name.lower() not in hosts:
        raise InputError(
            f"This page answers as {', '.join(hosts)} alone: open it by such an address."
        )
    if request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none"):
        return
    if request.method == "POST":
        raise InputError("This form was sent by a page of another site: fill in the one here.")
    if request.headers.get("Sec-Fetch-Dest") != "document":  # a link may lead here
        raise InputError("A page of another site asked this: open the address by itself.")


def _respond(asked: Asked, request: Request) -> Response:
    there = views(asked)
    if request.path == "/":
        return redirect(there[0].path)
    if request.path == ICON:
        return Response(status=204)
    if request.path.startswith(PICTURE):
        _allow(request, *READ)
        return _picture(asked, request.path.removeprefix(PICTURE))
    view = _view(asked, request)
    if view is None:
        raise _NotFound
    _allow(request, *READ, "POST")
    if request.method == "POST":
        return redirect(address(view.path, _taken(asked, view, request)), code=303)
    values = _values(view, request.args)
    result = view.answer(asked, values) if view.is_asked(values) else ""
    return _html(page(there, view, values, result))


def _html(text: str, code: int = 200) -> Response:
    # Names of files need not be UTF-8: what is none becomes a "?".
    return Response(text.encode("utf-8", "replace"), status=code, mimetype="text/html")


class _NotFound(HTTPException):
    code = 404
    description = "There is no such page."


def _allow(request: Request, *methods: str) -> None:
    # What others send, `_safe` would read first where nothing catches that it is too much.
    if request.method not in methods:
        raise MethodNotAllowed(methods)


def _view(asked: Asked, request: Request) -> View | None:
    return next((view for view in views(asked) if view.path == request.path), None)


def _values(view: View, given: Values) -> dict[str, str]:
    """The fields of a form, cut to what is read of them."""
    names = [TEXT, *(field.name for field in view.pictures)]
    unless = {}
    if view.choice is not None:
        names.append(view.choice.name)
        unless[view.choice.name] = view.choice.chosen
    return unless | {name: given[name][:MOST_LETTERS] for name in names if given.get(name)}


def _taken(asked: Asked, view: View, request: Request) -> dict[str, str]:
    """A form's values, with its files on the shelf.

    Raises:
        InputError: a picture is missing or cannot be read.
    """
    values = _values(view, request.form)
    for field in view.pictures:
        file = request.files.get(f"{field.name}_file")
        if file is not None and file.filename:
            values[field.name] = UPLOAD + asked.shelf.put(Upload(file.filename, file.read()))
        elif field.name not in values:
            raise InputError(f"{field.label}: no file was chosen. Choose one.")
    if TEXT not in values:
        raise InputError(f"{view.label}: there is no text. Write one.")
    return values


def _picture(asked: Asked, ref: str) -> Response:
    data = BytesIO()
    fitted(Image.fromarray(asked.picture(ref).pixels), SIDE).save(data, "jpeg", quality=88)
    return Response(data.getvalue(), mimetype="image/jpeg")


def _refused(
    asked: Asked, request: Request, text: str, code: int, given: Values = NOTHING
) -> Response:
    """The page that was asked, with the message where the answer would be."""
    there, view = views(asked), _view(asked, request)
    if view is None:
        found = framed("Not here", there, f"<h1>Not here</h1>{message(text)}")
    else:
        kept = _kept(asked, _values(view, given), view)
        # The title is what a screen reader says first of a new page.
        found = page(there, view, kept, message(text), f"Refused: {view.name}")
    return _html(found, code)


def _kept(asked: Asked, values: dict[str, str], view: View) -> dict[str, str]:
    """Without pictures that are gone."""
    for field in view.pictures:
        try:
            asked.picture(values.get(field.name, ""))
        except InputError:
            values.pop(field.name, None)
    return values
