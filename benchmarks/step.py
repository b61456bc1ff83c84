"""Milliseconds of a training step: this project as ALBEF and as SoftMask++, and LAVIS's ALBEF.

All train models of the same sizes on the same random examples, which are on the device already.
On a CPU they take turns, a step each, one thread works and its CPU time counts, so that a busy
machine changes little; LAVIS has a process of its own there, for ours keep the memory they free. On
a GPU each has the device alone, and its clock counts. A step is forward, backward, optimiser and
momentum twins; ours also looks at the norm of its gradients, and LAVIS's masks its words, which
ours finds done by the loader.

- `albef`: this project with the settings of conf/overlay/albef.yaml.
- `masks`: the same with soft masks, negatives under masks included; nothing else differs.
- `softmask`: as conf/pretrain.yaml, where all losses read one masked text, which saves a pass.
- `albef/bf16 twins`: the same as `albef` with `twins_bf16`, all else in float32.
- `lavis`: LAVIS's `albef_pretrain`; see benchmarks/peer.py for how to let it be found.
- `lavis/kept`: the same in a process that keeps the memory it frees too.

A name with `/compiled` has its blocks compiled, one with `/bf16` or `/tf32` runs in that precision.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jsonargparse import auto_cli

from benchmarks import peer
from benchmarks.apart import together
from benchmarks.clock import machine, ratio, versions
from benchmarks.loop import overhead
from benchmarks.precision import agreement, replay_difference
from benchmarks.presets import Plan, Row, plans, tf32
from benchmarks.sizes import StepSize
from benchmarks.timing import Result, alone
from softmask.provenance import commit

RESULTS = Path(__file__).parent / "results"
GOALS = {
    "cpu-small": {"lavis_over_albef": (2.0, "at least"), "softmask_over_albef": (1.1, "at most")},
    "cpu-full": {"lavis_over_albef": (1.35, "at least"), "softmask_over_albef": (1.1, "at most")},
    "gpu": {"lavis_over_albef": (5.0, "at least"), "softmask_over_albef": (1.1, "at most")},
}
RATIOS = {
    "lavis_over_albef": ("lavis", "albef"),
    "lavis_over_bf16_twins": ("lavis", "albef/bf16 twins"),
    "lavis_kept_over_albef": ("lavis/kept", "albef"),
    "lavis_over_softmask": ("lavis", "softmask"),
    "softmask_over_albef": ("softmask", "albef"),
    "masks_over_albef": ("masks", "albef"),
}
MISSING = "not measured"


def main(
    preset: Literal["cpu-small", "cpu-full", "gpu"] = "cpu-small",
    output: Path | None = None,
    rounds: int | None = None,
    compiled: bool = False,
) -> None:
    """Time steps, print and record them.

    Args:
        preset: sizes, rivals and rounds.
        output: the result file; benchmarks/results/step-PRESET.json unless given.
        rounds: steps of each rival that count; the preset's unless given.
        compiled: time compiled blocks too; on a GPU, them alone.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    chosen = plans(preset, compiled)
    name = f"step-{preset}" + "-compiled" * (compiled and preset == "gpu")
    about = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "device": "one CPU thread" if "cpu" in preset else torch.cuda.get_device_name(),
        "versions": versions("torch", "transformers", "lightning"),
        "commit": commit(),
    }
    file = output or RESULTS / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)

    def write(found: Result) -> None:
        """A machine may be taken away before all is measured."""
        file.write_text(json.dumps({**about, **found}, indent=1) + "\n")

    more: Result = {}
    if preset == "gpu" and not compiled:
        for name, ask in _questions(chosen[0].rows, chosen[0].size).items():
            more |= _answered(name, ask)
            write(more)
    found = measure(chosen, rounds, peer.where(), lambda found: write({**more, **found}))
    print(report({**about, **found}, GOALS[preset]))
    print(f"written to {file}")


def _questions(rows: Mapping[str, Row], size: StepSize) -> dict[str, Callable[[], object]]:
    """What only a GPU can tell beside speed."""
    plain, replayed = rows["softmask"], rows["softmask/replayed"]
    ways = {
        "fp32": replace(plain, precision=nullcontext),
        "tf32": replace(plain, precision=tf32),
        "bf16": plain,
    }
    return {
        "replay": lambda: replay_difference(plain, replace(size, batch=16)),
        "losses": lambda: agreement(ways, size),
        "lightning": lambda: overhead(plain, size),
        "lightning/replayed": lambda: overhead(replayed, size),
    }


