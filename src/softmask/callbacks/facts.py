"""What there is to say of a run beside its figures."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning.pytorch as L

from softmask.forecast import count_parameters
from softmask.provenance import commit, versions
from softmask.runs import SETTINGS


@runtime_checkable
class KnowsHashes(Protocol):
    """Data that can say which it is."""

    def hashes(self) -> dict[str, str]:
        """Hashes by split: train, val, test."""


def hashes(trainer: L.Trainer) -> dict[str, str]:
    """Give the hash of each data set that the run opened, by split, where its data knows them."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data.hashes() if isinstance(data, KnowsHashes) else {}


def run_facts(trainer: L.Trainer, task: L.LightningModule) -> dict[str, str]:
    """Facts by name, in the order in which one asks for them; the first rank knows."""
    counts = count_parameters(task)
    return {
        "task": type(task).__name__,
        **{f"parameters, {kind}": f"{count:,}" for kind, count in counts.items()},
        **{f"data hash, {split}": known for split, known in hashes(trainer).items()},
        "processes": f"{trainer.world_size} on {trainer.num_nodes} machine(s), "
        f"{trainer.accelerator.name()}, precision {trainer.precision}",
        "commit": commit(),
        **versions("softmask", "torch", "lightning"),
    }


def settings_text(folder: Path) -> str:
    """A run's config.yaml; empty when it was not started by the command line."""
    file = folder / SETTINGS
    return file.read_text(encoding="utf-8") if file.is_file() else ""
