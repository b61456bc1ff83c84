"""Bad samples on two ranks: counted together, listed apart, the same as on one."""

import json

import lightning.pytorch as L
import pytest
import ranks
import torch
from fake import fake_pairs
from lightning.pytorch.callbacks import ModelCheckpoint

from data_modules import PretrainData
from data_modules.dropping import CHECK_EVERY, DropLimit
from data_modules.write import write_shards
from softmask.callbacks import DroppedSamples
from softmask.drops import Tally
from softmask.errors import InputError

COUNT, GLOBAL = 32, 4
BAD = (1, 7, 8, 21, 30)


class Counting(L.LightningModule):
    """Asks at its end what was dropped on all ranks."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.sizes, self.dropped = [], {}

    def training_step(self, batch):
        self.sizes.append(len(batch["key"]))
        return self.weight**2

    def on_train_end(self):
        self.dropped = self.trainer.datamodule.dropped()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(world, _rank, data, run, checkpoint=None, rate=1.0):
    module = PretrainData(
        data, image_size=16, batch_size=GLOBAL // world, workers=0, max_drop_rate=rate, window=10
    )
    every = ModelCheckpoint(run, "{step}", every_n_train_steps=1, save_top_k=-1)
    model = Counting()
    trainer = ranks.trainer(
        world,
        max_steps=-1,
        max_epochs=2,
        default_root_dir=run,
        enable_checkpointing=True,
        callbacks=[DroppedSamples(), every],
    )
    trainer.fit(model, module, ckpt_path=checkpoint, weights_only=False)
    return {"sizes": model.sizes, "dropped": model.dropped}


def listed(run):
    lines = [line for file in run.glob("dropped*.jsonl") for line in file.read_text().splitlines()]
    return sorted(lines, key=lambda line: (json.loads(line)["epoch"], line))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pairs = list(fake_pairs(COUNT, size=16))
    for number in BAD:
        pairs[number] = pairs[number]._replace(image=b"" if number % 2 else b"junk")
    write_shards(pairs, folder, shard_size=8)
    return str(folder)


@pytest.fixture(scope="module")
def two(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder / "run", ranks.on_ranks(fit, folder, data, str(folder / "run"))


def test_two_ranks_count_and_list_what_one_does(data, two, tmp_path):
    one = fit(1, 0, data, str(tmp_path))
    assert one["dropped"] == {"read": 2 * COUNT, "empty_picture": 6, "unknown_picture": 4}
    folder, both = two
    for rank in both:
        assert rank["dropped"] == one["dropped"]
        assert rank["sizes"] == [GLOBAL // 2] * (2 * COUNT // GLOBAL)
    assert {file.name for file in folder.glob("*.jsonl")} == {
        "dropped-0.jsonl",
        "dropped-1.jsonl",
    }
    assert listed(folder) == listed(tmp_path)


def stopped(world, _rank, data, run, rate):
    try:
        return fit(world, _rank, data, run, rate=rate)
    except InputError as error:
        return {"said": str(error)}


def test_the_drop_rate_is_that_of_all_ranks(data, tmp_path):
    """Five of 32 are bad: on one of two ranks three or more of 16, on the other two or fewer."""
    below, above = len(BAD) / COUNT - 0.01, len(BAD) / COUNT
    said = ranks.on_ranks(stopped, tmp_path / "a", data, str(tmp_path / "a" / "run"), below)
    assert said[0] == said[1]
    assert said[0]["said"].startswith("5 of 32 training samples were dropped, more than")
    passed = ranks.on_ranks(stopped, tmp_path / "b", data, str(tmp_path / "b" / "run"), above)
    assert [rank["dropped"]["read"] for rank in passed] == [2 * COUNT] * 2


def test_ranks_look_between_the_ends_of_epochs_too():
    limit = DropLimit(Tally(0.1), lambda: {"read": 1000, "link": 101}, world=2)
    for _ in range(CHECK_EVERY - 1):
        limit(False)
    with pytest.raises(InputError, match="101 of 1000"):
        limit(False)


@pytest.mark.parametrize("step", [3, COUNT // GLOBAL + 2])
def test_one_rank_goes_on_with_the_counts_of_two(data, two, tmp_path, step):
    folder, both = two
    checkpoint = str(folder / f"step={step}.ckpt")
    again = fit(1, 0, data, str(tmp_path), checkpoint)
    assert again["dropped"] == both[0]["dropped"]


def test_two_ranks_go_on_with_their_counts(data, two, tmp_path):
    folder, both = two
    checkpoint = str(folder / "step=5.ckpt")
    again = ranks.on_ranks(fit, tmp_path, data, str(tmp_path / "run"), checkpoint)
    assert [rank["dropped"] for rank in again] == [both[0]["dropped"]] * 2
