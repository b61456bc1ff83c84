"""`make compare-reference RUN=...`: does a run go as a healthy one went?

    python -m benchmarks.reference keep runs/version_0 --name demo
    python -m benchmarks.reference compare runs/version_1

`keep` writes the curves of a run to docs/reference/<name>.json, as means of stretches and the noise
of a value, which is read off how values next to each other differ. `compare` draws a run over them,
as `compared.html` in its folder, and ends with 1 if a curve is apart: if in more than a quarter of
the stretches that both have, its mean is off by more than two deviations of a value and a tenth of
what the reference's curve spans.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist, fmean, median
from typing import Any, Literal, NamedTuple

from jsonargparse import auto_cli

from softmask.curves import STYLE, Chart, Series, draw, family
from softmask.errors import InputError
from softmask.events import read_events
from softmask.pages import document, table
from softmask.runs import read_settings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
GROUPS = ("train/", "val/")
STRETCHES = 24
DEVIATIONS, SPAN, MOST = 2.0, 0.1, 0.25
"""What a mean may be off by, in deviations and in the curve's span; how often it may be more."""
WORDS = ("apart", "missing", "alike")
"""What may be said of a curve, the worst first; a run that ended early may well miss some."""
Reference = Mapping[str, Any]


class Curve(NamedTuple):
    """A curve in short."""

    noise: float  # deviation of a value from its neighbours' course
    means: Sequence[tuple[int, float]]  # of stretches, by their last step


class Verdict(NamedTuple):
    """How a curve of a run goes beside the reference's; without values nothing is known of it."""

    tag: str
    reference: float = math.nan  # mean of its last common stretch
    run: float = math.nan
    outside: float = math.nan  # share of common stretches

    @property
    def word(self) -> str:
        """It in a word."""
        if math.isnan(self.outside):
            return "missing"
        return "apart" if self.outside > MOST else "alike"


