"""The command line: `softmask fit|validate|test|predict -c machine.yaml -c task.yaml [flags]`.

`softmask data ...` prepares data. A user's mistake ends with one paragraph and exit code 1.
"""

import sys
from collections.abc import Sequence

import lightning.pytorch as L
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import data_modules.commands
from data_modules import ShardedData
from softmask.callbacks import PairScores, Performance, RunReport
from softmask.errors import InputError
from softmask.tasks import TaskModule


class SoftMaskCLI(LightningCLI):
    """LightningCLI with named callbacks, which merge by key where lists would replace each other.

    `image_size` has one owner, the data; a backbone that sees pictures follows it.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the named callbacks, the links, and `--then_test`."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LearningRateMonitor, "lr_monitor")
        parser.add_lightning_class_args(Performance, "performance")
        parser.add_lightning_class_args(RunReport, "report")
        parser.add_lightning_class_args(PairScores, "scores")
        parser.set_defaults({"checkpoint.save_last": True, "lr_monitor.logging_interval": "step"})
        parser.add_argument(
            "--then_test", type=bool, default=False, help="fit only: test the last weights after it"
        )
        parser.link_arguments(
            "data.init_args.image_size",
            "model.init_args.backbone.init_args.image.init_args.image_size",
        )

    def after_fit(self) -> None:
        """Test in the same run when asked to."""
        if self._get(self.config, "then_test"):
            self.trainer.test(self.model, datamodule=self.datamodule)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: what follows the program's name; `sys.argv` unless given.
    """
    given = list(sys.argv[1:] if args is None else args)
    try:
        if given[:1] == ["data"]:
            data_modules.commands.main(given[1:])
        else:
            _run(given)
    except InputError as error:
        print(f"softmask: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _run(args: list[str]) -> None:
    SoftMaskCLI(
        TaskModule,
        ShardedData,
        trainer_class=L.Trainer,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=42,
        save_config_kwargs={"overwrite": True},
        load_from_checkpoint_support=False,
        args=args,
    )
