"""What TensorBoard shows beside curves: negatives, hits and misses, the run's table, settings."""

import io
import json
import re

import numpy as np
import program
import pytest
import torch
import training
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from softmask.board import LAYOUT, flat_settings, markdown_table
from softmask.callbacks.negatives import opposed
from softmask.events import read_events
from softmask.found import examples
from softmask.grids import (
    CELL,
    Answer,
    Opposed,
    Query,
    doubt,
    negatives_grid,
    query_grid,
    said_of_negatives,
    said_of_queries,
)
from softmask.tasks import Negatives
from softmask.tasks.contrast import Judged


@pytest.fixture(scope="module")
def events(fitted):
    return read_events(fitted)


def test_norms_and_memory_are_logged_at_the_steps_of_others(events):
    for tag in ("train/update_norm", "perf/memory_gib"):
        assert list(events.scalars[tag]) == [0, 1, 2, 3]
        assert all(value > 0 for value in events.scalars[tag].values())
    assert "perf/mfu" not in events.scalars


def test_update_norm_is_how_far_the_weights_went(corpus, tmp_path):
    """Between the checkpoints of two steps, recounted."""
    flags = ["--trainer.max_steps", "2", "--last.every_n_train_steps", "1"]
    kept = ["--checkpoint.save_top_k", "-1", "--checkpoint.every_n_train_steps", "1"]
    kept += ["--checkpoint.monitor", "null", "--performance.peak_tflops", "0.001"]
    args = [*program.arguments("fit", corpus, tmp_path), *flags, *kept]
    ended = program.here([*args, "--performance.every", "1"])
    assert ended.code == 0, ended.err
    files = sorted((tmp_path / "run/checkpoints").glob("epoch*step=*.ckpt"))
    first, second = (torch.load(f, weights_only=True)["state_dict"] for f in files)
    own = [name for name in first if not name.startswith(("momentum.", "queue."))]
    moved = torch.cat([(second[name] - first[name]).flatten() for name in own])
    logged = program.scalars(tmp_path / "run")
    # The temperature is clamped before a step as well.
    assert logged["train/update_norm"][1] == pytest.approx(float(moved.norm()), rel=1e-3)
    (share,) = logged["perf/mfu"].values()  # the first step was counted, not timed
    assert list(logged["perf/mfu"]) == [1]
    assert share > 0


def test_the_run_is_told_as_a_table(events, fitted):
    text = events.texts["run"][0]
    report = json.loads((fitted / "report.json").read_text())
    assert f"| parameters, trainable | {report['parameters']:,} |" in text
    for split in ("train", "val"):
        assert f"| data hash, {split} | {report['data'][split]} |" in text
    tested = events.texts["run"][4]  # the test's data is opened after the last step
    (line,) = {*tested.splitlines()} - {*text.splitlines()}
    assert line == f"| data hash, test | {report['data']['test']} |"
    assert re.search(r"\| commit \| \w+", text)
    (settings,) = events.texts["settings"].values()
    assert "    seed_everything: 42" in settings


