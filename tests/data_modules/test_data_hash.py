"""A checkpoint knows its training data by its hash."""

import json

import pytest
from fake import write_fake_pairs

from data_modules import PretrainData
from data_modules.identity import hash_names, join_hashes
from data_modules.mixture import Source
from data_modules.shards import ShardSet
from softmask.errors import InputError


def fitting(path):
    """Data whose loader can be asked for its place."""
    data = PretrainData(str(path), batch_size=4, workers=0, image_size=16)
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same data twice, and other data of the same counts."""
    folder = tmp_path_factory.mktemp("sets")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_fake_pairs(folder / name, 12, seed)
    return folder


def test_a_set_has_the_hash_of_its_index(folders):
    index = json.loads((folders / "a/index.json").read_text())
    assert ShardSet(str(folders / "a")).hash == ShardSet(str(folders / "b")).hash == index["hash"]
    assert ShardSet(str(folders / "c")).hash != index["hash"]


def test_tars_without_index_are_known_by_names_and_counts(folders, tmp_path):
    tars = ShardSet(str(folders / "a/*.tar"))
    assert tars.hash == ShardSet(str(folders / "c/*.tar")).hash
    assert tars.hash == hash_names(["elsewhere/00000.tar", "00001.tar"], [8, 4])
    write_fake_pairs(tmp_path, 11)
    assert ShardSet(str(tmp_path / "*.tar")).hash != tars.hash


def test_several_sources_have_one_hash(folders):
    a, c = str(folders / "a"), str(folders / "c")

    def joined(*paths):
        return ShardSet([Source(path) for path in paths]).hash

    assert joined(a) == ShardSet(a).hash
    hashes = {joined(*paths) for paths in ([a], [c], [a, c], [c, a], [a, a])}
    assert len(hashes) == 5
    assert joined(a, c) == join_hashes([ShardSet(a).hash, ShardSet(c).hash])
    assert ShardSet([Source(a), Source(c, 2)]).hash not in hashes


def resume(state, path):
    data = fitting(path)
    data._resume, data._resume_hash = state["train"], state.get("hash")
    return data.train_dataloader()


def test_a_checkpoint_is_refused_on_other_data(folders):
    data = fitting(folders / "a")
    next(iter(data.train_dataloader()))
    state = data.state_dict()
    assert state["hash"] == ShardSet(str(folders / "a")).hash
    json.dumps(state)
    assert resume(state, folders / "b").state_dict()["step"] == 1
    with pytest.raises(InputError, match=rf"the hash {state['hash']} but .*/c' has .* same data"):
        resume(state, folders / "c")
    del state["hash"]  # of a checkpoint before there were hashes
    assert resume(state, folders / "c").state_dict()["step"] == 1
