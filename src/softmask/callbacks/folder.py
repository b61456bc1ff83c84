"""Where a run keeps its files."""

from pathlib import Path

import lightning.pytorch as L


def run_path(trainer: L.Trainer) -> Path:
    """The folder of this run, there or not; all ranks ask, the first one answers."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def run_folder(trainer: L.Trainer) -> Path:
    """The folder of this run, made if it is missing; all ranks ask, the first one answers."""
    folder = run_path(trainer)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
