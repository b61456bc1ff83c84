"""`softmask data check` on what tasks read of a sample's json: it finds what their data refuses."""

import json
from contextlib import nullcontext
from itertools import islice

import program
import pytest
import training
from corpora import entailments, questions, statements
from fake import fake_pairs
from refer import grounded_pairs
from schemas import write_tar

from data_modules import EntailmentData, GroundingData, Nlvr2Data, VqaData
from data_modules.fields import Fields, fields_of
from data_modules.identifiers import check_ids
from data_modules.reasons import BadSample
from data_modules.shards import Sample, ShardSet
from data_modules.write import columns, write_shards
from softmask.errors import InputError

SIZE = {"image_size": training.SIZE, "workers": 0}
COUNT = 12
# By task: good samples, the data that reads them, and what a sample's json says instead.
TASKS = {
    "vqa": (
        questions,
        VqaData(**SIZE).make_train(),
        [
            {"answers": None},
            {"answers": []},
            {"answers": ["red", " "]},
            {"answers": "red"},
            {"answers": [1]},
            {"answer_weight": -1},
            {"answer_weight": 10**400},
            {"answer_weight": 1e300},
            {"question_id": "7"},
            {"question_id": 2**63},
        ],
    ),
    "nlvr2": (
        statements,
        Nlvr2Data(**SIZE).make_train(),
        [{"label": "Maybe"}, {"label": None}, {"label": 1}, {"label": "-"}],
    ),
    "snli_ve": (
        entailments,
        EntailmentData(**SIZE).make_train(),
        [
            {"label": "entails"},
            {"label": "-"},
            {"label": None},
            {"label": 2},
            {"label": ["neutral"]},
        ],
    ),
    "grounding": (
        grounded_pairs,
        GroundingData(**SIZE).make_evaluation(),
        [
            {"box": [20, 20, 20, 5]},
            {"box": [3, 3, 0, 5]},
            {"box": [3, 3, 5]},
            {"box": [3, 3, 10**400, 5]},
            {"size": [10**400, 10**400]},
            {"detections": [[0, 0, 5, 5], [0, 0, -1, 5]]},
            {"detections": 3},
            {"size": None},
            {"size": [32, 64]},
        ],
    ),
}


def noted(pair, **meta):
    """The pair with other notes; None takes one away."""
    changed = {**pair.meta, **meta}
    return pair._replace(meta={name: value for name, value in changed.items() if value is not None})


def checked(folder, *flags):
    """What the report says, and how the program ended."""
    report = folder / "check.json"
    args = ["data", "check", "--path", folder, "--report", report, *flags]
    ended = program.here(list(map(str, args)))
    return json.loads(report.read_text()), ended


def counts(report):
    return {reason: problem["count"] for reason, problem in report["problems"].items()}


def refused(folder, maker):
    """Keys that a data module's maker refuses, with its words."""
    shards, found = ShardSet(str(folder)), {}
    for position in range(len(shards)):
        sample = shards.read(position)
        try:
            maker.item(sample, 0)
        except BadSample as bad:
            found[sample.key] = (bad.reason.value, bad.detail)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_is_bad_as_the_tasks_data_finds_it_bad(tmp_path, task):
    make, maker, faults = TASKS[task]
    for number, fault in enumerate(faults):
        pairs = list(make(COUNT))
        pairs[5] = noted(pairs[5], **fault)
        folder = tmp_path / str(number)
        write_shards(pairs, folder, shard_size=COUNT)
        expected = refused(folder, maker)
        assert list(expected) == [pairs[5].key], fault
        report, ended = checked(folder)
        assert ended.code == 1
        assert report["good"] == COUNT - 1
        [(reason, problem)] = report["problems"].items()
        assert problem["count"] == 1
        [example] = problem["examples"]
        assert (example["key"], (reason, example["detail"])) == (
            pairs[5].key,
            expected[pairs[5].key],
        )


READ = {
    "vqa": {"answers": COUNT, "question_id": COUNT},
    "nlvr2": {"label": COUNT},
    "snli_ve": {"label": COUNT},
    "grounding": {"box": COUNT, "detections": COUNT},
}


