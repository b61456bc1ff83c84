"""Pretraining at its smallest, on fake pairs that stay in memory: batches, tasks, trainers."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as L
import torch
from fake import fake_pairs
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.captioned import MakePairs
from data_modules.image import Distort, Distortion
from data_modules.pictured import Reader
from data_modules.pretrain import MakePretrain
from data_modules.shards import Sample
from data_modules.text import Text, TextOptions
from data_modules.write import columns
from softmask.backbone import Backbone
from softmask.batch import PretrainBatch
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.tasks import Contrast, Negatives, PretrainTask, SoftMasking

SIZE = 32
NONE = {"flip": 0, "jitter_prob": 0, "gray_prob": 0, "blur_prob": 0, "rand_ops": 0}
STILL = Distortion(crop_scale=(1, 1), crop_ratio=(1, 1), **NONE)


def text(**options: Any) -> TextOptions:
    """Options of a text of which enough is masked to learn from."""
    return TextOptions(**{"mask_ratio": 0.3, "augment_ratio": 0.3, **options})


def batch(
    count: int = 4, options: TextOptions | None = None, *, skip: int = 0, clean_image: bool = False
) -> PretrainBatch:
    """Pairs skip, skip + 1, ... as the data module makes them."""
    pairs = list(fake_pairs(skip + count, size=SIZE))[skip:]
    samples = [Sample(n, "fake", pair.key, columns(pair)) for n, pair in enumerate(pairs, skip)]
    distort = Distort(Distortion() if clean_image else STILL, SIZE)
    reader = Reader(Text(options or text()), SIZE, distort=distort)
    return MakePretrain(MakePairs(reader), clean_image)(samples, 0)


def backbone(
    *, width: int = 16, text_layers: int = 1, fusion_layers: int = 3, dropout: float = 0.0
) -> Backbone:
    """The same at every call."""
    torch.manual_seed(0)
    sizes = {"patch_size": 8, "width": width, "depth": 1, "heads": 2}
    return Backbone(
        ImageEncoder("deit_tiny_patch16_224.fb_in1k", image_size=SIZE, **sizes),
        TextEncoder(text_layers, width, heads=2, max_positions=32, dropout=dropout),
        FusionEncoder(width, fusion_layers, heads=2, dropout=dropout),
        embed_dim=8,
    )


class Recorded(PretrainTask):
    """Keeps what each step's losses were; takes a draw of negatives when it is given one."""

    negatives: Negatives | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps: list[dict[str, float]] = []

    def total(self, losses: Mapping[str, Tensor], keys: Sequence[str]) -> Tensor:
        self.steps.append({name: loss.item() for name, loss in losses.items()})
        return super().total(losses, keys)

    def draw_negatives(self, i2t: Tensor, t2i: Tensor, same: Tensor) -> Negatives:
        return self.negatives or super().draw_negatives(i2t, t2i, same)


def task(
    parts: Mapping[str, Any] | None = None,
    *,
    contrast: Mapping[str, Any] | None = None,
    soft_mask: Mapping[str, Any] | None = None,
    **options: Any,
) -> Recorded:
    """A task whose twins differ from it, so that it matters who is asked."""
    made = Recorded(
        backbone(**(parts or {})),
        contrast=Contrast(**{"queue_size": 8, "momentum": 0.9, **(contrast or {})}),
        soft_mask=SoftMasking(**{"layer": 1, **(soft_mask or {})}),
        **options,
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.momentum.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made.train()


def alone(made: Recorded) -> Recorded:
    """Ready for single steps, without a loop around them; what it logs is in `logged`."""
    made.trainer = trainer()
    logged: dict[str, Any] = {}
    made.__dict__["logged"] = logged
    made.__dict__["log"] = lambda name, value, **options: logged.update({name: value})
    made.__dict__["log_dict"] = lambda values, **options: logged.update(values)
    return made


def step(made: Recorded, given: PretrainBatch) -> dict[str, float]:
    """One step forward and backward, without an optimiser; gives its losses."""
    alone(made).training_step(given, 0).backward()
    return made.steps[-1]


class Given(L.LightningDataModule):
    """Batches that are there already."""

    def __init__(self, batches: Sequence[Any]) -> None:
        super().__init__()
        self.batches, self.batch_size = batches, len(batches[0]["key"])

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(list(self.batches), batch_size=None, collate_fn=lambda given: given)


def trainer(**options: Any) -> L.Trainer:
    plain = {"accelerator": "cpu", "devices": 1, "max_steps": 1, "max_epochs": -1}
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return L.Trainer(
        **{**plain, **dict.fromkeys(off, False), "use_distributed_sampler": False, **options}
    )


class AloneStrategy:
    """For a trainer that only says which rank it is: sums over ranks stay this one's."""

    root_device = "cpu"

    def reduce(self, tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "sum"
        return tensor


def check_gradients(task: Any) -> None:
    """All learns but the twins, which have no gradient."""
    for name, parameter in task.named_parameters():
        if name.startswith("momentum."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
