"""Weakly supervised grounding: trained on expressions alone, judged by where maps point.

B samples of this rank, L words, H x W pixels of a picture.
"""

from typing import Any

import torch
from lightning.pytorch.trainer.states import RunningStage
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import GroundingBatch, WordBatch
from softmask.errors import InputError
from softmask.explain import look
from softmask.grounding import (
    best_box,
    enlarge,
    expression_maps,
    grounding_report,
    judge,
    sum_of_scaled,
    up_to_last,
)
from softmask.metrics import peak
from softmask.occlusion import attention_maps, occlusion_maps
from softmask.optim import Optim
from softmask.rows import Rows
from softmask.tables import grounding_table
from softmask.tasks.objective import Contrast, Pointing, SoftMasking
from softmask.tasks.retrieval import RetrievalTask
from softmask.tasks.soft import SoftMaskTask


class GroundingTask(RetrievalTask, SoftMaskTask):
    """Retrieval's losses on pictures and expressions; evaluation by the maps of the words.

    Nothing learns from boxes. The map of an expression is the mean Grad-CAM of its words, by the
    same function as pretraining's soft masks; or, with `pointing.hidden`, what hiding a place does
    to the match. ALBEF's recipe is that of `RetrievalTask`.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        contrast: focal ITC, twins and queue.
        soft_mask: `layer` is mapped, in evaluation too; a `weight` above 0 keeps pretraining's
            soft-masked matching in fine-tuning (ours; ALBEF has none).
        pointing: how maps are judged.
        init_from: weights to start from; see `TaskModule`.
        bert: name or folder of a BERT to start from; see `PretrainTask`.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        contrast: Contrast | None = None,
        soft_mask: SoftMasking = SoftMasking(weight=0.0),  # noqa: B008 (frozen)
        pointing: Pointing | None = None,
        init_from: str | None = None,
        bert: str | None = None,
    ) -> None:
        super().__init__(
            backbone, optim, contrast, soft_mask=soft_mask, init_from=init_from, bert=bert
        )
        self.pointing = pointing or Pointing()
        self.rows = Rows()

    def configure_model(self) -> None:
        """Refuse a layer whose maps of words are empty, beside what every task does."""
        super().configure_model()
        self.check_layer(words=self.soft_mask.weight > 0 or self.pointing.hidden is None)

    def compute_loss(self, batch: WordBatch) -> Tensor:  # type: ignore[override]
        """The loss of retrieval's fine-tuning, with soft masks when they are kept.

        Args:
            batch: pairs with words.

        Returns:
            The sum of the losses, ().
        """
        losses, seen, keys, negatives = self.pair_step(batch)
        if self.soft_mask.weight:
            with torch.no_grad():
                early = self.backbone.fusion(
                    seen.states, batch["attention_mask"], keys, stop=self.soft_mask.layer
                )
            losses["soft"] = self.soft_loss(self.soft_step(seen, early, keys, negatives, batch))
        return self.total(losses, batch["key"])

    def maps(self, batch: GroundingBatch) -> Tensor:
        """The maps of a batch's expressions, (B, rows, columns)."""
        if self.pointing.hidden is not None:
            return self._maps_by_hiding(batch, self.pointing.hidden)
        looked = look(
            self.backbone,
            self.matcher,
            self.soft_mask.layer,
            image=batch["image"],
            input_ids=batch["input_ids"],
            mask=batch["attention_mask"],
        )
        return expression_maps(looked.cam, batch["mapped"], self.backbone.image.grid)

    @torch.no_grad()
    def _maps_by_hiding(self, batch: GroundingBatch, around: int) -> Tensor:
        backbone, mapped = self.backbone, batch["mapped"]
        mask = batch["attention_mask"] & up_to_last(mapped)
        states, _ = backbone.encode_text(batch["input_ids"], mask)
        keys = backbone.project(backbone.image(batch["image"]))
        maps = occlusion_maps(
            backbone.fusion,
            self.matcher,
            states,
            mask,
            keys,
            grid=backbone.image.grid,
            around=around,
        )
        if not self.pointing.attended:
            return maps
        looks = expression_maps(
            attention_maps(backbone.fusion, states, mask, keys), mapped, backbone.image.grid
        )
        return sum_of_scaled(maps, looks)

    def forget(self) -> None:
        """Forget what was collected."""
        self.rows = Rows()

    def validation_step(self, batch: GroundingBatch, batch_idx: int) -> None:  # type: ignore[override]
        """Judge a batch's maps.

        Raises:
            InputError: a sample has no box.
        """
        self._check_boxes(batch)
        found = [
            judge(enlarge(patches, size), batch, row, self.pointing)
            for row, (patches, size) in enumerate(zip(self.maps(batch), batch["size"], strict=True))
        ]
        columns = {name: torch.stack([one[name] for one in found]) for name in found[0]}
        columns["image_id"] = batch["image_id"]
        self.rows.add(batch["position"], columns, {"split": batch["split"]})

    def predict_step(self, batch: GroundingBatch, batch_idx: int) -> dict[str, Any]:  # type: ignore[override]
        """Where each expression points, in pixels of the original; and its box, or null."""
        points, boxes = [], []
        for row, (patches, size) in enumerate(zip(self.maps(batch), batch["size"], strict=True)):
            saliency = enlarge(patches, size)
            box = best_box(saliency, batch["detections"][row], self.pointing.power)
            points.append(peak(saliency).tolist())
            boxes.append(box.tolist() if box.isfinite().all() else None)
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "expression": batch["caption"],
            "point": points,
            "box": boxes,
        }

    def summary(self, corpus: str) -> str:
        """The shares of the last test in percent, each part of the data in a line of its own."""
        return grounding_table(self.report, corpus)

    def evaluate(self, stage: str) -> None:
        """Shares of all expressions, and of each part of the data."""
        splits = self.rows.gather_texts(self.gather)["split"]
        self.report = grounding_report(self.rows.gather(self.gather), splits)
        self.rows = Rows()
        parts = {"": self.report, **self.report.get("splits", {})}
        for name, shares in parts.items():
            place = f"{stage}/{name}/" if name else f"{stage}/"
            self.log_dict({place + k: v for k, v in shares.items() if isinstance(v, float)})
        # What runs are compared by, whether there are boxes to choose from or not.
        best = self.report.get("iou_accuracy", self.report["pointing"])
        self.log(f"{stage}/grounding", best, prog_bar=True)

    def _check_boxes(self, batch: GroundingBatch) -> None:
        without = batch["box"].isnan().any(dim=1).tolist()
        if any(without):
            key = batch["key"][without.index(True)]
            doing = "validate" if self.trainer.state.stage != RunningStage.TESTING else "test"
            raise InputError(
                f"The sample {key!r} has no box, so there is nothing to {doing} its map by: write "
                f'"box" and "size" into its json (conf/data/refcoco.yaml says how), or `predict` '
                f"it; to train without validation set data.init_args.val to null."
            )