@pytest.mark.parametrize("task", TASKS)
def test_good_samples_are_good_and_what_was_read_is_said(tmp_path, task):
    make, maker, _ = TASKS[task]
    write_shards(make(COUNT), tmp_path, shard_size=5)
    assert refused(tmp_path, maker) == {}
    report, ended = checked(tmp_path)
    assert (ended.code, report["good"], report["fields"]) == (0, COUNT, READ[task])
    shown = ", ".join(f"{name} {COUNT}" for name in sorted(READ[task]))
    assert f"good as tasks read them: {shown}\n" in ended.out


def test_a_question_is_read_though_the_picture_has_captions(tmp_path):
    pairs = [pair._replace(captions=["what?", "a street"]) for pair in questions(4)]
    write_shards(pairs, tmp_path / "good")
    samples = [columns(pair) for pair in pairs]
    samples[2]["txt"] = b"\xff"
    members = [
        (f"{at}.{name}", data) for at, one in enumerate(samples) for name, data in one.items()
    ]
    (tmp_path / "bad").mkdir()
    write_tar(tmp_path / "bad/0.tar", dict(members))
    assert counts(checked(tmp_path / "good")[0]) == {}
    assert counts(checked(tmp_path / "bad")[0]) == {"bad_utf8": 1}


def test_a_second_picture_that_is_missing_is_told(tmp_path):
    pairs = list(statements(COUNT))
    pairs[3] = pairs[3]._replace(second=None)
    write_shards(pairs, tmp_path)
    report, ended = checked(tmp_path)
    assert (ended.code, report["good"]) == (1, COUNT - 1)
    [example] = report["problems"]["missing_picture"]["examples"]
    assert example["key"] == pairs[3].key
    assert "no left picture" in example["detail"]  # its only one is no side's
    assert refused(tmp_path, TASKS["nlvr2"][1])[pairs[3].key] == (
        "missing_picture",
        example["detail"],
    )


def test_data_to_predict_need_no_answers_and_no_labels(tmp_path):
    for name, make in (("vqa", questions), ("nlvr2", statements), ("snli_ve", entailments)):
        pairs = [noted(pair, answers=None, label=None) for pair in make(6)]
        write_shards(pairs, tmp_path / name)
        report, ended = checked(tmp_path / name)
        assert (ended.code, report["good"]) == (0, 6), name
        read = {"question_id": 6} if name == "vqa" else {}
        assert report["fields"] == read, name


def test_what_only_some_samples_have_is_counted_in_those(tmp_path):
    pairs = [noted(pair, label="-" if n < 4 else "True") for n, pair in enumerate(statements(6))]
    write_shards(pairs, tmp_path / "labels")
    assert checked(tmp_path / "labels")[0]["fields"] == {"label": 2}
    pairs = [noted(pair, box=None) if n < 4 else pair for n, pair in enumerate(grounded_pairs(6))]
    pairs[0] = noted(pairs[0], detections=[])
    write_shards(pairs, tmp_path / "boxes")
    assert checked(tmp_path / "boxes")[0]["fields"] == {"detections": 5, "box": 2}


def test_labels_of_other_classes_are_the_runs_affair(tmp_path):
    faces = ["neutral", "happy", "neutral", "angry"]
    pairs = [noted(pair, label=faces[n]) for n, pair in enumerate(fake_pairs(4))]
    write_shards(pairs, tmp_path)
    report, ended = checked(tmp_path)
    assert (ended.code, report["fields"]) == (0, {})


def told(*notes):
    return fields_of((("png", "txt", "json"), one) for one in notes)


def test_half_of_a_shard_tells_what_all_of_it_should_have():
    assert told() == told({}, {"dataset": "x"}) == Fields()
    answered = {"answers": ["red"]}
    assert told(answered, {}) == Fields(answers=True)
    assert told(answered, {}, {}) == Fields()
    yes = {"label": "Entailment"}
    classes = ("contradiction", "neutral", "entailment")
    assert told(yes, {}) == told(yes, {"label": "yes"}) == Fields(label=True, classes=classes)
    assert told(yes, {}, {}) == Fields(label=False, classes=classes)
    assert told(yes, {"label": "yes"}, {"label": 3}) == Fields()


