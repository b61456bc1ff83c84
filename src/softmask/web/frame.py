"""What all pages of `softmask demo` share: the frame, the navigation, forms, messages."""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import quote, urlencode

from softmask import pages
from softmask.web.asked import Asked, Values
from softmask.web.style import STYLE
from softmask.web.uploads import FORMATS

TEXT = "text"
"""Name of the field that every form has."""
MOST_LETTERS = 1000


class PictureField(NamedTuple):
    """A picture that a form asks for."""

    name: str
    label: str


class Choice(NamedTuple):
    """One of several things that a form asks for."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]  # values, and what is read of each
    chosen: str  # unless another is


class View(NamedTuple):
    """One page: a form, and what answers it."""

    path: str
    name: str  # in the navigation, and its heading
    intro: str
    pictures: tuple[PictureField, ...]
    label: str  # of the text
    example: str  # of a text
    button: str
    answer: Callable[[Asked, Values], str]  # HTML; raises InputError
    choice: Choice | None = None

    def is_asked(self, values: Values) -> bool:
        """Whether the form was filled in at all, or is only looked at."""
        return bool(values.get(TEXT)) and all(values.get(f.name) for f in self.pictures)


def address(path: str, values: Values) -> str:
    """An address of this page that asks."""
    return f"{path}?{urlencode(values)}"


def picture_address(ref: str) -> str:
    """Where a picture is had."""
    return f"/picture/{quote(ref, safe='')}"


def page(
    views: Sequence[View], view: View, values: Values, result: str, title: str | None = None
) -> str:
    """A whole page.

    Args:
        views: all of them, for the navigation.
        view: this one.
        values: what its form says.
        result: HTML below the form: answer, message or nothing.
        title: of the browser's window, unless it is the page's name.
    """
    body = f"<h1>{escape(view.name)}</h1><p>{escape(view.intro)}</p>{_form(view, values)}{result}"
    return framed(title or view.name, views, body, view.path)


def framed(title: str, views: Sequence[View], body: str, path: str = "") -> str:
    """A page with the navigation above it."""
    links = "".join(
        f'<li><a href="{view.path}"{_current(view.path == path)}>{escape(view.name)}</a></li>'
        for view in views
    )
    nav = f'<nav aria-label="Pages"><ul>{links}</ul></nav>'
    return pages.document(f"{title} - softmask", f"{nav}<main>{body}</main>", STYLE)


def message(text: str) -> str:
    """What went wrong, where a reader of the page hears it at once."""
    return f'<p class="error" role="alert">{escape(text)}</p>'


def _current(yes: bool) -> str:
    return ' aria-current="page"' if yes else ""


def _form(view: View, values: Values) -> str:
    fields = "".join(_picture(field, values.get(field.name, "")) for field in view.pictures)
    sent = ' method="post" enctype="multipart/form-data"' if view.pictures else ""
    text = escape(values.get(TEXT, ""), quote=True)
    return (
        f'<form action="{view.path}"{sent}>'
        + (f'<div class="pair">{fields}</div>' if fields else "")
        + f'<label>{escape(view.label)}<input type="text" name="{TEXT}" value="{text}" required '
        f'maxlength="{MOST_LETTERS}" placeholder="{escape(view.example, quote=True)}" '
        f'autocomplete="off"></label>{_choice(view.choice, values)}'
        f"<button>{escape(view.button)}</button></form>"
    )


def _choice(choice: Choice | None, values: Values) -> str:
    """Radio buttons, one of them chosen."""
    if choice is None:
        return ""
    given = values.get(choice.name)
    chosen = given if given in dict(choice.options) else choice.chosen
    buttons = "".join(
        f'<label><input type="radio" name="{choice.name}" value="{value}"'
        f"{' checked' if value == chosen else ''}> <span>{escape(label)}</span></label>"
        for value, label in choice.options
    )
    return f'<fieldset class="choice"><legend>{escape(choice.label)}</legend>{buttons}</fieldset>'


def _picture(field: PictureField, ref: str) -> str:
    """A file to choose; what was chosen before stays unless another is."""
    kept = (
        f'<input type="hidden" name="{field.name}" value="{escape(ref, quote=True)}">'
        f'<img class="kept" src="{picture_address(ref)}" alt="The picture chosen before">'
        if ref
        else ""
    )
    needed = "" if ref else " required"
    label = f"Another {field.label.lower()}" if ref else field.label
    return (
        f'<div class="field">{kept}<label>{escape(label)}<input type="file" '
        f'name="{field.name}_file" accept="{",".join(FORMATS.values())}"{needed}></label></div>'
    )
