"""The fates of whole shards, in `softmask data check` and in training that Lightning runs."""

import json
from collections import Counter

import cages
import pytest
import zoo
from zoo_runs import Recorder, checked, counts, data, trainer

from data_modules.check import check_shards
from data_modules.reasons import Reason
from softmask.errors import InputError

CAGES = cages.cages()
GOOD = [zoo.good(number) for number in range(40)]


@pytest.mark.parametrize("name", CAGES)
def test_a_shards_fate(tmp_path, name):
    cage = CAGES[name]
    file = tmp_path / "data" / f"{name}.tar"
    file.parent.mkdir()
    file.write_bytes(cage.data)
    report, code = checked(file, tmp_path)
    assert counts(report) == {reason.value: count for reason, count in cage.problems.items()}
    assert report["samples"] == cage.samples
    assert code == bool(cage.problems)
    module = data(file.parent, batch_size=2)
    if cage.says:
        with pytest.raises(InputError, match=cage.says) as error:
            module.setup("fit")
        assert file.name in str(error.value)
    else:
        trainer(tmp_path).fit(Recorder(), module)
        dropped = {r.value: n for r, n in cage.problems.items() if r != Reason.DUPLICATE_KEY}
        assert module.dropped() == {"read": cage.samples // 2 * 2, **dropped}


def test_check_goes_on_after_bad_shards(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, cage in CAGES.items():
        (folder / f"{name}.tar").write_bytes(cage.data)
    report, code = checked(folder, tmp_path, workers=2)
    expected = sum((Counter(cage.problems) for cage in CAGES.values()), Counter())
    found = counts(report)
    assert found.pop("duplicate_key") > expected.pop(Reason.DUPLICATE_KEY)
    assert found == {reason.value: count for reason, count in expected.items()}
    assert report["samples"] == sum(cage.samples for cage in CAGES.values())
    assert (code, report["shards"]) == (1, len(CAGES))


def test_keys_in_several_shards(tmp_path):
    for number in range(3):
        shared = [GOOD[0]] if number else GOOD[:2]
        own = GOOD[10 * number + 10 : 10 * number + 14]
        zoo.write_tar(tmp_path / "data" / f"{number}.tar", zoo.members([*shared, *own]))
    report, code = checked(tmp_path / "data", tmp_path, workers=2)
    assert counts(report) == {"duplicate_key": 2}
    examples = report["problems"]["duplicate_key"]["examples"]
    assert [(e["key"], e["shard"][-5:], e["detail"][-5:]) for e in examples] == [
        ("good-0", "1.tar", "0.tar"),
        ("good-0", "2.tar", "0.tar"),
    ]
    assert code == 1


def test_names_in_a_tar_that_more_bytes_follow(tmp_path):
    """Training reads it, and so does check; the last sample is the one that comes twice."""
    notes = {"json": b'{"question_id": 7}'}
    a, b = (one._replace(columns=one.columns | notes) for one in GOOD[:2])
    zoo.write_tar(tmp_path / "data" / "0.tar", zoo.members([a]))
    file = zoo.write_tar(tmp_path / "data" / "1.tar", zoo.members([b, a]))
    file.write_bytes(file.read_bytes() + b"x")
    report, code = checked(tmp_path / "data", tmp_path)
    assert (code, counts(report)) == (1, {"duplicate_id": 2, "duplicate_key": 1})
    [example] = report["problems"]["duplicate_key"]["examples"]
    assert (example["key"], example["shard"]) == (a.name, str(file))


def test_check_compares_with_the_index(tmp_path):
    folder = tmp_path / "data"
    zoo.write_tar(folder / "a.tar", zoo.members(GOOD[:4]))
    lines = [{"name": "a.tar", "count": 5}, {"name": "b.tar", "count": 5}]
    index = {"format": "softmask-shards-1", "shards": lines}
    (folder / "index.json").write_text(json.dumps(index))
    report, code = checked(folder, tmp_path)
    assert counts(report) == {"missing_shard": 1, "wrong_count": 1}
    assert (code, report["samples"]) == (1, 4)


@pytest.mark.parametrize("wrong", [{"ranks": 0}, {"batch_size": 0}, {"workers": -1}])
def test_numbers_that_check_refuses(tmp_path, wrong):
    zoo.write_tar(tmp_path / "a.tar", zoo.members(GOOD[:1]))
    (name, value), *_ = wrong.items()
    with pytest.raises(InputError, match=f"{name} is {value}"):
        check_shards(str(tmp_path), **wrong)


def test_check_of_nothing(tmp_path):
    with pytest.raises(InputError, match="No shards"):
        check_shards(str(tmp_path))
