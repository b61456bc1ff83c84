"""What all data modules share: shards, stages, loaders.

A stage opens the shards it needs when Lightning sets it up, so a run that only tests needs no
training data.
"""

from abc import abstractmethod
from collections.abc import Mapping

import lightning.pytorch as L
from lightning.pytorch.trainer.states import TrainerFn

from data_modules.loader import BatchLoader, EvaluationLoader, Make, PairLoader
from data_modules.order import EvaluationPlan, TrainPlan
from data_modules.shards import ShardSet
from softmask.errors import InputError

STAGES = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}


class ShardedData(L.LightningDataModule):
    """Training in a shuffled order that any number of ranks and workers shares; exact evaluation.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern.
        val: shards to validate.
        test: shards to test.
        predict: shards to predict.
        batch_size: training samples a step on each device.
        eval_batch_size: evaluation samples a step on each device; None takes batch_size.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        seed: of the order and of the augmentation.
        window: samples shuffled together; less keeps reading near fewer shards.
        val_limit: validate the first samples only.
    """

    def __init__(
        self,
        train: str | None,
        val: str | None,
        test: str | None = None,
        predict: str | None = None,
        *,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        workers: int = 4,
        seed: int = 0,
        window: int = 10_000,
        val_limit: int | None = None,
    ) -> None:
        super().__init__()
        self.paths = {"train": train, "val": val, "test": test, "predict": predict}
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.workers, self.seed, self.window, self.val_limit = workers, seed, window, val_limit
        _check_sizes(
            {"batch_size": batch_size, "eval_batch_size": eval_batch_size, "window": window}
            | {"val_limit": val_limit},
            least=1,
        )
        _check_sizes({"workers": workers}, least=0)
        self._shards: dict[str, ShardSet] = {}
        self._loaders: list[BatchLoader] = []
        self._train: PairLoader | None = None
        self._resume: Mapping[str, int] | None = None

    @abstractmethod
    def make_train(self) -> Make:
        """Give the function from training samples and epoch to a batch; it must pickle."""

    @abstractmethod
    def make_evaluation(self) -> Make:
        """Give the function from evaluation samples to a batch; it must pickle."""

    def setup(self, stage: str) -> None:
        """Open the shards of a stage.

        Raises:
            InputError: if a path that the stage needs is not given or holds no shards.
        """
        needed = STAGES[stage]
        self._open(needed)
        if stage == "fit" and self.paths["val"] is not None:
            self._open("val")

    def teardown(self, stage: str) -> None:  # noqa: ARG002 (Lightning's signature)
        """End the worker processes."""
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()
        self._train = None

    def state_dict(self) -> dict[str, Mapping[str, int]]:
        """Give the training loader's place.

        Lightning restores a loader's own state only in the middle of an epoch; after a checkpoint
        of an epoch's end, epoch 0 would come again.
        """
        return {"train": self._train.state_dict()} if self._train else {}

    def load_state_dict(self, state_dict: dict[str, Mapping[str, int]]) -> None:
        """Let the next training loader begin at a saved place."""
        fits = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        self._resume = state_dict.get("train") if fits else None

    def train_dataloader(self) -> PairLoader:
        """Give the training loader, at the first batch of epoch 0 or where a checkpoint was saved.

        Raises:
            InputError: if the samples do not fill a step, or the checkpoint has another order.
        """
        rank, world = self._topology()
        shards = self._open("train")
        plan = TrainPlan(
            shards.counts,
            self.batch_size,
            rank=rank,
            world=world,
            seed=self.seed,
            window=self.window,
        )
        loader = PairLoader(
            shards,
            plan,
            self.make_train(),
            workers=self.workers,
            stop=self._limit(plan.steps),
            same_epoch=self._overfits(),
        )
        if self._resume is not None:
            loader.load_state_dict(self._resume)
            self._resume = None
        self._train = loader
        self._loaders.append(loader)
        return loader

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Give the validation loader, or none when there is no validation data."""
        return self._evaluation("val", self.val_limit) if self.paths["val"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Give the test loader."""
        return self._evaluation("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """Give the prediction loader."""
        return self._evaluation("predict")

    def _evaluation(self, split: str, limit: int | None = None) -> EvaluationLoader:
        shards = self._open(split)
        count = len(shards) if limit is None else min(limit, len(shards))
        rank, world = self._topology()
        plan = EvaluationPlan(count, self.eval_batch_size, rank=rank, world=world)
        loader = EvaluationLoader(shards, plan, self.make_evaluation(), workers=self.workers)
        self._loaders.append(loader)
        return loader

    def _open(self, split: str) -> ShardSet:
        if split not in self._shards:
            path = self.paths[split]
            if path is None:
                raise InputError(
                    f"data.init_args.{split} is not given: set it to a folder made by "
                    f"`softmask data write`."
                )
            self._shards[split] = ShardSet(path)
        return self._shards[split]

    def _topology(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _overfits(self) -> bool:
        trainer = self.trainer
        return trainer is not None and trainer.overfit_batches > 0  # type: ignore[attr-defined]

    def _limit(self, steps: int) -> int | None:
        """Steps that the trainer will take of an epoch: there the next epoch must begin."""
        if self.trainer is None:
            return None
        limit = self.trainer.limit_train_batches
        return max(1, int(steps * limit)) if isinstance(limit, float) else limit or None


def _check_sizes(sizes: Mapping[str, int | None], least: int) -> None:
    for name, value in sizes.items():
        if value is not None and value < least:
            raise InputError(f"data.init_args.{name} is {value}: give {least} or more.")