IDS = {
    "vqa": (questions, {"question_id": 3}, "question_id 3 of vqa"),
    "nlvr2": (statements, {"identifier": "dev-1-1-0"}, "identifier dev-1-1-0"),
    "grounding": (grounded_pairs, {"sent_id": 3}, "sent_id 3"),
}


@pytest.mark.parametrize("task", IDS)
@pytest.mark.parametrize("shard_size", [COUNT, 5])
def test_ids_that_come_twice_are_named(tmp_path, task, shard_size):
    """Number 3 and its copies: one of its shard or of another, and the first of the next one."""
    make, name, shown = IDS[task]
    pairs = [noted(p, sent_id=n) if task == "grounding" else p for n, p in enumerate(make(COUNT))]
    for place in (6, 9):
        pairs[place] = noted(pairs[place], **name, dataset=pairs[3].meta.get("dataset"))
    write_shards(pairs, tmp_path, shard_size=shard_size)
    report, ended = checked(tmp_path)
    assert ended.code == 1
    assert counts(report) == {"duplicate_id": 2}
    examples = report["problems"]["duplicate_id"]["examples"]
    assert all(f"has the {shown}, as" in example["detail"] for example in examples)
    # In shards of five the copies are in one: as one another, and as the first shard's.
    first = str(tmp_path / "00000.tar")
    elsewhere = [first in example["detail"] for example in examples]
    assert sorted(elsewhere) == ([False, False] if shard_size == COUNT else [False, True])
    again, _ = checked(tmp_path, "--workers", 2)
    assert again == report


def test_a_name_of_half_a_character_is_reported(tmp_path):
    pairs = [noted(pair, identifier="\ud83d") for pair in entailments(2)]
    write_shards(pairs, tmp_path / "caf\udce9")
    report, ended = checked(tmp_path, "--path", tmp_path / "caf\udce9")
    assert ended.code == 1
    [example] = report["problems"]["duplicate_id"]["examples"]
    assert "has the identifier \ud83d, as" in example["detail"]
    assert example["shard"] == str(tmp_path / "caf\udce9" / "00000.tar")


def is_refused_in_evaluation(pairs):
    """Whether a task would say that two of the samples have one name."""
    maker = EntailmentData(**SIZE).make_evaluation()
    stored = [Sample(n, "0.tar", pair.key, columns(pair)) for n, pair in enumerate(pairs)]
    identities = [maker.item(sample, 0).identity for sample in stored]
    return len(set(identities)) < len(identities)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"identifier": "a"}, {"identifier": "b"}, False),
        ({"identifier": ""}, {"identifier": ""}, False),
        ({"identifier": 1.5}, {"identifier": 1.5}, True),
        ({"identifier": 7}, {"identifier": "7"}, True),
        ({"identifier": True}, {"identifier": True}, True),
        ({"identifier": "a", "dataset": "x"}, {"identifier": "a", "dataset": "y"}, True),
    ],
)
def test_write_check_and_evaluation_agree_on_names(tmp_path, first, second, same):
    pairs = [noted(p, **n) for p, n in zip(entailments(2), (first, second), strict=True)]
    assert is_refused_in_evaluation(pairs) == same
    write_shards(pairs, tmp_path)
    assert counts(checked(tmp_path)[0]) == ({"duplicate_id": 1} if same else {})
    with pytest.raises(InputError, match="come more than once") if same else nullcontext():
        check_ids("val", [pair.meta for pair in pairs])


def test_visual_genomes_ids_are_apart_from_vqas(tmp_path):
    pairs = list(islice(questions(COUNT), 2))
    pairs[1] = noted(pairs[1], question_id=pairs[0].meta["question_id"], dataset="vg")
    write_shards(pairs, tmp_path)
    assert checked(tmp_path)[1].code == 0
