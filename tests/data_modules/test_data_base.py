"""Lightning's own loops over the loaders: checkpoints in the middle, resumes, limits."""

import gc
from multiprocessing import active_children

import lightning.pytorch as L
import pytest
import torch
from fake import write_fake_pairs
from lightning.pytorch.callbacks import ModelCheckpoint
from training import AloneStrategy

from data_modules import PretrainData
from softmask.errors import InputError

COUNT, BATCH = 21, 4
STEPS = COUNT // BATCH


class Recorder(L.LightningModule):
    """Keeps what it was shown; the weight makes Lightning count optimiser steps."""

    def __init__(self, break_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated, self.tested, self.break_at = [], [], [], break_at

    def training_step(self, batch, batch_idx):
        if len(self.seen) == self.break_at:
            raise RuntimeError("the machine went away")
        fingerprint = batch["image"].long().sum().item(), batch["input_ids"].sum().item()
        self.seen.append((self.current_epoch, batch_idx, batch["position"].tolist(), fingerprint))
        return self.weight**2

    def validation_step(self, batch):
        self.validated += batch["position"].tolist()

    def test_step(self, batch):
        self.tested += batch["position"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return write_fake_pairs(tmp_path_factory.mktemp("train"), COUNT)


@pytest.fixture(scope="module")
def val(tmp_path_factory):
    return write_fake_pairs(tmp_path_factory.mktemp("val"), 7, seed=1)


def data(train=None, val=None, **options):
    options = {"image_size": 16, "batch_size": BATCH, "workers": 0, "window": 10, **options}
    return PretrainData(train, val, **options)


def trainer(tmp_path, **options):
    options = {"max_epochs": 3, "num_sanity_val_steps": 0, **options}
    return L.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": "callbacks" in options, **options},
    )


def every_step(folder):
    return ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)


def fit(tmp_path, data, *, break_at=None, ckpt=None, **options):
    model = Recorder(break_at)
    run = trainer(tmp_path, **options)
    if break_at is None:
        run.fit(model, data, ckpt_path=ckpt, weights_only=False)
    else:
        with pytest.raises(RuntimeError, match="went away"):
            run.fit(model, data, ckpt_path=ckpt, weights_only=False)
        data.teardown("fit")
    return model


@pytest.fixture(scope="module")
def whole(train, val, tmp_path_factory):
    """An undisturbed run and its checkpoints of every step."""
    folder = tmp_path_factory.mktemp("whole")
    model = fit(folder, data(train, val), callbacks=[every_step(folder)])
    assert [place[:2] for place in model.seen] == [(e, b) for e in range(3) for b in range(STEPS)]
    assert model.validated == list(range(7)) * 3
    return folder, model.seen


@pytest.mark.parametrize("step", range(1, 3 * STEPS))
def test_trainer_resumes_at_any_step(whole, train, val, tmp_path, step):
    folder, seen = whole
    resumed = fit(tmp_path, data(train, val), ckpt=folder / f"step={step}.ckpt")
    assert [place[2:] for place in resumed.seen] == [place[2:] for place in seen[step:]]


@pytest.mark.parametrize("step", [3, STEPS, STEPS + 2])
def test_trainer_resumes_without_validation_with_workers(whole, train, tmp_path, step):
    seen = [place[2:] for place in whole[1]]
    first = fit(
        tmp_path, data(train, workers=2), break_at=step + 1, callbacks=[every_step(tmp_path)]
    )
    assert [place[2:] for place in first.seen] == seen[: step + 1]
    checkpoint = tmp_path / f"step={step}.ckpt"
    second = fit(
        tmp_path,
        data(train, workers=1),
        break_at=2,
        ckpt=checkpoint,
        callbacks=[every_step(tmp_path / "second")],
    )
    assert [place[2:] for place in second.seen] == seen[step : step + 2]
    third = fit(tmp_path, data(train), ckpt=tmp_path / "second" / f"step={step + 2}.ckpt")
    assert [place[2:] for place in third.seen] == seen[step + 2 :]


@pytest.mark.parametrize("on_train_epoch_end", [True, False])
@pytest.mark.parametrize("epoch", [0, 1])
def test_trainer_resumes_at_an_epochs_end(whole, train, val, tmp_path, on_train_epoch_end, epoch):
    """Checkpoints after validation or after the epoch: Lightning restores no loader from them."""
    keep = ModelCheckpoint(
        tmp_path, "{epoch}", save_top_k=-1, save_on_train_epoch_end=on_train_epoch_end
    )
    fit(tmp_path, data(train, val), callbacks=[keep])
    resumed = fit(tmp_path, data(train, val), ckpt=tmp_path / f"epoch={epoch}.ckpt")
    rest = whole[1][(epoch + 1) * STEPS :]
    assert [place[2:] for place in resumed.seen] == [place[2:] for place in rest]


def test_a_test_leaves_the_place_of_a_later_fit_alone(whole, train, val, tmp_path):
    module = data(train, val, test=val)
    trainer(tmp_path).test(
        Recorder(), module, ckpt_path=whole[0] / "step=7.ckpt", weights_only=False
    )
    assert [place[2:] for place in fit(tmp_path, module).seen] == [p[2:] for p in whole[1]]


def test_resume_with_another_seed_is_refused(whole, train, val, tmp_path):
    with pytest.raises(InputError, match=r"saved with seed 0 but this run has 5"):
        fit(tmp_path, data(train, val, seed=5), ckpt=whole[0] / "step=7.ckpt")


