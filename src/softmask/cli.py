"""The command line: `softmask fit|validate|test|predict -c machine.yaml -c task.yaml [flags]`.

`softmask.program` calls it. SIGTERM ends a run with a checkpoint and exit code 143.
`--ckpt_path last` goes on from the last checkpoint of the named run
(`--trainer.logger.init_args.version NAME`), or starts it: one command for the first start and for
every other; `--ckpt_path best` scores the one that the run's monitored value chose.
`softmask fit --dry_run true` says what a training would take, and takes no step.
"""

import sys
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from data_modules import ShardedData
from softmask import __version__
from softmask.callbacks import (
    Blocks,
    DroppedSamples,
    GroundingPanels,
    KeptMemory,
    LastCheckpoint,
    MatmulPrecision,
    NegativePanels,
    PairScores,
    Performance,
    Preemption,
    RetrievalPanels,
    RunBoard,
    RunPage,
    RunReport,
    RunSettings,
    SoftMaskPanels,
    UpdateNorm,
    find_last,
    run_path,
)
from softmask.dry_run import Feed, check_queue, dry_run
from softmask.errors import InputError
from softmask.launched import check_world
from softmask.program import main as main  # what installed programs still call
from softmask.runs import choose_checkpoint
from softmask.tasks import TaskModule
from softmask.tasks.load import IMAGE_SIZE
from softmask.weights import check_checkpoint

BEST, LAST = "best", "last"
"""Values of --ckpt_path that stand for a checkpoint in the run's folder."""
CHECKPOINT_WORDS = (BEST, LAST, "hpc")
"""Values of --ckpt_path that name no file; the last one is Lightning's."""


