"""Files that are no weights: refused by their path, and never run."""

import os
import pickle
import re

import pytest
import torch
from torch import nn

from softmask.errors import InputError
from softmask.weights import load_weights, read_state


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("legacy", [True, False])
def test_file_that_runs_code_is_refused_and_does_not_run(tmp_path, legacy):
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    content = {"model": {"w": torch.zeros(1)}, "config": Malicious(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_state(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # it would have


def test_bare_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    path, mark = tmp_path / "evil.pkl", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_state(path)
    assert not mark.exists()


def zipped(folder):
    torch.save({"w": torch.arange(100.0)}, folder / "whole.pth")
    return (folder / "whole.pth").read_bytes()


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"hello\n",
        b"\x80",
        b"\x80\x02",
        b'{"model": 1}',
        b"12345\n",
        b"PK\x03\x04 no archive",
        bytes(range(256)),
    ],
)
def test_junk_is_refused_by_its_path(tmp_path, junk):
    path = tmp_path / "junk.pth"
    path.write_bytes(junk)
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_state(path)


@pytest.mark.parametrize("part", [slice(0, 100), slice(0, -50), slice(100, None)])
def test_part_of_a_file_is_refused_by_its_path(tmp_path, part):
    path = tmp_path / "part.pth"
    path.write_bytes(zipped(tmp_path)[part])
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_state(path)


@pytest.mark.parametrize("content", [[torch.zeros(1)], 3, "text"])
def test_content_that_is_no_state_dict_is_named(tmp_path, content):
    path = tmp_path / "list.pth"
    torch.save(content, path)
    with pytest.raises(
        InputError, match=f"{re.escape(str(path))}.*holds a {type(content).__name__}"
    ):
        read_state(path)


def test_missing_file_and_folder_are_named(tmp_path):
    for path in (tmp_path / "no.ckpt", tmp_path):
        with pytest.raises(InputError, match=re.escape(f"'{path}'")):
            load_weights(nn.Linear(2, 2), path)


def test_file_of_which_nothing_fits_is_refused_with_names_it_holds(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"encoder.strange": torch.zeros(2), "weight": torch.zeros(9, 9)}, path)
    with pytest.raises(InputError) as refusal:
        load_weights(nn.Linear(2, 2), path)
    for words in (str(path), "Linear", "encoder.strange"):
        assert words in str(refusal.value)


def test_plain_values_beside_the_tensors_are_left_out(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {"w": torch.ones(2), "note": "text"}, "epoch": 3}, path)
    assert list(read_state(path)) == ["w"]
