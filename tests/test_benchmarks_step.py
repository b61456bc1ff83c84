"""The benchmark of the training step, without timing anything: small sizes, a made-up clock."""

import itertools
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
import training
import yaml
from raced import MODES, TINY, ours, tiny_plan

from benchmarks import gpu, loop, precision, presets, rivals, scaling, step, timing
from benchmarks.calls import counted
from benchmarks.sizes import CLASS, MASK, examples

ROOT = Path(__file__).parent.parent


def test_albef_is_the_overlay():
    overlay = yaml.safe_load((ROOT / "conf/overlay/albef.yaml").read_text())
    task = overlay["model"]["init_args"]
    assert task["contrast"] == {**presets.ALBEF, "hard_steps": 0}
    assert MODES["albef"].soft_mask == task["soft_mask"]["weight"] == 0
    assert MODES["albef"].own_draw  # text: {augment: none}
    assert ours().task.contrast.hard_steps == 0


def test_masks_alone_tell_the_second_mode_from_the_first():
    one, other = MODES["albef"], MODES["masks"]
    assert vars(one) | {"soft_mask": 1.0} == vars(other)


def test_examples_are_masked_captions():
    batch, again = (examples(TINY, "cpu", own_draw=True) for _ in range(2))
    assert all(torch.equal(batch[n], again[n]) for n in ("image", "input_ids", "mlm_ids"))
    flat, at = batch["mlm_ids"].flatten(), batch["mlm_at"]
    assert (flat == MASK).nonzero().squeeze(1).tolist() == at.tolist()
    assert torch.equal(batch["input_ids"].flatten()[at], batch["mlm_labels"])
    assert (batch["input_ids"][:, 0] == CLASS).all()
    assert torch.equal(batch["input_ids"] == 0, ~batch["attention_mask"])
    shared = examples(TINY, "cpu", own_draw=False)
    assert "mlm_ids" not in shared
    assert torch.equal(shared["input_ids"], batch["mlm_ids"])


def test_a_step_learns_and_moves_twins_and_queue():
    made = ours("softmask")
    own = [p.clone() for p in made.task.backbone.parameters()]
    made.step()
    assert all(
        not torch.equal(a, b) for a, b in zip(own, made.task.backbone.parameters(), strict=True)
    )
    twins = [p.clone() for p in made.task.teacher.parameters()]
    assert made.task.queue.pointer == 4
    made.step()
    moved = zip(twins, made.task.teacher.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in moved)


def test_parts_are_timed_and_left_as_they_were():
    made, taken = ours("softmask"), {}
    ticks = itertools.count()
    with rivals.timed(made.parts(), lambda: float(next(ticks)), taken):
        made.step()
        made.step()
    assert taken == {"cam": 2.0, "twins": 2.0, "optimizer": 2.0}
    assert not any(name in owner.__dict__ for owner, name in made.parts().values())


def test_calls_are_counted_without_views():
    calls = counted(lambda: torch.ones(2, 3).t().sum().item())
    assert calls.count["t"] == 1
    assert calls.works == {"ones": 1, "sum": 1, "_local_scalar_dense": 1}
    assert calls.waits == 1
    assert counted(lambda: torch.tensor([1.0])).waits == 1  # a GPU would fetch it from the host


def test_without_lavis_its_rows_are_not_measured():
    found = step.measure(tiny_plan("albef", "softmask", "lavis"), 1, None)
    (batch,) = found["batches"]
    assert batch["rows"]["lavis"] is None
    assert found["lavis_over_albef"] is found["masks_over_albef"] is None
    assert found["softmask_over_albef"] > 0
    assert {batch["rows"][n]["host_syncs"] for n in ("albef", "softmask")} == {0}
    assert batch["rows"]["albef"]["cam_share"] is None
    assert batch["rows"]["softmask"]["cam_share"] > 0
    said = step.report({**found, "device": "x"}, step.GOALS["cpu-small"])
    assert "LAVIS was not measured: LAVIS_DIR" in said
    assert "lavis_over_albef     not measured, at least 2 wanted" in said


def test_report_says_what_was_missed():
    found = {"lavis": True, "batches": [], "device": "x", **dict.fromkeys(step.RATIOS, 1.5)}
    said = step.report(found, step.GOALS["cpu-small"])
    assert "1.50, at least 2 wanted: missed" in said
    assert "1.50, at most 1.1 wanted: missed" in said


def test_other_models_are_not_compared():
    count = ours().parameters()
    assert ours("masks").parameters() == count
    timing.compare({"albef": count, "lavis/bf16": count - 2 * TINY.width}, TINY)
    with pytest.raises(AssertionError, match="not as many parameters"):
        timing.compare({"albef": count, "lavis": count}, TINY)


