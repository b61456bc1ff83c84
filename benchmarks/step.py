"""Milliseconds of a training step: this project as ALBEF and as SoftMask++, and LAVIS's ALBEF.

All train models of the same sizes on the same random examples, which are on the device already.
On a CPU they take turns, a step each, one thread works and its CPU time counts, so that a busy
machine changes little; on a GPU each has the device alone, and its clock counts. A step is forward,
backward, optimiser and momentum twins; ours also looks at the norm of its gradients, and LAVIS's
masks its words, which ours finds done by the loader.

- `albef`: this project with the settings of conf/overlay/albef.yaml.
- `masks`: the same with soft masks, negatives under masks included; nothing else differs.
- `softmask`: as conf/pretrain.yaml, where all losses read one masked text, which saves a pass.
- `lavis`: LAVIS's `albef_pretrain`; see benchmarks/peer.py for how to let it be found.

A name with `/compiled` has its blocks compiled, one with `/bf16` or `/tf32` runs in that precision.
"""

import gc
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from jsonargparse import auto_cli

from benchmarks import gpu, peer
from benchmarks.calls import counted
from benchmarks.clock import machine, race, ratio, versions
from benchmarks.loop import overhead
from benchmarks.precision import agreement, replay_difference
from benchmarks.presets import Plan, Row, plans, tf32
from benchmarks.rivals import Rival, timed
from benchmarks.sizes import StepSize
from softmask.provenance import commit

RESULTS = Path(__file__).parent / "results"
GIGAFLOP = 317.1
"""Of one sample of the full size, whatever tricks save: SoftMask++ at 30 tokens, see README.md."""
PEAK = 790.0
"""TFLOP/s of bfloat16 matrix products that an H200 was seen to reach."""
GOALS = {
    "cpu-small": {"lavis_over_albef": (2.0, "at least"), "softmask_over_albef": (1.1, "at most")},
    "cpu-full": {"lavis_over_albef": (1.35, "at least"), "softmask_over_albef": (1.1, "at most")},
    "gpu": {"lavis_over_albef": (5.0, "at least"), "softmask_over_albef": (1.15, "at most")},
}
RATIOS = {
    "lavis_over_albef": ("lavis", "albef"),
    "lavis_over_softmask": ("lavis", "softmask"),
    "softmask_over_albef": ("softmask", "albef"),
    "masks_over_albef": ("masks", "albef"),
}
MISSING = "not measured"
Result = dict[str, Any]
Timed = tuple[dict[str, Result], dict[str, list[float]]]
"""What is to be known of each rival, and the seconds of its steps, by name."""


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
    if chosen[0].device == "cpu":
        torch.set_num_threads(1)
    found: Result = {"lavis": lavis is not None}
    timed: dict[StepSize, Timed] = {plan.size: ({}, {}) for plan in chosen}
    asked: dict[StepSize, dict[str, None]] = {plan.size: {} for plan in chosen}
    for plan in chosen:
        plan = replace(plan, rounds=rounds or plan.rounds)
        asked[plan.size] |= dict.fromkeys(plan.rows)

        def add(part: Timed, size: StepSize = plan.size, rounds: int = plan.rounds) -> None:
            timed[size][0].update(part[0])
            timed[size][1].update(part[1])
            found["batches"] = [_batch(size, asked[size], *timed[size]) for size in asked]
            found.update({"rounds": rounds, **found["batches"][0]["ratios"]})
            keep(found)

        rows = {name: row for name, row in plan.rows.items() if lavis or not row.lavis}
        own = replace(plan, rows=rows)
        add(alone(own, lavis, add) if plan.device == "cuda" else together(own, lavis))
    return found


def _batch(
    size: StepSize,
    asked: Mapping[str, None],
    found: Mapping[str, Result],
    taken: Mapping[str, list[float]],
) -> Result:
    rows = {n: {k: v for k, v in row.items() if k != "parameters"} for n, row in found.items()}
    return {
        "size": vars(size),
        "parameters": {name: row["parameters"] for name, row in found.items()},
        "rows": {**dict.fromkeys(asked), **rows},
        "ratios": {
            name: round(ratio(taken, *pair), 3) if set(pair) <= set(taken) else None
            for name, pair in RATIOS.items()
        },
    }


