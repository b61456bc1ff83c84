"""Addresses of data elsewhere, without what is nobody's business: names, passwords, queries."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

PIPE = "pipe:"
"""Begins a shell command whose output is the data."""
FILE = "file:"
BETWEEN = "::"
"""Between addresses of which any will do."""


def shown(url: str) -> str:
    """Give an address as it may be printed, without what may be secret; a path stays.

    Several that stand for each other, a::b, are told one by one.
    """
    if BETWEEN in url:
        return BETWEEN.join(map(shown, url.split(BETWEEN)))
    if url.startswith(PIPE):
        words = url.removeprefix(PIPE).split(maxsplit=1)
        name = words[0] if words and "=" not in words[0] else ""  # no NAME=value before a command
        return f"{PIPE}{name} ..."
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:  # no address, and nobody knows which part of it is secret
        return f"{url.partition('://')[0]}://..."
    host, query = parts.netloc.rpartition("@")[2], "..." if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def public(given: str) -> str:
    """Give a path or an address as strangers may read it.

    Of a path on this machine the last part stays, of an address what `shown` leaves but "?...", of
    a command nothing.
    """
    if BETWEEN in given:
        return BETWEEN.join(map(public, given.split(BETWEEN)))
    if given.startswith(PIPE):
        return f"{PIPE}..."
    if given.startswith(("/", "~", FILE)):
        return Path(given).name
    return shown(given).removesuffix("?...") if "://" in given else given
