"""Milliseconds of a training step: this project as ALBEF and as SoftMask++, and LAVIS's ALBEF.

All train models of the same sizes on the same random examples, which are on the device already.
They take turns, a step each. On a CPU one thread works and its CPU time counts, so that a busy
machine changes little; on a GPU it is the time until the device is done. A step is forward,
backward, optimiser and momentum twins; ours also looks at the norm of its gradients, and LAVIS's
masks its words, which ours finds done by the loader.

- `albef`: this project with the settings of conf/overlay/albef.yaml.
- `masks`: the same with soft masks, negatives under masks included; nothing else differs.
- `softmask`: as conf/pretrain.yaml, where all losses read one masked text, which saves a pass.
- `lavis`: LAVIS's `albef_pretrain`; see benchmarks/peer.py for how to let it be found.

A name with `/compiled` has its blocks compiled, one with `/bf16` or `/tf32` runs in that precision.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from jsonargparse import auto_cli

from benchmarks import peer
from benchmarks.calls import counted
from benchmarks.clock import machine, race, ratio, versions
from benchmarks.presets import Plan, plan
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
        compiled: time compiled blocks too, which the preset gpu does anyhow.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    chosen = plan(preset, compiled)
    began = commit()
    found = measure(chosen, rounds or chosen.rounds, peer.where())
    result = {
        "name": f"step-{preset}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "device": torch.cuda.get_device_name() if chosen.device == "cuda" else "one CPU thread",
        "versions": versions("torch", "transformers", "lightning"),
        "commit": began,
        **found,
    }
    print(report(result, GOALS[preset]))
    file = output or RESULTS / f"step-{preset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {file}")


def measure(chosen: Plan, rounds: int, lavis: Path | None) -> dict[str, Any]:
    """Race the plan's rivals for each of its batches.

    Args:
        chosen: whom to race.
        rounds: that count.
        lavis: where LAVIS lies; None leaves its rows out.

    Returns:
        Rows by batch and name, and ratios by batch; None where nothing was measured.
    """
    if chosen.device == "cpu":
        torch.set_num_threads(1)
    batches = [_measure(size, chosen, rounds, lavis) for size in chosen.sizes]
    return {
        "parameters": batches[0].pop("parameters"),
        "rounds": rounds,
        "lavis": lavis is not None,
        "batches": batches,
        **{name: batches[0]["ratios"][name] for name in RATIOS},
    }


def _measure(size: StepSize, chosen: Plan, rounds: int, lavis: Path | None) -> dict[str, Any]:
    rivals: dict[str, Rival] = {}
    held: dict[str, float] = {}
    for name, row in chosen.rows.items():
        if row.lavis and lavis is None:
            continue
        before = _allocated()
        rivals[name] = row.build(size, lavis, chosen.device)
        held[name] = _allocated() - before
    parameters = compare(rivals, size)
    runs = [
        race({n: r.step for n, r in rivals.items()}, rounds, chosen.clock(), chosen.warmup)
        for _ in range(chosen.repeats)
    ]
    # Last: the first step makes the optimiser's state, too.
    looks = {name: look(rival, chosen.clock()) for name, rival in rivals.items()}
    taken = {name: [each for once in runs for each in once[name]] for name in rivals}
    rows: dict[str, dict[str, Any] | None] = dict.fromkeys(chosen.rows)
    for name, rival in rivals.items():
        rows[name] = {
            **_speed(taken[name], size, chosen.device),
            "runs_ms": [round(1000 * median(once[name]), 3) for once in runs],
            "peak_gib": _peak(rival, held[name]) if chosen.device == "cuda" else None,
            # Compiled code hides its parts and calls.
            **(dict.fromkeys(looks[name]) if chosen.rows[name].compiled else looks[name]),
        }
    return {
        "size": vars(size),
        "parameters": parameters,
        "rows": rows,
        "ratios": {
            name: round(ratio(taken, *pair), 3) if set(pair) <= set(taken) else None
            for name, pair in RATIOS.items()
        },
    }


def compare(rivals: Mapping[str, Rival], size: StepSize) -> dict[str, int]:
    """Give the parameters that each trains, by name, which must be as many.

    BERT's two token types, whose sum with everything is a constant, are LAVIS's lack.
    """
    found = {name: rival.parameters() for name, rival in rivals.items()}
    types = 2 * size.width
    for name, count in found.items():
        expected = found["albef"] - (types if name.startswith("lavis") else 0)
        assert count == expected, f"{name} trains {count:,} parameters, not {expected:,}"
    return found


def look(rival: Rival, clock: Callable[[], float]) -> dict[str, float | int | None]:
    """Take one step more, to see what it is made of.

    Args:
        rival: whose step.
        clock: gives seconds.

    Returns:
        Shares of Grad-CAM and of optimiser and twins in it, None where there is none; how often
        the host waited for a value; calls of kernels.
    """
    taken: dict[str, float] = {}
    start = clock()
    with timed(rival.parts(), clock, taken):
        learning, update = counted(rival.learn), counted(rival.update)
    whole = clock() - start
    return {
        "cam_share": round(taken["cam"] / whole, 4) if "cam" in taken else None,
        "update_share": round((taken["optimizer"] + taken["twins"]) / whole, 4),
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
        "mfu": round(flops / PEAK / 1e12, 4) if device == "cuda" else None,
    }


def _peak(rival: Rival, held: float) -> float:
    """Give the most memory of a step in GiB, without what the others hold."""
    torch.cuda.reset_peak_memory_stats()
    before = _allocated()
    rival.step()
    return round((torch.cuda.max_memory_allocated() - before + held) / 2**30, 3)


def _allocated() -> float:
    return float(torch.cuda.memory_allocated()) if torch.cuda.is_available() else 0.0


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