def test_the_gpu_plan_has_all_rows():
    small, *larger, rest = presets.plans("gpu")
    assert [plan.size.batch for plan in (small, *larger, rest)] == [64, 256, 128, 64]
    assert not small.rows.keys() & rest.rows.keys()
    assert small.rows.keys() | rest.rows.keys() == {
        *("albef", "masks", "softmask", "lavis", "lavis/tf32", "lavis/bf16"),
        *("albef/replayed", "masks/replayed", "softmask/replayed"),
    }
    assert (small.rounds, small.warmup, small.repeats) == (30, 10, 2)
    ours_too = [row for name, row in small.rows.items() if "lavis" not in name]
    assert all(row.precision is presets.bf16 for row in ours_too)
    assert all("softmask/recomputed" in plan.rows for plan in larger)
    assert all(row.compiled for plan in presets.plans("gpu", True) for row in plan.rows.values())


def test_rivals_on_a_gpu_are_timed_one_after_another(monkeypatch):
    said = {"first_seconds": 9.0, "kernel_ms": 1500.0, "peak_gib": 2.0, "waits": 3}
    for name, value in said.items():
        monkeypatch.setattr(gpu, name, lambda _, value=value: value)
    monkeypatch.setattr(gpu, "now", itertools.count().__next__)
    monkeypatch.setattr(gpu, "seconds", lambda _, rounds, warmup: [2.0] * (rounds + warmup))
    (plan,) = tiny_plan("albef", "softmask")
    (first, _), (found, taken) = map(copied, timing.alone(replace(plan, repeats=2), None))
    assert first.keys() == {"albef"}  # a machine may be taken away before the next one
    assert taken == {"albef": [2.0] * 4, "softmask": [2.0] * 4}
    row = found["softmask"]
    assert (row["step_ms"], row["runs_ms"], row["idle"]) == (2000.0, [2000.0, 2000.0], 0.25)
    assert (row["first_s"], row["peak_gib"], row["host_syncs"]) == (9.0, 2.0, 3)
    assert row["cam_ms"] > 0
    assert found["albef"]["cam_ms"] is None


def copied(parts):
    return tuple(dict(part) for part in parts)


def test_plans_of_one_size_are_one_batch_that_is_kept_as_it_grows():
    kept = []
    chosen = [*tiny_plan("albef"), *tiny_plan("softmask", "lavis")]
    found = step.measure(chosen, 1, None, lambda found: kept.append(json.dumps(found)))
    (batch,) = found["batches"]
    assert [*batch["rows"]] == ["albef", "softmask", "lavis"]
    assert batch["rows"]["lavis"] is None
    assert batch["parameters"].keys() == {"albef", "softmask"}
    assert found["softmask_over_albef"] > 0
    early, late = map(json.loads, kept)
    assert early["batches"][0]["rows"]["softmask"] is early["softmask_over_albef"] is None
    assert early["batches"][0]["rows"]["albef"] == late["batches"][0]["rows"]["albef"]


def test_what_fails_takes_no_other_answer_with_it(capsys):
    def fails():
        raise torch.OutOfMemoryError("too much")

    assert step._answered("one", fails) == {}
    assert step._answered("other", lambda: 3) == {"other": 3}
    assert "one failed: too much" in capsys.readouterr().out


def test_precisions_are_compared_without_dropout():
    row = MODES["softmask"]
    found = precision.agreement({"one": row, "other": row}, TINY, "cpu")
    assert found["one"] == found["other"]
    assert set(found["one"]) == {"itc", "itm", "mlm", "soft", "sum"}
    assert found["one"]["sum"] == pytest.approx(
        sum(found["one"][n] for n in ("itc", "itm", "mlm", "soft"))
    )


def test_replays_are_compared_with_plain_steps(monkeypatch):
    kinds = []
    monkeypatch.setattr(presets, "Replay", lambda task: kinds.append(type(task)))
    found = precision.replay_difference(MODES["softmask"], TINY, 2, "cpu")
    assert kinds == [rivals.Alone]
    assert found["plain_and_replayed"] == found["plain_twice"] == 0
    assert found["moved"] > 0


def test_steps_are_written_without_the_first(tmp_path):
    file = tmp_path / "steps.json"
    made = training.task()
    trainer = training.trainer(max_steps=3, callbacks=[scaling.Steps(file, 1)])
    trainer.fit(made, datamodule=scaling.Same(TINY, 3))
    assert len(json.loads(file.read_text())) == 2
    assert isinstance(trainer, L.Trainer)


