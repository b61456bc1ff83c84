"""Tasks that match images with texts share their matching head and their retrieval evaluation."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import PairBatch
from softmask.metrics import chance_at_one, recall_at_k
from softmask.nn import Matcher
from softmask.optim import Optim
from softmask.retrieval import Gallery, contrastive_scores, match_scores
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

    def setup(self, stage: str) -> None:
        """Start from BERT, then from `init_from`, when asked to."""
        if self.bert and stage == "fit" and self.trainer.ckpt_path is None:
            self.print(load_bert(self, self.bert).summary())
            self.loaded_weights()
        super().setup(stage)

    def on_validation_epoch_start(self) -> None:
        """Forget what was collected."""
        self.gallery = Gallery()

    def validation_step(self, batch: PairBatch, batch_idx: int) -> None:
        """Encode and keep what retrieval needs."""
        tokens, image = self.backbone.encode_image(batch["image"])
        states, text = self.backbone.encode_text(batch["input_ids"], batch["attention_mask"])
        self.gallery.add(batch, tokens, image, states, text)

    def on_validation_epoch_end(self) -> None:
        """Recall of both directions, contrastive and re-ranked, exact whatever the ranks."""
        self._evaluate("val")

    def on_test_epoch_start(self) -> None:
        """Forget what was collected."""
        self.gallery = Gallery()

    def test_step(self, batch: PairBatch, batch_idx: int) -> None:
        """As in validation."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """As in validation, on the test data."""
        self._evaluate("test")

    def predict_step(self, batch: PairBatch, batch_idx: int) -> dict[str, Any]:
        """Cosine similarity and match probability of each pair, by sample key."""
        tokens, image = self.backbone.encode_image(batch["image"])
        mask = batch["attention_mask"]
        states, text = self.backbone.encode_text(batch["input_ids"], mask)
        keys = self.backbone.project(tokens)
        logits: Tensor = self.matcher(self.backbone.match_state(states, mask, keys))
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "caption": batch["caption"],
            "similarity": (image * text).sum(dim=1).tolist(),
            "match": logits.softmax(dim=1)[:, 1].tolist(),
        }

    def summary(self, corpus: str) -> str:
        """The recalls of the last test in percent, beside chance."""
        return recall_table(self.report, corpus)

    def _evaluate(self, stage: str) -> None:
        gathered = self.gallery.gather(self.gather, self.trainer.world_size, self.global_rank)
        itc = contrastive_scores(gathered)
        correct = gathered.correct()
        scores = {"itc": (itc, itc.T)}
        if self.evaluation.k_test:
            scores["itm"] = match_scores(
                self.backbone, self.matcher, gathered, itc, self.evaluation, self.sum_over_ranks
            )
        self.report = {"test_size": len(itc), "chance_r1": chance_at_one(correct)}
        for name, (i2t, t2i) in scores.items():
            both = {"i2t": recall_at_k(i2t, correct), "t2i": recall_at_k(t2i, correct.T)}
            self.report[name] = both
            flat = {f"{stage}/{name}/{d}@{k[1:]}": v for d, r in both.items() for k, v in r.items()}
            self.log_dict(flat | {f"{stage}/{name}/mean": sum(flat.values()) / len(flat)})
        best = "itm" if "itm" in scores else "itc"
        mean = sum(v for r in self.report[best].values() for v in r.values()) / 6
        self.log(f"{stage}/recall", mean, prog_bar=True)
        self.gallery = Gallery()