class SoftMaskCLI(LightningCLI):
    """LightningCLI with named callbacks, which merge by key where lists would replace each other.

    `image_size` and the tokenizer have one owner, the data; a model that asks for them follows it.
    """

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
        words = named.get("args")
        words = sys.argv[1:] if words is None else words
        self._verb = words[0] if isinstance(words, list) and words else ""
        super().__init__(*given, **named)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The verb that stands first alone, for each has a parser that takes a while to build."""
        every: dict[str, set[str]] = super().subcommands()
        return {self._verb: every[self._verb]} if self._verb in every else every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the named callbacks, the links, `--then_test` and `--dry_run`."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(Preemption, "preemption")
        parser.add_lightning_class_args(LearningRateMonitor, "lr_monitor")
        parser.add_lightning_class_args(Performance, "performance")
        parser.add_lightning_class_args(UpdateNorm, "updates")
        parser.add_lightning_class_args(RunBoard, "board")
        parser.add_lightning_class_args(Blocks, "blocks")
        parser.add_lightning_class_args(MatmulPrecision, "matmul")
        parser.add_lightning_class_args(KeptMemory, "memory")
        parser.add_lightning_class_args(DroppedSamples, "dropped")
        parser.add_lightning_class_args(RunReport, "report")
        parser.add_lightning_class_args(SoftMaskPanels, "panels")
        parser.add_lightning_class_args(GroundingPanels, "grounding_panels")
        parser.add_lightning_class_args(NegativePanels, "negatives")
        parser.add_lightning_class_args(RetrievalPanels, "retrieved")
        parser.add_lightning_class_args(PairScores, "scores")
        parser.add_lightning_class_args(RunPage, "page")  # last: it shows what the others left
        parser.set_defaults({"lr_monitor.logging_interval": "step"})
        parser.add_argument(
            "--then_test", type=bool, default=False, help="fit only: test the last weights after it"
        )
        parser.add_argument(
            "--dry_run",
            type=bool,
            default=False,
            help="fit only: say what the training would take, and end before it",
        )
        parser.link_arguments("data.init_args.image_size", IMAGE_SIZE)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and look at the checkpoint before anything is built.

        Raises:
            InputError: --ckpt_path names no checkpoint of a run.
        """
        super().parse_arguments(parser, args)
        verb = self.config.get("subcommand")
        path = self.config[verb].get("ckpt_path") if verb else None
        if path and str(path) not in CHECKPOINT_WORDS:
            check_checkpoint(path)
        given = self.config[verb] if verb else {}
        follow_tokenizer(given)
        if given.get("dry_run") and verb != "fit":
            raise InputError(
                f"--dry_run true says what a training would take, and {verb} is none: leave it out."
            )
        if given.get("then_test") and not given["data"]["init_args"].get("test"):
            raise InputError(
                "--then_test true wants test data, and data.init_args.test is not given: set it to "
                "a folder made by `softmask data write`, or leave --then_test out."
            )

    def instantiate_classes(self) -> None:
        """Build everything; the parser wraps a constructor's error, which comes out as itself.

        Raises:
            InputError: a setting cannot be used.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, InputError):
                cause = cause.__cause__
            raise (cause or error) from None
        flags = ("--trainer.devices", "--trainer.num_nodes")
        check_world(self.trainer.num_devices, self.trainer.num_nodes, flags)
        asked = self._get(self.config_init, "ckpt_path")
        if asked in (BEST, LAST):
            self.config_init[self.subcommand]["ckpt_path"] = self._own_checkpoint(asked)

    def _own_checkpoint(self, which: str) -> str | None:
        """Of the named run; Lightning's own words test untrained weights if there is none."""
        path = find_last(self.trainer, which)
        if self.subcommand == "fit" and which == BEST:
            raise InputError(
                "--ckpt_path best is for validate, test and predict. A training goes on from where "
                "it ended: --ckpt_path last; or starts from chosen weights: "
                "--model.init_args.init_from FILE."
            )
        if path is None and self.subcommand != "fit":
            raise InputError(
                f"There is no last checkpoint in {run_path(self.trainer)} to {self.subcommand}: "
                f"correct --trainer.logger.init_args.version, or give the checkpoint's path."
            )
        if path is None:
            return None
        check_checkpoint(path)
        return str(choose_checkpoint(path.parent, which))

    def before_fit(self) -> None:
        """Refuse what cannot work before any process group starts; end here when asked to.

        Raises:
            InputError: the queue and the global batch do not fit, or a dry run found worse.
        """
        check_queue(self.model, self.datamodule.batch_size * self.trainer.world_size)
        if self._get(self.config, "dry_run"):
            data, ranks = self.datamodule, self.trainer.world_size
            data.trainer = self.trainer
            data.setup("fit")
            feed = Feed(data, data.batch_size, data.train_batches(ranks), data.samples())
            go_on = self._get(self.config_init, "ckpt_path")
            if self.trainer.is_global_zero:  # two that time steps at once would time each other
                print(dry_run(self.trainer, self.model, feed, go_on))
            raise SystemExit(0)

    def after_fit(self) -> None:
        """Test in the same run when asked to."""
        if self._get(self.config, "then_test"):
            self.trainer.test(self.model, datamodule=self.datamodule)


def run(args: list[str] | None) -> None:
    """Run one of Lightning's verbs.

    Args:
        args: what follows the program's name; None lets Lightning read `sys.argv`.

    Raises:
        InputError: a setting cannot be used.
    """
    try:
        _run(args)
    except MisconfigurationException as error:
        raise InputError(str(error)) from error


def follow_tokenizer(given: Mapping[str, Any]) -> None:
    """Let a model with a tokenizer take its data's. Of a link config.yaml would not tell."""
    data, model = (given.get(f"{part}.init_args") or {} for part in ("data", "model"))
    name = getattr(data.get("text"), "tokenizer", None)
    if name is not None and "tokenizer" in model:
        model["tokenizer"] = name


def _run(args: list[str] | None) -> None:
    SoftMaskCLI(
        TaskModule,
        ShardedData,
        trainer_class=L.Trainer,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=42,
        save_config_callback=RunSettings,
        save_config_kwargs={"overwrite": True},
        load_from_checkpoint_support=False,
        parser_kwargs={
            "prog": "softmask",
            "description": "Vision-language pretraining with text-driven soft masks. "
            "`softmask data` prepares data, `softmask weights` reads and shares weights, "
            "`softmask explain`, `score`, `embed` and `search` ask a model.",
            "version": __version__,
        },
        args=args,
    )
