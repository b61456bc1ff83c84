"""What every task shares: the backbone, the optimiser, starting weights, gathering, guarding."""

import math
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import lightning.pytorch as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from softmask.backbone import Backbone
from softmask.checkpoint import CHECKPOINT_KEY
from softmask.errors import InputError
from softmask.nn.sharded import whole
from softmask.optim import Optim, set_again, settings_of
from softmask.renames import State
from softmask.strategy import FullyShardedStrategy
from softmask.tasks.finite import FiniteGuard
from softmask.tasks.starting import (
    refuse_half_weights,
    refuse_other,
    refuse_unreadable,
    warn_of_settings,
    warn_of_unfilled,
)
from softmask.weights import load_weights


class TaskModule(L.LightningModule):
    """Base of all tasks. Hyper-parameters are not saved: the run's config.yaml is their record.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        init_from: weights to start from: a checkpoint of ours (shapes and names that fit are
            taken, the rest is reported) or an official ALBEF .pth; not a way to resume.
    """

    all_on_device = True
    """Whether `training_step` asks for kernels alone, so that it can be recorded."""

    def __init__(
        self, backbone: Backbone, optim: Optim | None = None, init_from: str | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.optim = optim or Optim()
        self.init_from = init_from
        for part in self.frozen():
            part.requires_grad_(False).eval()
        self.guard = FiniteGuard()
        self.report: dict[str, Any] = {}
        """What the last evaluation found: numbers, or dicts of them, by name."""
        self.submission: list[dict[str, Any]] = []
        """What the last test would hand in, in the form of the official server, if there is one."""
        self._started = False  # whether the weights are more than fresh
        self._settings: list[dict[str, Any]] = []  # of the optimiser's groups, as this run has them
        self._keys: tuple[str, ...] = ()  # of the batch whose gradients come next

    def frozen(self) -> list[nn.Module]:
        """What `optim.freeze` keeps as it is."""
        return [self.backbone.get_submodule(part) for part in self.optim.freeze]

    def train(self, mode: bool = True) -> Self:
        """Switch to training, but for what is frozen, which has no dropout."""
        super().train(mode)
        for part in self.frozen():
            part.eval()
        return self

    def setup(self, stage: str) -> None:
        """Load the starting weights, once, unless the trainer is about to load a checkpoint."""
        if self._started or self.trainer.ckpt_path is not None:
            self._started = True
            return
        self._started = stage == "fit" or self.init_from is not None
        if stage == "fit":
            self.load_parts()
        if self.init_from:
            report = load_weights(self, self.init_from, self.adapt)
            self.print(report.summary())
            warn_of_unfilled(report)
            self.loaded_weights()
        elif stage != "fit":
            rank_zero_warn(
                f"This run is to {TrainerFn(stage).value} weights that were drawn at random: give "
                f"--ckpt_path FILE or --model.init_args.init_from FILE."
            )

    def configure_model(self) -> None:
        """Let the strategy shard parameters where it is one that does.

        Raises:
            InputError: it shards in a way under which twins and evaluation would go wrong, or
                what was built cannot be trained well.
        """
        if self.trainer.state.fn == TrainerFn.FITTING:  # whatever was trained so can be opened
            refuse_half_weights(self.trainer.precision)
            self.optim.check_rates()
            self.backbone.image.check_rim()
            self.backbone.image.check_channels()
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            refuse_unreadable(self.backbone.text, data)
        strategy = self.trainer.strategy
        if isinstance(strategy, FullyShardedStrategy):
            strategy.shard(("compute_loss", "validation_step"))
        elif isinstance(strategy, ModelParallelStrategy | FSDPStrategy):
            raise InputError(
                f"trainer.strategy is Lightning's {type(strategy).__name__}, under which momentum "
                f"twins would not follow and evaluations would hang: use conf/trainer/fsdp.yaml, "
                f"whose strategy is softmask.strategy.FullyShardedStrategy."
            )

    def adapt(self, state: State) -> State:
        """Turn weights to start from into this task's own; as they are, unless a task says more.

        `setup` calls it when `init_from` is given, before anything is filled. Here VQA makes its
        decoder of fusion layers, NLVR2 its pairs of layers.

        Args:
            state: tensors by our names, from a checkpoint of ours, of any task, or from
                `softmask.renames.from_albef`, which leaves the names it does not know. Without
                queue and momentum twins. Positions may still be those of another resolution.

        Returns:
            Names of this task's `state_dict()`. What it lacks is reported as missing, what has no
            place as unexpected. Tensors are copied later, so they may be shared. A state that is
            this task's own must stay as it is.
        """
        return state

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Move what no gradient moves, then compute the loss.

        Two calls, for sharded parameters are written as shards and read whole.

        Args:
            batch: of the task's own kind.
            batch_idx: not read: draws are seeded by `on_train_batch_start`.

        Returns:
            The loss, ().
        """
        self.advance()
        return self.compute_loss(batch)

    def advance(self) -> None:
        """Move parameters that no gradient moves, in place; tasks with twins have some."""

    @abstractmethod
    def compute_loss(self, batch: Any) -> Tensor:
        """The loss of a batch, (); each task has its own."""

    def load_parts(self) -> None:
        """Load parts of the weights to train, before `init_from`; tasks that know a BERT do."""

    def loaded_weights(self) -> None:
        """Bring whatever copies the weights in line with them; tasks with twins do."""

    def ramp(self, steps: int) -> float | Tensor:
        """From 0 at the first step to 1 after `steps`; (), on the device, in a recorded step.

        Whatever a training step takes from its count comes from here, by arithmetic that tensors
        know: `blocks.graphs` fills in nothing else.
        """
        return min(1.0, self.global_step / steps) if steps else 1.0

    def ramps(self) -> set[int]:
        """The `steps` of each `ramp` that a training step asks for."""
        return set()

    def summary(self, corpus: str) -> str:
        """What the last test found, as lines of text; tasks with a table of their own say more."""
        numbers = {k: v for k, v in self.report.items() if isinstance(v, int | float)}
        cells = [f"  {name:<24}{value:10.4g}" for name, value in numbers.items()]
        return "\n".join([f"{type(self).__name__} on {corpus}:", *cells])

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine over the whole run, asked every batch.

        Raises:
            InputError: the run has no end, and so no cosine.
        """
        trainer = self.trainer
        steps = trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise InputError(
                f"trainer.max_steps is {trainer.max_steps} and max_epochs {trainer.max_epochs}, "
                f"without end: the learning rate falls towards one, so set either, beside a "
                f"max_time too."
            )
        # Lightning does not clip under a fused optimiser in mixed precision: it stops the run. And
        # with a loss scaler the fused one unscales in its step, after the norm was looked at.
        mixed = isinstance(trainer.precision_plugin, MixedPrecision)
        looks = trainer.gradient_clip_val or self._scaled()
        optimizer, schedule = self.optim.build(
            self,
            int(steps),
            epoch_steps=self._epoch_steps(),
            fused=not (mixed and looks),
            stacks=self.backbone.stacks(),
        )
        self._settings = settings_of(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"},
        }

    def on_train_start(self) -> None:
        """Let this run's settings of the optimiser count, not those of the checkpoint it read."""
        if self._settings:  # none where a task makes an optimiser of its own
            schedule = cast(LambdaLR, self.trainer.lr_scheduler_configs[0].scheduler)
            warn_of_settings(set_again(self.trainer.optimizers[0], schedule, self._settings))

    def _epoch_steps(self) -> float:
        """Steps of an epoch, where the learning rate asks for them."""
        if self.optim.falls != "epoch":
            return math.inf
        trainer = self.trainer
        trainer.fit_loop.setup_data()  # a run that counts steps has not looked at its data yet
        batches = trainer.num_training_batches / trainer.accumulate_grad_batches
        return math.ceil(batches) if math.isfinite(batches) else math.inf

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of all ranks in rank order, without gradient: (B, ...) to (W B, ...)."""
        if self.trainer.world_size == 1:
            return rows.detach()
        gathered = cast(Tensor, self.all_gather(rows.detach()))
        return gathered.flatten(0, 1)

    def sum_over_ranks(self, value: Tensor) -> Tensor:
        """The sum of a tensor over ranks, without gradient."""
        return cast(Tensor, self.trainer.strategy.reduce(value.detach(), reduce_op="sum"))

    def mean_over_ranks(self, count: Tensor) -> Tensor:
        """The mean of a count over ranks, by which each divides so that their mean is right."""
        if self.trainer.world_size == 1:
            return count
        return self.sum_over_ranks(count.float()) / self.trainer.world_size

    def total(self, losses: Mapping[str, Tensor], keys: Sequence[str]) -> Tensor:
        """Log named losses, guard them, and return their sum.

        Args:
            losses: weighted scalars by name.
            keys: of the samples they came from.

        Returns:
            ().

        Raises:
            InputError: one of them is not finite.
        """
        self._keys = tuple(keys)
        self.guard.watch(losses, self.global_step, keys)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict(
            {f"train/{name}": loss.detach() for name, loss in losses.items()}, batch_size=len(keys)
        )
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(keys))
        return total

    def on_train_epoch_start(self) -> None:
        """Set right the step that loggers write: Lightning is one ahead after an epoch's end."""
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.global_step

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make every draw a function of (seed, step, rank), so a resumed run draws the same."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
        step = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
        torch.manual_seed(((seed * 1_000_003 + step) * 65_537 + self.global_rank) % 2**63)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Guard the norm of the gradients, and log it where the loggers will look at it.

        Raises:
            InputError: it is not finite; a loss can be when its gradient is not.
        """
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(grads))
        if not self._scaled():  # a loss scaler skips such steps by itself
            self.guard.watch({"gradient": norm}, self.global_step, self._keys)
        if (self.trainer.global_step + 1) % _log_every(self.trainer) == 0:
            self.log("train/grad_norm", norm)

    def _groups(self) -> dict[str, Any]:
        """The settings on which the optimiser's state depends."""
        return {"layer_decay": self.optim.layer_decay, "freeze": list(self.optim.freeze)}

    def _scaled(self) -> bool:
        return getattr(self.trainer.precision_plugin, "scaler", None) is not None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Name the task in its checkpoint, after the last look at its losses."""
        self.guard.check(wait=True)
        checkpoint[CHECKPOINT_KEY] = {"task": type(self).__name__, "groups": self._groups()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another task or of another size.

        Raises:
            InputError: names both tasks, or the tensors that do not fit.
        """
        trained = self.trainer.state.fn == TrainerFn.FITTING
        refuse_other(self, checkpoint, self._groups() if trained else None)


def _log_every(trainer: L.Trainer) -> int:
    return int(trainer.log_every_n_steps)  # type: ignore[attr-defined]  # set by a connector