def together(plan: Plan, lavis: Path | None) -> Timed:
    """Race all rivals in turns, so that a busy machine slows all alike."""
    rivals = {name: row.build(plan.size, lavis, plan.device) for name, row in plan.rows.items()}
    compare({name: rival.parameters() for name, rival in rivals.items()}, plan.size)
    taken = race({n: r.step for n, r in rivals.items()}, plan.rounds, plan.clock(), plan.warmup)
    # Last: the first step makes the optimiser's state, too.
    found = {
        name: {
            "parameters": rival.parameters(),
            **_speed(taken[name], plan.size, plan.device),
            # Compiled code hides its parts and calls.
            **look(rival, plan.clock(), whole=not plan.rows[name].compiled),
        }
        for name, rival in rivals.items()
    }
    return found, taken


def alone(plan: Plan, lavis: Path | None, keep: Callable[[Timed], None] = lambda _: None) -> Timed:
    """Time one rival after another, each with the whole memory of the device; see `together`.

    Args:
        plan: whom.
        lavis: where LAVIS lies.
        keep: is given what was found so far, after each rival.
    """
    found: dict[str, Result] = {}
    taken: dict[str, list[float]] = {}
    for name, row in plan.rows.items():
        try:
            found[name], taken[name] = _alone(plan, row.build(plan.size, lavis, plan.device), row)
            print(f"{plan.size.batch} {name}: {found[name]['step_ms']} ms", flush=True)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"{plan.size.batch} {name} failed: {error}", flush=True)
        keep((found, taken))
        gc.collect()
        torch.cuda.empty_cache()
    compare({name: row["parameters"] for name, row in found.items()}, plan.size)
    return found, taken


def _alone(plan: Plan, rival: Rival, row: Row) -> tuple[Result, list[float]]:
    first = gpu.first_seconds(rival.step)
    runs = [gpu.seconds(rival.step, plan.rounds, plan.warmup) for _ in range(plan.repeats)]
    taken = [each for run in runs for each in run]
    speed = _speed(taken, plan.size, plan.device)
    works = gpu.kernel_ms(rival.step)
    found = {
        "parameters": rival.parameters(),
        **speed,
        "runs_ms": [round(1000 * median(run), 3) for run in runs],
        "first_s": first,
        "kernel_ms": round(works, 3),
        "idle": round(max(0.0, 1 - works / float(speed["step_ms"] or 1)), 4),
        "peak_gib": gpu.peak_gib(rival.step),
        **look(rival, gpu.now, whole=not (row.compiled or row.replayed)),
        "host_syncs": gpu.waits(rival.step),
    }
    return found, taken


def compare(parameters: Mapping[str, int], size: StepSize) -> None:
    """Refuse models that do not train as many parameters, by name.

    BERT's two token types, whose sum with everything is a constant, are LAVIS's lack.
    """
    types = 2 * size.width
    all_of = {n: count + (types if n.startswith("lavis") else 0) for n, count in parameters.items()}
    assert len(set(all_of.values())) == 1, f"not as many parameters are trained: {all_of}"


def look(
    rival: Rival, clock: Callable[[], float], *, whole: bool = True
) -> dict[str, float | int | None]:
    """Take two steps more, to see what one is made of.

    Args:
        rival: whose step.
        clock: gives seconds.
        whole: whether its parts and calls can be seen; else they are None.

    Returns:
        Shares of Grad-CAM and of optimiser and twins in it, None where there is none; how often
        the host waited for a value; calls of kernels.
    """
    names = ("cam_share", "cam_ms", "update_share", "update_ms", "host_syncs", "calls")
    if not whole:
        return dict.fromkeys(names)
    taken: dict[str, float] = {}
    start = clock()
    with timed(rival.parts(), clock, taken):
        rival.step()
    seconds = clock() - start
    # Another one: counting takes its own time.
    learning, update = counted(rival.learn), counted(rival.update)
    cam, moved = taken.get("cam"), taken["optimizer"] + taken["twins"]
    return {
        "cam_share": None if cam is None else round(cam / seconds, 4),
        "cam_ms": None if cam is None else round(1000 * cam, 3),
        "update_share": round(moved / seconds, 4),
        "update_ms": round(1000 * moved, 3),
        # The optimiser reads its own count of steps, which is never on the device.
        "host_syncs": learning.waits,
        "calls": sum((learning.works + update.works).values()),
    }


def _speed(taken: list[float], size: StepSize, device: str) -> dict[str, float | None]:
    seconds = median(taken)
    flops = size.batch / seconds * GIGAFLOP * 1e9
    return {
        "step_ms": round(1000 * seconds, 3),
        "fastest_ms": round(1000 * min(taken), 3),
        "samples_per_s": round(size.batch / seconds, 3),
        "steps": len(taken),
        "mfu": round(flops / PEAK / 1e12, 4) if device == "cuda" else None,
    }


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