def _answered(name: str, ask: Callable[[], object]) -> Result:
    """Ask, and let what fails not take the rest with it."""
    try:
        answer = ask()
    except (RuntimeError, torch.OutOfMemoryError) as error:
        print(f"{name} failed: {error}", flush=True)
        return {}
    print(f"{name}: {answer}", flush=True)
    return {name: answer}


def measure(
    chosen: Sequence[Plan],
    rounds: int | None,
    lavis: Path | None,
    keep: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Race the plans' rivals.

    Args:
        chosen: whom to race, a plan for each batch.
        rounds: that count; the plan's if None.
        lavis: where LAVIS lies; None leaves its rows out.
        keep: is given what was found, again after each batch, on a GPU after each rival.

    Returns:
        Rows by batch and name, and ratios by batch; None where nothing was measured.
    """
    found: Result = {"lavis": lavis is not None}
    known = {plan.size: Found({}, {}, {}) for plan in chosen}
    for plan in chosen:  # several may be of one size
        known[plan.size].rows.update(dict.fromkeys(plan.rows))
    for plan in chosen:
        own = {name: row for name, row in plan.rows.items() if lavis or not row.lavis}
        if not own:
            continue
        plan = replace(plan, rows=own, rounds=rounds or plan.rounds)
        for new_rows, new_taken in (alone if plan.device == "cuda" else together)(plan, lavis):
            known[plan.size].add(new_rows, new_taken)
            batches = [_batch(size, each) for size, each in known.items()]
            found |= {"rounds": plan.rounds, "batches": batches, **batches[0]["ratios"]}
            keep(found)
    return found


class Found(NamedTuple):
    """What is known of the rivals of a size, of which several plans may have some."""

    rows: dict[str, Result | None]
    taken: dict[str, list[float]]
    ratios: dict[str, float]

    def add(self, rows: Mapping[str, Result], taken: Mapping[str, list[float]]) -> None:
        """Take in a plan's; what is known already stays, but ratios are best of one plan."""
        self.rows.update({name: row for name, row in rows.items() if not self.rows[name]})
        for name, seconds in taken.items():
            self.taken.setdefault(name, seconds)
        for each in (taken, self.taken):
            for name, pair in RATIOS.items():
                if set(pair) <= set(each):
                    self.ratios.setdefault(name, round(ratio(each, *pair), 3))


def _batch(size: StepSize, found: Found) -> Result:
    return {
        "size": vars(size),
        "parameters": {name: row["parameters"] for name, row in found.rows.items() if row},
        "rows": {name: row and _without_parameters(row) for name, row in found.rows.items()},
        "ratios": {name: found.ratios.get(name) for name in RATIOS},
    }


def _without_parameters(row: Result) -> Result:
    return {name: value for name, value in row.items() if name != "parameters"}


def report(result: Mapping[str, Any], goals: Mapping[str, tuple[float, str]]) -> str:
    """Write the figures of a result in lines."""
    lines = []
    for each in result["batches"]:
        size = each["size"]
        lines.append(
            f"{result['device']}: width {size['width']}, {size['layers']}+{size['text_layers']}+"
            f"{size['fusion_layers']} layers, {size['image']} px, batch {size['batch']}"
        )
        for name, row in each["rows"].items():
            said = MISSING
            if row:
                said = f"{row['step_ms']:>10.1f} ms a step, {row['samples_per_s']:>8.2f} samples/s"
            lines.append(f"  {name:<20} {said}")
    for name in RATIOS:
        goal, bound = goals.get(name, (None, ""))
        value = result[name]
        said = MISSING if value is None else f"{value:.2f}"
        if goal is not None:
            said += f", {bound} {goal:g} wanted"
            if value is not None:
                met = value >= goal if bound == "at least" else value <= goal
                said += f": {'met' if met else 'missed'}"
        lines.append(f"  {name:<20} {said}")
    if not result["lavis"]:
        lines.append(f"LAVIS was {MISSING}: {peer.FOLDER} does not say where it lies.")
    return "\n".join(lines)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