def keep(run: Path, name: str, folder: Path = FOLDER) -> Path:
    """Make a run the reference of its recipe.

    Args:
        run: its folder, with the TensorBoard file and config.yaml.
        name: of the recipe, such as demo.
        folder: of references.

    Returns:
        The file written.
    """
    scalars = logged(run)
    steps = max(max(line) for line in scalars.values())
    made = {
        "name": name,
        "task": task(run),
        "steps": steps,
        "facts": facts(run),
        "curves": {tag: cut(line, steps) for tag, line in scalars.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(made) + "\n")
    return file


def compare(run: Path, name: str | None = None, folder: Path = FOLDER) -> list[Verdict]:
    """Draw a run over its reference.

    Args:
        run: its folder.
        name: of the reference; that of the run's task unless given.
        folder: of references.

    Returns:
        Of each curve of the reference, how the run's goes.

    Raises:
        InputError: there is no such reference, or several may be meant.
    """
    known = find(run, name, folder)
    scalars = logged(run)
    found = [judge(tag, known, scalars.get(tag, {})) for tag in known["curves"]]
    (run / "compared.html").write_text(page(run, known, scalars, found), encoding="utf-8")
    return found


def find(run: Path, name: str | None, folder: Path = FOLDER) -> Reference:
    """The reference of a name, or of a run's task.

    Raises:
        InputError: there is none, or several may be meant.
    """
    known: dict[str, Reference] = {
        file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")
    }
    if name is None:
        asked = task(run)
        fitting = sorted(each for each, reference in known.items() if reference["task"] == asked)
        if len(fitting) != 1:
            which = ", ".join(fitting) or f"none of {', '.join(sorted(known))}"
            raise InputError(
                f"{run} is a run of {asked}, whose references are: {which}. Name the one to "
                f"compare with: REFERENCE=name, or --name name."
            )
        (name,) = fitting
    if name not in known:
        raise InputError(f"There is no reference {name!r}: give one of {', '.join(sorted(known))}.")
    return known[name]


def logged(run: Path) -> dict[str, Series]:
    """The curves of a run's training and validation, values that are not finite left out.

    Raises:
        InputError: there are none.
    """
    found: dict[str, Series] = {
        tag: {step: value for step, value in line.items() if math.isfinite(value)}
        for tag, line in read_events(run).scalars.items()
        if tag.startswith(GROUPS)
    }
    found = {tag: line for tag, line in found.items() if line}
    if not found:
        raise InputError(f"{run} holds no TensorBoard file with curves: give the folder of a run.")
    return found


def facts(run: Path) -> dict[str, str]:
    """What a run said of itself: data, commit, versions, processes; of each the last."""
    said = sorted(read_events(run).texts.get("run", {}).items())  # a test alone knows its own data
    lines = [line for _, text in said for line in text.splitlines()[2:]]
    cells_of = (line.strip("| ").split(" | ") for line in lines)
    return {cell[0]: cell[1] for cell in cells_of if len(cell) == 2}


def task(run: Path) -> str:
    """The class path of a run's task.

    Raises:
        InputError: the folder is no run's.
    """
    return str(read_settings(run)["model"]["class_path"])


def cut(line: Series, steps: int) -> Curve:
    """A curve in stretches of as many steps, empty ones left out.

    Args:
        line: values by step.
        steps: of the whole run.
    """
    size = max(math.ceil((steps + 1) / STRETCHES), 1)
    parts: dict[int, list[float]] = {}
    for step, value in sorted(line.items()):
        parts.setdefault(step // size, []).append(value)
    means = [((n + 1) * size - 1, _short(fmean(part))) for n, part in parts.items()]
    jumps = [abs(one[1] - other[1]) for one, other in pairwise(sorted(line.items()))]
    # Of a normal deviation: the median of its absolute value, and that of a difference of two.
    noise = median(jumps) / NormalDist().inv_cdf(0.75) / math.sqrt(2) if jumps else 0.0
    return Curve(_short(noise), means)


def judge(tag: str, known: Reference, line: Series) -> Verdict:
    """Compare a curve where both have values; a run that is shorter ends sooner."""
    noise, means = known["curves"][tag]
    theirs, mine = dict(means), cut(line, known["steps"])
    ours = dict(mine.means)
    common = [last for last in theirs if last in ours]
    if not common:
        return Verdict(tag)
    span = max(theirs.values()) - min(theirs.values())
    allowed = DEVIATIONS * max(noise, mine.noise) + SPAN * span
    outside = fmean(abs(ours[last] - theirs[last]) > allowed for last in common)
    return Verdict(tag, theirs[common[-1]], ours[common[-1]], outside)


def page(
    run: Path, known: Reference, scalars: Mapping[str, Series], found: Sequence[Verdict]
) -> str:
    """Both runs' curves and what is apart, as HTML that needs no other file."""
    charts = []
    for each in sorted(found, key=lambda each: (WORDS.index(each.word), family(each.tag))):
        lines = {f"reference {known['name']}": dict(known["curves"][each.tag][1])}
        if each.tag in scalars:
            lines["this run"] = dict(cut(scalars[each.tag], known["steps"]).means)
        title = each.tag if each.word == "alike" else f"{each.tag}: {each.word}"
        charts.append(draw(Chart(title, lines)))
    heads = ("curve", "reference", "this run", "stretches outside", "verdict")
    title = f"{run.name} beside the reference {known['name']}"
    said = escape("; ".join(f"{name}: {value}" for name, value in known["facts"].items()))
    return document(
        title,
        f"<h1>{escape(title)}</h1><p class='soft'>The reference took {known['steps']} steps. "
        f"{said}. Both curves are means of stretches.</p>"
        f"{table('Where both have values', heads, map(cells, found))}"
        f"<h2>Curves</h2><div class='grid curves'>{''.join(charts)}</div>",
        STYLE,
    )


def cells(each: Verdict) -> tuple[str, ...]:
    """A verdict as text."""
    if each.word == "missing":
        return each.tag, "", "", "", each.word
    return each.tag, f"{each.reference:.4g}", f"{each.run:.4g}", f"{each.outside:.0%}", each.word


def main(
    verb: Literal["keep", "compare"], run: Path, name: str | None = None, folder: Path = FOLDER
) -> None:
    """Keep or compare, and print.

    Args:
        verb: keep or compare.
        run: folder of the run.
        name: of the reference; must be given to keep.
        folder: of references.

    Raises:
        SystemExit: with 1 if a curve is apart, or none is alike, or the input is wrong.
    """
    try:
        if verb == "keep":
            if not name:
                raise InputError("A reference needs a name: add --name NAME.")
            print(f"written to {keep(run, name, folder)}")
            return
        found = compare(run, name, folder)
    except InputError as error:
        raise SystemExit(f"reference: {error}") from None
    for each in found:
        tag, *rest = cells(each)
        print(f"{tag:<32}" + "".join(f"{cell:>10}" for cell in rest))
    count = Counter(each.word for each in found)
    said = ", ".join(f"{count[word]} {word}" for word in WORDS if count[word])
    print(f"{said}; see {run}/compared.html")
    if count["apart"] or not count["alike"]:
        raise SystemExit(1)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


if __name__ == "__main__":
    auto_cli(main)