def summary(fitted, plugin: str) -> dict[str, bytes]:
    accumulator = EventAccumulator(str(fitted), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator.PluginTagToContent(plugin)


def test_the_hparams_tab_compares_settings_and_figures(fitted, events):
    found = summary(fitted, "hparams")
    parts = [plugin_data_pb2.HParamsPluginData.FromString(content) for content in found.values()]
    experiment = next(p.experiment for p in parts if p.HasField("experiment"))
    start = next(p.session_start_info for p in parts if p.HasField("session_start_info"))
    figures = {each.name.tag for each in experiment.metric_infos}
    assert figures == {"train/loss", "val/recall", "test/recall", "perf/samples_per_second"}
    assert figures <= set(events.scalars)
    assert all(len(events.scalars[name]) < 5 for name in figures)  # nothing was logged for it
    assert start.hparams["model.optim.lr"].number_value == pytest.approx(1e-4)
    assert start.hparams["data.batch_size"].number_value == 4


def test_every_chart_of_the_layout_finds_what_it_shows(fitted, events):
    (tag,) = summary(fitted, "custom_scalars")
    accumulator = EventAccumulator(str(fitted), size_guidance={"tensors": 0})
    accumulator.Reload()
    tensor = accumulator.Tensors(tag)[0].tensor_proto
    layout = layout_pb2.Layout.FromString(tensor.string_val[0])
    (category,) = layout.category
    assert [chart.title for chart in category.chart] == list(LAYOUT["At a glance"])
    for chart in category.chart:
        shown = [t for t in events.scalars for p in chart.multiline.tag if re.match(p, t)]
        assert shown or chart.title == "dropped samples", chart.title


def test_settings_are_flat_and_plain():
    given = {
        "model": {"class_path": "a.B", "init_args": {"x": {"y": 1, "z": None}, "w": [1, 2]}},
        "trainer": {"max_steps": 3, "logger": {"init_args": {"save_dir": "runs"}}},
        "seed_everything": 1,
    }
    expected = {"model.class_path": "a.B", "model.x.y": 1, "model.w": "[1, 2]"}
    assert flat_settings(given) == expected | {"trainer.max_steps": 3}
    assert flat_settings({}) == {}
    assert markdown_table({"a|b": "c|d\ne"}).splitlines()[-1] == "| a|b | c\\|d e |"


def test_pictures_of_a_run_come_with_words(events):
    wanted = {"soft_mask/val", "soft_mask/test", "negatives/train"}
    wanted |= {"retrieval/text_to_image", "retrieval/image_to_text"}
    assert set(events.pictures) == wanted
    for tag, drawn in events.pictures.items():
        for each in drawn:
            assert len(events.texts[tag][each.step]) > 20
            assert Image.open(io.BytesIO(each.data)).size[0] > 300


def test_negatives_of_a_run_are_drawn_before_validation_and_at_its_end(events):
    assert [each.step for each in events.pictures["negatives/train"]] == [3, 4]


def test_words_of_hits_and_misses_are_those_of_the_data(fitted, events):
    """Hits as many as the report says; each text is a caption of the test data."""
    report = json.loads((fitted / "report.json").read_text())["itm"]
    for tag, direction in (("text_to_image", "t2i"), ("image_to_text", "i2t")):
        (said,) = events.texts[f"retrieval/{tag}"].values()
        hits = round(6 * report[direction]["r1"])
        assert said.count("is a hit") == min(hits, 3)
        assert said.count("is a miss") == min(6 - hits, 3)
        assert len(re.findall("'a [a-z]+ [a-z]+ on the", said)) >= min(hits, 3)


def test_opposed_pairs_are_those_that_were_drawn_and_judged():
    given = training.batch(4)
    task = training.task()
    training.step(task, given)
    assert task.judged is not None
    drawn, logits = task.judged
    assert not logits.requires_grad
    match = logits.softmax(dim=1)[:, 1].tolist()
    for i, row in enumerate(opposed(task, given, 4)):
        assert row.caption == given["caption"][i]
        assert row.text == given["caption"][drawn.text[i]]
        assert row.other_caption == given["caption"][drawn.image[i]]
        assert row.caption not in (row.text, row.other_caption)
        assert np.array_equal(row.other, given["image"][drawn.image[i]].permute(1, 2, 0).numpy())
        assert [row.match, row.text_match, row.other_match] == [
            pytest.approx(match[i + 4 * part]) for part in range(3)
        ]


def test_false_negatives_are_suspected_for_what_they_share():
    given = training.batch(4)
    given["caption"][1] = given["caption"][0]
    given["image_id"][3] = given["image_id"][2]
    task = training.task()
    logits = torch.tensor([[0.0, -9.0]]).repeat(12, 1)
    logits[4 + 1] = torch.tensor([0.0, 9.0])
    places = torch.tensor([1, 2, 3, 0])
    task.judged = Judged(Negatives(places, places), logits)
    doubts = [(row.text_doubt, row.other_doubt) for row in opposed(task, given, 4)]
    assert doubts == [
        ("same caption", "same caption"),
        ("score over 0.5", ""),
        ("same picture", "same picture"),
        ("", ""),
    ]
    everything = doubt(0.51, same_picture=True, same_caption=True)
    assert everything == "same picture, same caption, score over 0.5"
    assert doubt(0.5, same_picture=False, same_caption=False) == ""


def test_examples_are_hits_and_the_lowest_misses():
    scores = torch.tensor([[3.0, 2, 1], [3, 2, 1], [3, 2, 1], [1, 2, 3]])
    correct = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]).bool()
    found = examples(scores, correct, 2)
    assert [(each.query, each.rank) for each in found] == [(0, 1), (3, 1), (2, 3), (1, 2)]
    assert found[1].answers == (2, 1, 0)
    assert found[1].right == (True, False, False)
    assert found[2].scores == (3.0, 2.0, 1.0)
    assert [each.query for each in examples(scores, correct, 1)] == [0, 2]


GRAY = np.full((8, 8, 3), 128, np.uint8)


def test_doubtful_negatives_and_right_answers_stand_out():
    row = Opposed(GRAY, "a", 0.9, "b", 0.1, "", GRAY, "c", 0.2, "")
    doubtful = row._replace(other_doubt="same picture", text_doubt="same caption")
    plain, marked = negatives_grid([row, row]), negatives_grid([row, doubtful])
    half = len(plain) // 2 + 20
    assert np.array_equal(plain[:half], marked[:half])
    assert red(marked) > red(plain) == 0
    assert "same picture?" in said_of_negatives([doubtful])
    assert "?" not in said_of_negatives([row])
    miss = Query("q", [Answer(GRAY, 1.0, False), Answer(GRAY, 0.5, True)], 2)
    hit = Query("q", [Answer(GRAY, 1.0, True)], 1)
    assert red(query_grid([miss])) > 0 == red(query_grid([hit]))
    assert "'q' is a miss, right at place 2" in said_of_queries([miss])
    texts = Query(GRAY, [Answer("a dog", 1.0, True)], 1)
    assert "picture 1 is a hit: 'a dog'" in said_of_queries([texts])
    assert query_grid([texts]).shape[0] > CELL


def red(pixels) -> int:
    """Pixels that are rather red."""
    r, g, b = pixels.astype(int).transpose(2, 0, 1)
    return int(((r > g + 60) & (r > b + 60)).sum())


def test_settings_of_a_run_are_those_of_its_file(fitted):
    settings = yaml.safe_load((fitted / "config.yaml").read_text())
    flat = flat_settings(settings)
    assert flat["model.contrast.queue_size"] == 8
    assert not [name for name in flat if "logger" in name or "init_args" in name]
