"""What all ways to answer questions share: the fused question, the list of answers, the scores.

B questions of this rank, C answers in the list, K of them ranked, L question tokens, D width.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from softmask.answers import Asked, answer_scores, read_answers
from softmask.backbone import Backbone
from softmask.batch import QuestionBatch
from softmask.checkpoint import CHECKPOINT_KEY, LISTED
from softmask.errors import InputError
from softmask.optim import Optim
from softmask.ranking import Ranked
from softmask.rows import Rows
from softmask.tables import question_table
from softmask.tasks.objective import Distillation
from softmask.tasks.taught import TaughtTask


class QuestionTask(TaughtTask):
    """Base of visual question answering.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        answers: JSON file with a list of the C answers to choose from; `softmask data answers`
            makes one.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        init_from: weights to start from; see `TaskModule`.
        heads: modules beside the backbone that have momentum twins too, by attribute name.

    Raises:
        InputError: the list cannot be used.
    """

    def __init__(
        self,
        backbone: Backbone,
        answers: str,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        init_from: str | None = None,
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        backbone.freeze_contrast()
        super().__init__(backbone, optim, distillation, init_from, heads)
        self.answers_path = answers
        self.answers = read_answers(answers)
        self.rows = Rows()

    @abstractmethod
    def rank(self, batch: QuestionBatch) -> Ranked:
        """Find the best of the listed answers to each question."""

    def fused(self, backbone: Backbone, batch: QuestionBatch) -> Tensor:
        """Questions that have seen their images, (B, L, D)."""
        mask = batch["attention_mask"]
        keys = backbone.project(backbone.image(batch["image"]))
        return backbone.fuse(backbone.text(batch["input_ids"], mask), mask, keys)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the list with the weights: a model that is shared needs it."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[CHECKPOINT_KEY][LISTED] = self.answers

    def validation_step(self, batch: QuestionBatch, batch_idx: int) -> None:
        """Answer and keep."""
        chosen = self.rank(batch).place[:, 0]
        texts = {
            "theirs": [json.dumps(answers) for answers in batch["answers"]],
            "type": batch["question_type"],
            "answer_type": batch["answer_type"],
        }
        columns = {"question_id": batch["question_id"], "answer": chosen}
        self.rows.add(batch["position"], columns, texts)

    def predict_step(self, batch: QuestionBatch, batch_idx: int) -> dict[str, Any]:
        """The best answer to each question and its probability, by sample key."""
        ranked = self.rank(batch)
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "question_id": batch["question_id"].tolist(),
            "question": batch["question"],
            "answer": [self.answers[place] for place in ranked.place[:, 0].tolist()],
            "probability": ranked.probability[:, 0].tolist(),
        }

    def summary(self, corpus: str) -> str:
        """Accuracies of the last test in percent."""
        return question_table(self.report, f"{type(self).__name__} on {corpus}")

    def evaluate(self, stage: str) -> None:
        """Score where answers are known; of a test, hand in all.

        Raises:
            InputError: a question is there twice, or no answer of a validation is known.
        """
        rows, texts = self.rows.gather(self.gather), self.rows.gather_texts(self.gather)
        self._check(rows, stage)
        said = [self.answers[place] for place in rows["answer"].tolist()]
        theirs = map(json.loads, texts["theirs"])
        asked = map(Asked, said, theirs, texts["type"], texts["answer_type"])
        self.report = answer_scores([*asked])
        names = ("accuracy", "majority")
        self.log_dict({f"{stage}/{k}": self.report[k] for k in names if k in self.report})
        self.rows = Rows()
        if stage == "test":
            pairs = zip(rows["question_id"].tolist(), said, strict=True)
            self.submission = [{"question_id": n, "answer": answer} for n, answer in pairs]
        elif "accuracy" not in self.report:
            raise InputError(
                f"None of the {self.report['questions']} questions of data.init_args.val has "
                f"answers, so nothing can be scored: give data with answers, or train without "
                f"validation data."
            )

    def _check(self, rows: Mapping[str, Tensor], stage: str) -> None:
        ids, counts = torch.unique(rows["question_id"], return_counts=True)
        twice = ids[counts > 1]
        if len(twice):
            places = rows["position"][rows["question_id"] == twice[0]].tolist()
            raise InputError(
                f"{len(twice)} question ids of data.init_args.{stage} are there more than once: "
                f"{int(twice[0])} at the places {', '.join(map(str, places[:5]))}. Evaluation "
                f"counts each question once: remove the copies, or give them other ids."
            )
