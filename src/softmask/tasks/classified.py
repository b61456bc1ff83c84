"""Evaluation of all tasks that choose among classes.

B samples of this rank, K classes.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from softmask.batch import IGNORE, ImageTextBatch
from softmask.errors import InputError
from softmask.metrics import accuracy, class_accuracies, majority
from softmask.rows import Rows
from softmask.tables import class_table
from softmask.tasks.evaluated import EvaluatedTask


class ClassifiedTask(EvaluatedTask):
    """Scores classes of samples, each counted once whatever the ranks."""

    classes: tuple[str, ...]
    """Names of the K classes."""

    @abstractmethod
    def judge(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Logits (B, K), and labels (B,) that are IGNORE where they are not known."""

    def columns(self, batch: Any) -> dict[str, Tensor]:
        """What else of a batch the scores need, by name, each (B, ...)."""
        return {}

    def texts(self, batch: Any) -> dict[str, list[str]]:
        """Texts of a batch that `check` may gather, by name, B each."""
        return {}

    def check(self, rows: Mapping[str, Tensor], stage: str) -> None:
        """Refuse what cannot be scored, before it is.

        Args:
            rows: of all samples.
            stage: `val` or `test`.

        Raises:
            InputError: no label is known.
        """
        if (rows["label"] == IGNORE).all():
            raise InputError(
                f"None of the {len(rows['label'])} samples of data.init_args.{stage} has a known "
                f"label, so nothing can be scored: give labelled data, or write predictions with "
                f"`softmask predict`."
            )

    def score(self, rows: Mapping[str, Tensor]) -> dict[str, Any]:
        """Scores of an evaluation.

        Args:
            rows: `predicted`, `label` and what `columns` gave, of samples with a known label.

        Returns:
            `accuracy`, `majority`, `per_class` and more, by name.
        """
        predicted, label = rows["predicted"], rows["label"]
        shares = class_accuracies(predicted, label, len(self.classes))
        return {
            "accuracy": accuracy(predicted, label),
            "majority": majority(label),
            "per_class": dict(zip(self.classes, shares, strict=True)),
        }

    def validation_step(self, batch: ImageTextBatch, batch_idx: int) -> None:
        """Classify and keep."""
        logits, label = self.judge(batch)
        kept = {"predicted": logits.argmax(dim=1), "label": label, **self.columns(batch)}
        self.rows.add(batch["position"], kept, self.texts(batch))

    def summary(self, corpus: str) -> str:
        """Accuracies of the last test in percent."""
        return class_table(self.report, f"{type(self).__name__} on {corpus}")

    def probabilities(self, logits: Tensor) -> list[dict[str, float]]:
        """Logits (B, K) as probabilities by class."""
        rows = logits.softmax(dim=1).tolist()
        return [dict(zip(self.classes, row, strict=True)) for row in rows]

    def evaluate(self, stage: str) -> None:
        """Score samples with a known label."""
        rows = self.rows.gather(self.gather)
        self.check(rows, stage)
        known = rows["label"] != IGNORE
        scored = self.score({name: row[known] for name, row in rows.items()})
        self.report = {**scored, "count": int(known.sum()), "unknown": int((~known).sum())}
        self.log_dict({f"{stage}/{k}": v for k, v in scored.items() if isinstance(v, float)})
        self.rows = Rows()