def test_the_loop_is_timed_between_two_steps(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(loop, "now", lambda: float(next(ticks)))
    seen: list[int] = []
    clock = loop.Clock(warmup=1, steps=3)
    monkeypatch.setattr(
        loop.Clock,
        "on_train_batch_end",
        lambda self, trainer, *_: seen.append(trainer.global_step) or next(ticks),
        raising=False,
    )
    made = MODES["softmask"].ours(TINY, "cpu", kind=training.Recorded)
    trainer = training.trainer(max_steps=5, callbacks=[clock])
    trainer.fit(made.task, datamodule=loop.Held(made.batch, 5))
    assert seen == [1, 2, 3, 4, 5]
    assert clock.seconds == 4.0  # a tick at each of three steps' ends, and the one that stops it


def test_arithmetic_of_many_gpus():
    found = scaling.arithmetic(100.0)
    by = {row["gpus"]: row for row in found["rows"]}
    assert by[8]["reduce_ms"] == pytest.approx(2 * 7 / 8 * 4 * 209_937_725 / 450e9 * 1e3, abs=0.01)
    assert by[512]["efficiency"] < by[16]["efficiency"] <= by[8]["efficiency"] <= 1
    assert by[512]["samples_per_s"] < 512 * 64 / 0.1
    assumed = scaling.arithmetic(None)
    assert assumed["compute_ms"] == pytest.approx(64 / 0.997, rel=0.01)
    assert "assumed" in assumed["compute"]


def test_arithmetic_starts_from_the_fastest_recorded_step(tmp_path):
    assert scaling.fastest(tmp_path) == (None,)

    def write(name: str, size: int, rows: dict[str, float | None]) -> None:
        held = {n: ms and {"step_ms": ms} for n, ms in rows.items()}
        file = {"batches": [{"size": {"batch": size}, "rows": held}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(file))

    write("step-gpu", 64, {"softmask": 190.0, "softmask/replayed": 88.0, "albef": 70.0})
    assert scaling.fastest(tmp_path) == (88.0, "softmask/replayed")
    write("step-gpu-compiled", 64, {"softmask/compiled/replayed": 75.0, "softmask/compiled": None})
    assert scaling.fastest(tmp_path) == (75.0, "softmask/compiled/replayed")
    write("step-gpu-compiled", 256, {"softmask/compiled/replayed": 75.0})
    assert scaling.fastest(tmp_path) == (88.0, "softmask/replayed")
    found = scaling.arithmetic(*scaling.fastest(tmp_path))
    assert found["compute"] == "of softmask/replayed on one GPU, measured"
    assert found["compute_ms"] == 88.0


def test_page_shows_the_records(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    page = runpy.run_path(str(ROOT / "docs/fill_performance.py"))
    sys.modules.pop("fill_readme", None)
    text, records = (ROOT / "docs/performance.md").read_text(), page["read_records"]()
    assert page["filled"](text, records) == text
    small = json.loads(json.dumps(records["step-cpu-small"]))
    small["batches"][0]["rows"]["albef"]["step_ms"] = 123456.0
    assert "123,456" in page["filled"](text, {**records, "step-cpu-small": small})
    assert "Steps, MFU, memory: not measured" in page["filled"](text, {})


def test_page_judges_the_fastest_ways_on_a_gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    goals = runpy.run_path(str(ROOT / "docs/fill_performance.py"))["goals"]
    sys.modules.pop("fill_readme", None)
    times = {"lavis": 600.0, "albef/replayed": 80.0, "softmask/replayed": 84.0, "masks": 1.0}
    row = {"mfu": 0.3, "host_syncs": 2, "idle": 0.025}
    rows = {name: {"step_ms": ms, **row} for name, ms in times.items()}
    record = {"batches": [{"size": {"batch": 64}, "rows": {**rows, "lavis/bf16": None}}]}
    said = goals({"step-gpu": {**record, "lightning": {"overhead": 0.034}}})
    for line in (
        "| LAVIS as shipped / ours as ALBEF | >= 5 | 7.50 | not measured |",
        "| LAVIS in bfloat16 / ours as ALBEF | >= 2 | not measured | not measured |",
        "| MFU of SoftMask++, batch 64 | >= 45 % | 30.0% | not measured |",
        "| SoftMask++ / ALBEF, both ours | <= 1.10 | 1.05 | not measured |",
        "| ALBEF with soft masks / ALBEF, both ours | <= 1.10 | not measured | not measured |",
        "| waits of the host | 0 | 2 | not measured |",
        "| idle time | <= 5 % | 2.5% | not measured |",
        "| share of Lightning's Trainer, eager | <= 2 % | +3% |",
        "| share of Lightning's Trainer, replayed | <= 2 % | not measured |",
    ):
        assert line in said
