"""Checks of the zoo, and trainings on it that Lightning runs."""

import json

import lightning.pytorch as L
import torch
import zoo
from lightning.pytorch.loggers import TensorBoardLogger

from data_modules import Distortion, PretrainData, TextOptions
from data_modules.check import check_shards
from softmask.callbacks import DroppedSamples

NONE = {"flip": 0, "jitter_prob": 0, "gray_prob": 0, "blur_prob": 0, "rand_ops": 0}
STILL = Distortion(crop_scale=(1, 1), crop_ratio=(1, 1), **NONE)
BATCH = 8


def checked(path, tmp_path, **options):
    """Run check; give its report and its exit code."""
    code = 0
    try:
        check_shards(str(path), tmp_path / "check.json", **options)
    except SystemExit as end:
        code = end.code
    return json.loads((tmp_path / "check.json").read_text()), code


def counts(report):
    return {reason: problem["count"] for reason, problem in report["problems"].items()}


class Recorder(L.LightningModule):
    """Keeps what it was shown."""

    def __init__(self, end_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches, self.end_at = [], end_at

    def training_step(self, batch):
        assert "drops" not in batch
        self.batches.append({name: batch[name] for name in ("key", "caption", "image")})
        if len(self.batches) == self.end_at:
            raise RuntimeError("the machine went away")
        return self.weight**2

    def validation_step(self, batch):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data(folder, **options):
    options = {"workers": 0, "max_drop_rate": 1.0, "batch_size": BATCH, **options}
    return PretrainData(
        str(folder),
        image_size=zoo.PICTURE.shape[0],
        window=20,
        distortion=STILL,
        text=TextOptions(mask_ratio=0.0),
        **options,
    )


def trainer(run, **options):
    callbacks = [DroppedSamples(), *options.pop("callbacks", [])]
    return L.Trainer(
        **{"max_epochs": 1, "enable_checkpointing": False, **options},
        default_root_dir=run,
        accelerator="cpu",
        logger=TensorBoardLogger(run, name="", version="run"),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=callbacks,
    )