@pytest.mark.parametrize("limit", [3, 0.6])
def test_limited_epochs_begin_anew_and_resume(whole, train, tmp_path, limit):
    seen = [place[2:] for place in whole[1]]
    expected = [*seen[:3], *seen[STEPS : STEPS + 3], *seen[2 * STEPS : 2 * STEPS + 3]]
    options = {"limit_train_batches": limit}
    run = fit(tmp_path, data(train), callbacks=[every_step(tmp_path)], **options)
    assert [place[2:] for place in run.seen] == expected
    for step in (2, 3, 4):
        again = fit(tmp_path, data(train), ckpt=tmp_path / f"step={step}.ckpt", **options)
        assert [place[2:] for place in again.seen] == expected[step:]


def test_shorter_epochs_go_on_with_the_next(whole, train, tmp_path):
    """Lightning begins the epoch again; before, each of its epochs was an empty one."""
    folder, seen = whole
    resumed = fit(tmp_path, data(train), ckpt=folder / "step=8.ckpt", limit_train_batches=3)
    assert [place[:2] for place in resumed.seen] == [(e, b) for e in (1, 2) for b in range(3)]
    expected = seen[2 * STEPS : 2 * STEPS + 3]
    assert [place[2:] for place in resumed.seen[:3]] == [place[2:] for place in expected]
    assert len({str(place[2:]) for place in resumed.seen}) == 6


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("step", [None, 3, STEPS])
def test_reloaded_loaders_go_on(whole, train, tmp_path, step, workers):
    others = set(active_children())
    ckpt = step and whole[0] / f"step={step}.ckpt"
    options = {"reload_dataloaders_every_n_epochs": 1, "ckpt": ckpt}
    model = fit(tmp_path, data(train, workers=workers), **options)
    assert [place[2:] for place in model.seen] == [place[2:] for place in whole[1][step or 0 :]]
    assert set(active_children()) == others


def test_a_second_fit_goes_on_and_another_trainer_begins_anew(whole, train, tmp_path):
    module, model, run = data(train), Recorder(), trainer(tmp_path, max_epochs=1)
    for epochs in (1, 3):
        run.fit_loop.max_epochs = epochs
        run.fit(model, module)
    assert model.seen == whole[1]
    assert module.tally.start == (1, 0)  # dropped.jsonl keeps what the first fit listed
    again = fit(tmp_path, module, max_epochs=1)
    assert again.seen == whole[1][:STEPS]


def test_sanity_steps_and_limited_validation_start_at_the_front(train, val, tmp_path):
    options = {"num_sanity_val_steps": 1, "limit_val_batches": 1, "max_epochs": 2}
    model = fit(tmp_path, data(train, val, eval_batch_size=2, workers=1), **options)
    assert model.validated == [0, 1] * 3


def test_overfit_batches_repeat(train, tmp_path):
    model = fit(tmp_path, data(train), overfit_batches=2)
    places = [place[2:] for place in model.seen]
    assert places[:2] == places[2:4] == places[4:]


def test_steps_are_limited_by_max_steps(whole, train, tmp_path):
    model = fit(tmp_path, data(train), max_epochs=-1, max_steps=7)
    assert [place[2:] for place in model.seen] == [place[2:] for place in whole[1][:7]]


def test_a_stage_needs_its_own_data_only(train, val, tmp_path):
    module = PretrainData(None, None, val, image_size=16, workers=0)
    model = Recorder()
    trainer(tmp_path).test(model, module)
    assert model.tested == list(range(7))
    for stage, name in [("fit", "train"), ("validate", "val"), ("predict", "predict")]:
        says = rf"data\.init_args\.{name} is not given.*softmask data write"
        with pytest.raises(InputError, match=says):
            module.setup(stage)
    with pytest.raises(InputError, match="nowhere"):
        PretrainData(train, "nowhere").setup("fit")
    assert PretrainData(train, None).val_dataloader() == []


def test_val_limit(val):
    module = data(None, val, val_limit=5)
    seen = [position for batch in module.val_dataloader() for position in batch["position"]]
    assert [int(position) for position in seen] == list(range(5))


def test_ranks_come_from_the_trainer(train, whole):
    class Rank:
        world_size, overfit_batches, limit_train_batches, training = 2, 0, 1.0, False
        strategy = AloneStrategy()

        def __init__(self, rank):
            self.global_rank = rank

    parts = []
    for rank in range(2):
        module = data(train, batch_size=BATCH // 2)
        module.trainer = Rank(rank)
        parts.append([batch["position"].tolist() for batch in module.train_dataloader()])
    joined = [a + b for a, b in zip(*parts, strict=True)]
    assert joined == [place[2] for place in whole[1][:STEPS]]


def test_teardown_ends_workers(train):
    module = data(train, workers=1)
    loader = module.train_dataloader()
    next(iter(loader))
    module.teardown("fit")
    assert loader._loader is None


@pytest.mark.parametrize("get", [PretrainData.train_dataloader, PretrainData.val_dataloader])
def test_workers_end_with_the_last_name_of_their_loader(train, val, get):
    """Not by the cyclic collector: it would take their queues first, and wait five seconds each."""
    others = set(active_children())
    loader = get(data(train, val, workers=1))
    next(iter(loader))
    (worker,) = set(active_children()) - others
    gc.disable()
    try:
        del loader
        assert not worker.is_alive()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"eval_batch_size": -1}, {"workers": -1}, {"window": 0}, {"val_limit": 0}],
)
def test_numbers_out_of_range(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(InputError, match=rf"data\.init_args\.{name} is {value}:"):
        data(**wrong)


def test_too_large_a_batch(train):
    with pytest.raises(InputError, match=r"21 samples.*takes 22"):
        data(train, batch_size=22).train_dataloader()
