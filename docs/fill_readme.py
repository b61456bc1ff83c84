"""Writes the recorded results of both demos, docs/results, into README.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from benchmarks.tasks import stages
from softmask.tables import recall_table

ROOT = Path(__file__).parent.parent
TASKS = "tasks/tasks.json", "tasks/whole.json", "tasks/blind.json", "tasks/pretrain.json"


def between(text: str, name: str, said: str) -> str:
    """Put lines between the marks <!-- name --> and <!-- /name --> of a text."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(opening)
    return f"{before}{opening}\n{said}{closing}{rest.partition(closing)[2]}"


def filled(readme: str, report: dict[str, object]) -> str:
    """Put the table of a report between the marks of a README."""
    minutes = float(str(report["train_seconds"])) / 60
    said = (
        f"{report['steps']} steps took {minutes:.1f} minutes on two CPU cores and ended with\n\n"
        f"```\n{recall_table(report, str(report['corpus']))}\n```\n"
    )
    return between(readme, "demo", said)


def filled_tasks(
    readme: str,
    tasks: Mapping[str, Mapping[str, object]],
    whole: Mapping[str, object],
    blind: Mapping[str, float],
    pretraining: Mapping[str, Any],
) -> str:
    """Put the figures of `make demo-tasks` between the marks of a README.

    Args:
        readme: its text.
        tasks: of tasks.json.
        whole: of whole.json.
        blind: of blind.json, what is right without a look at the picture, by task.
        pretraining: its report, of retrieval before any fine-tuning.
    """
    recalls = [pretraining["itm"][way]["r1"] for way in ("i2t", "t2i")]
    said = (
        f"All of it took {whole['minutes']:.0f} minutes, {whole['jobs']} trainings at a time "
        f"({whole['machine']}). In percent:\n\n"
        "| task | figure | steps | chance | blind | from scratch | pretrained |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    for name, each in tasks.items():
        shares = (each["chance"], blind.get(name), each["scratch"], each["value"])
        cells = [f"`{name}`", str(each["metric"]), f"{_steps(name):,}", *map(_percent, shares)]
        said += f"| {' | '.join(cells)} |\n"
    said += (
        f"\nPretrained means {pretraining['steps']:,} steps before those of the task, from scratch "
        f"these alone. Retrieval before\nany step of its own has {_percent(fmean(recalls))}.\n"
    )
    return between(readme, "tasks", said)


def _steps(task: str) -> int:
    """Of all that a task's recipe trains after pretraining."""
    files = [(ROOT / f"conf/demo/{stage}.yaml").read_text() for stage in stages(task)]
    return sum(int(yaml.safe_load(text)["trainer"]["max_steps"]) for text in files)


def _percent(share: object) -> str:
    return "" if share is None else f"{100 * float(str(share)):.1f}"


def filled_kinds(
    readme: str,
    tuned: Mapping[str, Mapping[str, float]],
    scratch: Mapping[str, Mapping[str, float]],
) -> str:
    """Put how VQA answers each kind of question between the marks of a README.

    Args:
        readme: its text.
        tuned: report of VQA after pretraining.
        scratch: report of VQA from scratch.
    """
    kinds = tuned["by_type"]
    cells = [
        ["question", *(f"`{kind}`" for kind in kinds)],
        ["---"] * (len(kinds) + 1),
        *(
            [name, *(f"{100 * report['by_type'][kind]:.0f}" for kind in kinds)]
            for name, report in (("from scratch", scratch), ("pretrained", tuned))
        ),
    ]
    return between(readme, "kinds", "".join(f"| {' | '.join(row)} |\n" for row in cells))


def filled_words(readme: str, probe: Mapping[str, Mapping[str, float]]) -> str:
    """Put how often maps lie on what is named between the marks of a README.

    Args:
        readme: its text.
        probe: of retrieval's model, as `benchmarks.probe --hiding` writes it.
    """
    boxes = probe["boxes"]
    found, looks, middle = (
        f"{100 * share:.0f} %"
        for share in (probe["hidden"]["pointing"], boxes["pointing"], boxes["centre"])
    )
    said = (
        f"Of the {boxes['count']:,.0f} names in these scenes' captions, the map by hiding is "
        f"highest on what is named for {found},\nthe one by Grad-CAM for {looks}; the middle of "
        f"the picture would be right for {middle}.\n"
    )
    return between(readme, "words", said)


def read(place: str) -> dict[str, Any]:
    """A recorded result."""
    found: dict[str, Any] = json.loads((ROOT / "docs/results" / place).read_text())
    return found


if __name__ == "__main__":
    path = ROOT / "README.md"
    text = filled(path.read_text(), read("demo/report.json"))
    text = filled_tasks(text, *map(read, TASKS))
    text = filled_kinds(text, read("tasks/vqa.json"), read("tasks/vqa-scratch.json"))
    path.write_text(filled_words(text, read("page/probe.json")))
