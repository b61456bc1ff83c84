"""Rows of the ablation: overlays of conf/ablation that add ideas to ALBEF, and choices to ideas.

`albef` has none of them; `focal` adds one; `soft_mask/content` adds one with a choice of its own;
`soft_mask+mmda/text` adds two; `all` is `soft_mask+focal+mmda`.
"""

from pathlib import Path

from softmask.errors import InputError

FOLDER = Path(__file__).parent.parent / "conf" / "ablation"
ALBEF, ALL = "albef", "all"
IDEAS = ("soft_mask", "focal", "mmda")
MAIN = (ALBEF, *IDEAS, ALL)


def overlays(row: str) -> list[Path]:
    """The YAMLs of a row, ALBEF's first.

    Raises:
        InputError: the row names an idea or a choice that is not there, or an idea twice.
    """
    added = [] if row == ALBEF else (IDEAS if row == ALL else row.split("+"))
    ideas = [each.partition("/")[0] for each in added]
    names = [name for idea, each in zip(ideas, added, strict=True) for name in {idea: 0, each: 0}]
    files = [FOLDER / f"{name}.yaml" for name in (ALBEF, *names)]
    if not {*ideas} <= {*IDEAS} or len({*ideas}) < len(ideas) or not all(map(Path.is_file, files)):
        raise InputError(
            f"There is no row {row!r}: give {ALBEF}, {ALL}, {', '.join(choices())}, or several of "
            f"these joined by +, each idea once."
        )
    return files


def choices() -> list[str]:
    """Every idea, and every choice within it."""
    return [
        name
        for idea in IDEAS
        for name in (idea, *sorted(f"{idea}/{file.stem}" for file in (FOLDER / idea).iterdir()))
    ]
