"""Tasks that match images with texts share their matching head and their retrieval evaluation."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import CaptionedBatch
from softmask.found import Found, found
from softmask.gallery import Gallery, Gathered
from softmask.metrics import chance_at_one, recall_at_k, recall_intervals
from softmask.nn import Matcher
from softmask.optim import Optim
from softmask.retrieval import contrastive_scores, judge, match_scores
from softmask.tables import recall_table
from softmask.tasks.objective import Distillation, Evaluation
from softmask.tasks.taught import TaughtTask
from softmask.weights import load_bert


class PairTask(TaughtTask):
    """Base of pretraining and retrieval: evaluates, and predicts the match of pairs.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        distillation: of the momentum twins.
        evaluation: retrieval on validation and test data.
        init_from: weights to start from; see `TaskModule`.
        bert: name or folder of a BERT to start from.
        heads: modules beside the backbone that have momentum twins too, by attribute name.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        evaluation: Evaluation | None = None,
        init_from: str | None = None,
        bert: str | None = None,
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__(backbone, optim, distillation, init_from, heads)
        self.evaluation = evaluation or Evaluation()
        self.matcher = Matcher(backbone.text.width)
        self.bert = bert
        self.gallery = Gallery()
        self.found: Found | None = None
        """Hits and misses of the last test, to be looked at."""

    def load_parts(self) -> None:
        """Start from BERT when asked to."""
        if self.bert:
            self.print(load_bert(self, self.bert).summary())
            self.loaded_weights()

    def forget(self) -> None:
        """Forget what was collected."""
        self.gallery = Gallery(self.global_rank, self.evaluation.half_tokens)

    def validation_step(self, batch: CaptionedBatch, batch_idx: int) -> None:
        """Encode images and texts once and keep what retrieval needs."""
        tokens, image = self.backbone.encode_image(batch["image"])
        states, text = self.backbone.encode_text(batch["input_ids"], batch["attention_mask"])
        self.gallery.add(batch, tokens, image, states, text)

    def predict_step(self, batch: CaptionedBatch, batch_idx: int) -> dict[str, Any]:
        """Cosine similarity and match probability of each image with each of its captions."""
        tokens, image = self.backbone.encode_image(batch["image"])
        mask, row = batch["attention_mask"], batch["image_row"]
        states, text = self.backbone.encode_text(batch["input_ids"], mask)
        own = torch.arange(len(image), device=row.device)[:, None] == row
        match = judge(
            self.backbone,
            lambda first: self.matcher(first).softmax(dim=1)[:, 1],
            dict(enumerate(tokens)),
            states,
            mask,
            own,
            chunk=self.evaluation.chunk,
        )
        return {
            "key": [batch["key"][r] for r in row.tolist()],
            "position": batch["position"][row].tolist(),
            "caption": batch["caption"],
            "similarity": (image[row] * text).sum(dim=1).tolist(),
            "match": match[row, torch.arange(len(row), device=row.device)].tolist(),
        }

    def summary(self, corpus: str) -> str:
        """The recalls of the last test in percent, beside chance."""
        return recall_table(self.report, corpus)

    def evaluate(self, stage: str) -> None:
        """Recall of both directions, contrastive and re-ranked, exact whatever the ranks."""
        gathered = self.gallery.gather(self.gather)
        self.gallery = Gallery()
        itc = contrastive_scores(gathered)
        scores = {"itc": (itc, itc.T)}
        if self.evaluation.k_test:
            scores["itm"] = match_scores(
                self.backbone, self.matcher, gathered, itc, self.evaluation, self.sum_over_ranks
            )
        correct = gathered.correct(self.evaluation.equal_captions)
        judged = {"k_test": self.evaluation.k_test, "half_tokens": self.evaluation.half_tokens}
        self.report = {**retrieval_report(gathered, scores, correct), **judged}
        if stage == "test":
            self.found = found(gathered, *scores["itm" if "itm" in scores else "itc"], correct)
        means = {}
        for name in scores:
            flat = {
                f"{stage}/{name}/{d}@{k[1:]}": v
                for d in ("i2t", "t2i")
                for k, v in self.report[name][d].items()
                if k != "interval"
            }
            means[name] = sum(flat.values()) / len(flat)
            self.log_dict(flat | {f"{stage}/{name}/mean": means[name]})
        self.log(f"{stage}/recall", means["itm" if "itm" in means else "itc"], prog_bar=True)


def retrieval_report(
    gathered: Gathered, scores: Mapping[str, tuple[Tensor, Tensor]], correct: Tensor
) -> dict[str, Any]:
    """What an evaluation found: recalls of both directions with their 95 % intervals.

    Args:
        gathered: encodings of all ranks.
        scores: image-to-text (I, T) and text-to-image (T, I), by name.
        correct: what answers what, (I, T).
    """
    report: dict[str, Any] = {
        "test_size": len(gathered.image),
        "captions": len(gathered.text),
        "chance_r1": chance_at_one(correct),
    }
    images = torch.arange(len(gathered.image), device=correct.device)
    for name, (i2t, t2i) in scores.items():
        queries = {"i2t": (i2t, correct, images), "t2i": (t2i, correct.T, gathered.text_image())}
        report[name] = {
            direction: {**recall_at_k(s, c), "interval": recall_intervals(s, c, unit)}
            for direction, (s, c, unit) in queries.items()
        }
    return report
