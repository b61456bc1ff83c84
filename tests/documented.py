"""README.md and the pages of docs as a reader uses them: blocks, commands, names in `code`."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).parent.parent
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").rglob("*.md"))]
SHELL = {"sh", "bash", "console", "shell"}
OTHERS = {"python", "yaml", "csv", "json", "text", ""}
"""Languages of blocks that hold no command; "" is the recorded output that scripts write."""
COMMAND = re.compile(r"\s*(\$ |\.venv/|softmask |make |python |pip |torchrun |srun |git |mkdocs )")

FENCE = re.compile(r"^( *)```([\w+-]*) *\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
VARIABLE = re.compile(r"[A-Z_]+=\S*")


class Block(NamedTuple):
    """A fenced block."""

    place: str  # page and line, to be shown
    language: str
    text: str


class Command(NamedTuple):
    """A line of a shell, continued ones joined."""

    place: str
    words: list[str]  # the program first
    text: str


def name_of(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(f"{name_of(page)}:{text[: m.start()].count(chr(10)) + 1}", m[2], m[3])
        for m in FENCE.finditer(text)
    ]
    assert text.count("```") == 2 * len(found), f"{page} has a fence that is not understood"
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block of a shell; what begins with $ is one, too."""
    for line in re.sub(r"\\\n", " ", block.text).splitlines():
        script = line.startswith("#SBATCH")
        words = shlex.split(line.removeprefix("$ "), comments=not script)
        while words and VARIABLE.fullmatch(words[0]):
            words = words[1:]
        if words:
            yield Command(block.place, words, line.strip())


def spans(page: Path) -> Iterator[str]:
    """What stands in `code` outside of blocks."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for found in SPAN.finditer(text):
        yield " ".join(found[1].split())
