"""What a run was told, kept in its folder."""

from pathlib import Path

import lightning.pytorch as L
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.trainer.states import TrainerFn

from softmask.runs import SETTINGS


class RunSettings(SaveConfigCallback):
    """Saves what the program was told as `config.yaml`.

    A validation, test or prediction in the folder of an earlier run leaves that run's file as it is
    and writes one by its own name beside it, such as `test.yaml`.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Choose the file's name, and save."""
        folder = trainer.log_dir  # all ranks ask, the first one answers
        if stage != "fit" and not self.already_saved and folder:
            taken = (Path(folder) / SETTINGS).is_file()
            self.config_filename = f"{TrainerFn(stage).value}.yaml" if taken else SETTINGS
        super().setup(trainer, pl_module, stage)
