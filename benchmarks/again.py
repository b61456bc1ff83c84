"""Runs of the ablation that were run again: do they end where they did, or as near as seeds do?

Two runs of other seeds differ by more than t sqrt(2) deviations in five cases of a hundred, where t
is Student's quantile of as many seeds as the deviation is of: 4.3 of three.
"""

import math
from collections.abc import Sequence

from benchmarks.compared import MISSING, RECALL, backbone, table, values
from benchmarks.lines import KEYS, Line
from benchmarks.paired import spread, t_quantile

AGAIN = "again"
"""The section's name, and that of the folder of its lines."""


def again_section(again: Sequence[Line], recorded: Sequence[Line]) -> str:
    """A line a run that was run again, beside what was recorded of it.

    Args:
        again: lines of the later runs.
        recorded: of all runs that the page compares.
    """
    cells = [["data", "run again", RECALL.title, "recorded", "over seeds", "moved", "commits"]]
    for line in again:
        first = next((x for x in recorded if all(x[key] == line[key] for key in KEYS)), None)
        if first is not None:
            cells.append(_cells(line, first, recorded))
    return table(cells) if cells[1:] else f"{MISSING}\n"


def _cells(line: Line, first: Line, recorded: Sequence[Line]) -> list[str]:
    now, before = RECALL.of(line), RECALL.of(first)
    assert now is not None
    assert before is not None
    shared = [key for key in KEYS if key not in ("row", "seed")]
    beside = [x for x in recorded if all(x[key] == line[key] for key in shared)]
    seeds = spread(values(beside, line["row"], RECALL))
    assert seeds is not None  # the first run is one of them
    deviation = seeds.deviation
    said = f"{now - before:+.1f}"
    if deviation is not None:
        near = abs(now - before) <= t_quantile(seeds.seeds - 1) * math.sqrt(2) * deviation
        said += ", as seeds do" if near else ", **more than seeds do**"
    size = backbone(line["data"], line["preset"])
    return [
        f"{line['data']}, {line['steps']:,} steps, {size} on {line['device']}",
        f"`{line['row']}`, seed {line['seed']}",
        f"{now:.1f}",
        f"{before:.1f}",
        f"{seeds.mean:.1f}" + (f" ± {deviation:.1f}" if deviation is not None else ""),
        said,
        f"{first['commit']}, {line['commit']}",
    ]
