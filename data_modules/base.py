"""What all data modules share: shards, stages, loaders.

A stage opens the shards it needs when Lightning sets it up, so a run that only tests needs no
training data.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

import lightning.pytorch as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from data_modules.batches import Batch, Maker, Place
from data_modules.dropping import DropLimit, sum_over_ranks
from data_modules.identity import check_hash
from data_modules.loader import BatchLoader, EvaluationLoader, PairLoader
from data_modules.mixture import MixedPlan, Source
from data_modules.order import EvaluationPlan
from data_modules.shards import ShardSet
from data_modules.sizes import check_sizes
from data_modules.store import StoreOptions
from softmask.drops import Tally
from softmask.errors import InputError

STAGES = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}


class ShardedData(L.LightningDataModule):
    """Training in a shuffled order that any number of ranks and workers shares; exact evaluation.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern, here or at an address
            such as s3://bucket/train; or sources with weights, [{path: ..., weight: ...}, ...].
        val: shards to validate.
        test: shards to test.
        predict: shards to predict.
        batch_size: training samples a step on each device.
        eval_batch_size: evaluation samples a step on each device; None takes batch_size.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        seed: of the order and of the augmentation.
        window: samples shuffled together; less keeps reading near fewer shards.
        val_limit: validate the first samples only.
        store: how shards of addresses are fetched and kept.
        max_drop_rate: share of bad training samples that others replace before the run stops,
            counted over all ranks.
    """

    def __init__(
        self,
        train: str | list[Source] | None,
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
        store: StoreOptions = StoreOptions(),  # noqa: B008 (frozen)
        max_drop_rate: float = 0.01,
    ) -> None:
        super().__init__()
        paths = {"train": train, "val": val, "test": test, "predict": predict}
        self.paths: dict[str, str | list[Source] | None] = {**paths}
        self.store = store
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.workers, self.seed, self.window, self.val_limit = workers, seed, window, val_limit
        check_sizes(
            {"batch_size": batch_size, "eval_batch_size": eval_batch_size, "window": window}
            | {"val_limit": val_limit},
            least=1,
        )
        check_sizes({"workers": workers, "seed": seed}, least=0)
        if not 0 <= max_drop_rate <= 1:
            raise InputError(
                f"data.init_args.max_drop_rate is {max_drop_rate}: give a share from 0 to 1."
            )
        self.max_drop_rate, self.tally = max_drop_rate, Tally(max_drop_rate)
        self._shards: dict[str, ShardSet] = {}
        # Loaders hold this module: were they held in turn, one that is dropped would wait for the
        # cyclic collector, which takes a worker's queue away before it can be told to end.
        self._loaders = WeakSet[BatchLoader]()
        self._place: Callable[[], dict[str, int]] | None = None
        self._resume: Mapping[str, int] | None = None
        self._resume_hash: str | None = None

    @abstractmethod
    def make_train(self) -> Maker:
        """Give what makes training batches of samples."""

    @abstractmethod
    def make_evaluation(self) -> Maker:
        """Give what makes evaluation batches of samples."""

    def setup(self, stage: str) -> None:
        """Open the shards of a stage.

        Raises:
            InputError: if a path that the stage needs is not given or holds no shards.
        """
        needed = STAGES[stage]
        self._open(needed)
        if stage == "fit":
            self.tally = Tally(self.max_drop_rate)
            if self.paths["val"] is not None:
                self._open("val")

    def teardown(self, stage: str) -> None:  # noqa: ARG002 (Lightning's signature)
        """End the worker processes."""
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()
        self._place = None

    def state_dict(self) -> dict[str, Any]:
        """Give the loader's place, what was dropped until there, the data's hash; all ranks ask.

        Lightning restores a loader's own state only in the middle of an epoch; after a checkpoint
        of an epoch's end, epoch 0 would come again.
        """
        if self._place is None:
            return {}
        place = {"train": self._place(), "dropped": self.dropped()}
        return {**place, "hash": self._open("train").hash}

    def hashes(self) -> dict[str, str]:
        """Give the hash of each split that is open."""
        return {split: shards.hash for split, shards in self._shards.items()}

    def dropped(self) -> dict[str, int]:
        """Count the training samples read, and those dropped by reason; all ranks must ask."""
        return sum_over_ranks(self.tally, self.trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training loader begin at a saved place."""
        fits = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        self._resume = state_dict.get("train") if fits else None
        self._resume_hash = state_dict.get("hash")
        # The first rank goes on from the counts of all; the others add what they see from here.
        if fits and self._topology()[0] == 0 and "dropped" in state_dict:
            self.tally.load_state_dict(state_dict["dropped"])

    def train_dataloader(self) -> PairLoader:
        """Give the training loader, at the first batch of an epoch or where a checkpoint was saved.

        A trainer that asks anew (reload_dataloaders_every_n_epochs, a second fit) goes on.

        Raises:
            InputError: if the samples do not fill a step, or the checkpoint has another order or
                other data.
        """
        rank, world = self._topology()
        shards = self._open("train")
        plan = self._plan(rank, world)
        maker = self.make_train()
        loader = PairLoader(
            shards,
            plan,
            maker.batch,
            workers=self.workers,
            steps=maker.steps,
            tally=self.tally,
            check=DropLimit(self.tally, self.dropped, world=world),
            stop=self._limit(plan.steps),
            same_epoch=self._overfits(),
        )
        if self._resume is not None:
            loader.load_state_dict(self._resume)
            check_hash(self._resume_hash, shards.hash, shards.path)
            self._resume = None
        else:
            loader.go_to(*self._later())
        self._place = loader.place
        self._loaders.add(loader)
        return loader

    def train_batches(self, world: int) -> int:
        """Count the batches that a trainer takes of an epoch on each of `world` ranks.

        Raises:
            InputError: if the samples do not fill a step.
        """
        steps = self._plan(0, world).steps
        return min(steps, self._limit(steps) or steps)

    def look(self, split: str, positions: Sequence[int]) -> Batch:
        """Make an evaluation batch of the samples at places in a split."""
        shards = self._open(split)
        return self.make_evaluation()([shards.read(position) for position in positions], 0)

    def samples(self) -> dict[str, int]:
        """Count the samples of each split that is open."""
        return {split: len(shards) for split, shards in self._shards.items()}

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Give the validation loader, or none when there is no validation data."""
        return self._evaluation("val", self.val_limit) if self.paths["val"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Give the test loader."""
        return self._evaluation("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """Give the prediction loader."""
        return self._evaluation("predict")

    def _plan(self, rank: int, world: int) -> MixedPlan:
        shards = self._open("train")
        return MixedPlan(
            shards.sources,
            shards.weights,
            self.batch_size,
            rank=rank,
            world=world,
            seed=self.seed,
            window=self.window,
        )

    def _evaluation(self, split: str, limit: int | None = None) -> EvaluationLoader:
        shards = self._open(split)
        count = len(shards) if limit is None else min(limit, len(shards))
        rank, world = self._topology()
        plan = EvaluationPlan(count, self.eval_batch_size, rank=rank, world=world)
        maker = self.make_evaluation()
        loader = EvaluationLoader(
            shards, plan, maker.batch, workers=self.workers, steps=maker.steps
        )
        self._loaders.add(loader)
        return loader

    def _open(self, split: str) -> ShardSet:
        if split not in self._shards:
            path = self.paths[split]
            if not path:
                raise InputError(
                    f"data.init_args.{split} is not given: set it to a folder made by "
                    f"`softmask data write`."
                )
            shards = self._shards[split] = ShardSet(path, self.store)
            rank_zero_info(f"Data to {split}: {len(shards)} samples, hash {shards.hash}")
        return self._shards[split]

    def _topology(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def _later(self) -> Place:
        """Give the place where a trainer goes on that has trained already; else the first."""
        trainer = self.trainer
        if trainer is None or not trainer.training or trainer.current_epoch == 0:
            return 0, 0
        if self._place is None:  # a second fit
            return trainer.current_epoch, 0
        place = self._place()
        return place["epoch"], place["step"]

    def _overfits(self) -> bool:
        trainer = self.trainer
        return trainer is not None and trainer.overfit_batches > 0  # type: ignore[attr-defined]

    def _limit(self, steps: int) -> int | None:
        """Steps that the trainer will take of an epoch: there the next epoch must begin."""
        if self.trainer is None:
            return None
        limit = self.trainer.limit_train_batches
        return max(1, int(steps * limit)) if isinstance(limit, float) else limit or None
