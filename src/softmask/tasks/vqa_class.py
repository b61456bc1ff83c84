"""Visual question answering as a choice among listed answers, without a decoder.

B questions of this rank, C answers in the list, D width.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from softmask.answers import read_answers
from softmask.backbone import Backbone
from softmask.batch import QuestionBatch
from softmask.checkpoint import CHECKPOINT_KEY, LISTED, listed_answers, read_content
from softmask.errors import InputError
from softmask.losses import distilled_answers
from softmask.metrics import agreement, comparable, normalise_answer
from softmask.nn import ClassHead
from softmask.optim import Optim
from softmask.ranking import Ranked, rank_classes
from softmask.renames import State
from softmask.tasks.objective import Distillation
from softmask.tasks.question import QuestionTask


class VqaClassTask(QuestionTask):
    """VQA by a head over C answers (3,129 in the field), trained towards their accuracies.

    An answer's target is the accuracy that it would have, 0.3, 0.6, 0.9 or 1 for one, two, three or
    more of ten people; the loss is binary cross-entropy (Teney et al., Tips and Tricks for VQA,
    CVPR 2018). Answers out of the list have no class: they are counted and, at the end of an epoch,
    named.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        answers: JSON file with the list of answers, one class each.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        init_from: weights to start from; see `TaskModule`.
    """

    head: ClassHead
    all_on_device = False  # targets are made of texts

    def __init__(
        self,
        backbone: Backbone,
        answers: str,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        init_from: str | None = None,
    ) -> None:
        head = ClassHead(backbone.text.width, len(read_answers(answers)))
        super().__init__(backbone, answers, optim, distillation, init_from, heads={"head": head})
        self.classes = {normalise_answer(text): place for place, text in enumerate(self.answers)}
        self.unlisted: Counter[str] = Counter()
        """Answers of this epoch's training data that are not in the list."""

    def adapt(self, state: State) -> State:
        """Give each answer the class that it had, where the weights are of another list.

        What the weights do not list keeps its fresh class. Weights that name no list, ALBEF's say,
        are taken as they are.
        """
        theirs = listed_answers(read_content(self.init_from, mmap=True)) if self.init_from else []
        if not theirs or theirs == self.answers:
            return state
        rows = {f"head.{n}": w for n, w in self.head.named_parameters() if n.startswith("2.")}
        fit = [n for n, w in rows.items() if n in state and state[n].shape[1:] == w.shape[1:]]
        if not fit:  # a decoder's, say, which has a list too
            return state
        had = {normalise_answer(text): place for place, text in enumerate(theirs)}
        kept = {own: had[text] for text, own in self.classes.items() if text in had}
        self.print(f"Of {len(self.answers)} answers {len(kept)} have a class in {self.init_from}.")
        return state | {n: _moved(rows[n], state[n], kept) for n in fit}

    def first_state(self, backbone: Backbone, batch: QuestionBatch) -> Tensor:
        """Fused states of first tokens, (B, D); the last layer computes no other."""
        mask = batch["attention_mask"]
        keys = backbone.project(backbone.image(batch["image"]))
        return backbone.match_state(backbone.text(batch["input_ids"], mask), mask, keys)

    def compute_loss(self, batch: QuestionBatch) -> Tensor:
        """Binary cross-entropy with the accuracies of the answers and with the twins' beliefs.

        Args:
            batch: questions with their answers.

        Returns:
            The loss, ().
        """
        logits = self.head(self.first_state(self.backbone, batch))
        taught = self.teach(batch) if self.distillation.alpha else None
        loss = distilled_answers(logits, self.targets(batch["answers"]), taught, self.alpha)
        self.log("train/alpha", self.alpha, batch_size=len(batch["key"]))
        return self.total({"answer": loss}, batch["key"])

    def teach(self, batch: QuestionBatch) -> Tensor:
        """The momentum twins' logits, (B, C)."""
        with self.teaching():
            logits: Tensor = self.momentum.twin["head"](self.first_state(self.teacher, batch))
        return logits

    def targets(self, answers: list[list[str]]) -> Tensor:
        """The accuracy of each class for each question, (B, C); what has no class is counted."""
        targets = torch.zeros(len(answers), len(self.answers))
        for row, theirs in enumerate(answers):
            for text, same in Counter(comparable(theirs)).items():
                place = self.classes.get(normalise_answer(text))
                if place is None:
                    self.unlisted[text] += same
                else:
                    targets[row, place] = agreement(same, len(theirs))
        return targets.to(self.device, non_blocking=True)

    def on_train_epoch_end(self) -> None:
        """Name the answers that had no class."""
        own = torch.tensor(self.unlisted.total(), device=self.device)
        count = int(self.sum_over_ranks(own))
        if self.unlisted:
            shown = ", ".join(f"{text!r} ({n})" for text, n in self.unlisted.most_common(5))
            rank_zero_warn(
                f"{count} answers of the training data are not in "
                f"{self.answers_path} and taught nothing, such as {shown}."
            )
        self.unlisted = Counter()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights whose classes are other answers, beside what every task refuses.

        Raises:
            InputError: names the first place where the lists differ.
        """
        super().on_load_checkpoint(checkpoint)
        theirs = checkpoint[CHECKPOINT_KEY].get(LISTED, self.answers)
        pairs = enumerate(zip(theirs, self.answers, strict=True))
        differ = [(n, *pair) for n, pair in pairs if pair[0] != pair[1]]
        if differ:
            place, trained, own = differ[0]
            raise InputError(
                f"The checkpoint given by --ckpt_path was trained with other answers than "
                f"{self.answers_path}: {len(differ)} of {len(theirs)} differ, and the first of "
                f"them, number {place}, is {trained!r} there and {own!r} here. Give the list that "
                f"it was trained with as model.init_args.answers."
            )

    @torch.no_grad()
    def rank(self, batch: QuestionBatch) -> Ranked:
        """All answers by their probability, each on its own."""
        return rank_classes(self.head(self.first_state(self.backbone, batch)))


def _moved(fresh: Tensor, trained: Tensor, kept: Mapping[int, int]) -> Tensor:
    """Trained rows at new places: row `kept[n]` at n; other rows are fresh."""
    moved = fresh.detach().clone()
    moved[list(kept)] = trained[list(kept.values())].to(moved)
    return moved
