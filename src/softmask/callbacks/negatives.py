"""Hard negatives of a step, as pictures."""

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.batch import PairBatch
from softmask.callbacks.drawing import Shown, put
from softmask.grids import Opposed, doubt, negatives_grid, said_of_negatives
from softmask.panels import Pixels
from softmask.tasks import ContrastTask


class NegativePanels(Callback):
    """Draws hard negatives of the last step before each validation, and of a training's last one.

    Beside each picture and caption stand the text and the picture that they were told from, with
    the probabilities that these match; those that may match in truth are red. TensorBoard has them
    as `negatives/train`.

    Args:
        samples: how many pairs of the first rank's batch; 0 draws none.
    """

    def __init__(self, samples: int = 6) -> None:
        self.samples = samples
        self._batch: PairBatch | None = None

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the batch."""
        if self.samples and isinstance(pl_module, ContrastTask):
            self._batch = batch

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw."""
        self._show(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, unless a validation has just been here."""
        self._show(trainer, pl_module)

    def _show(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        batch, self._batch = self._batch, None
        if batch is None or not trainer.is_global_zero or not isinstance(task, ContrastTask):
            return
        rows = opposed(task, batch, self.samples)
        if rows:
            put(trainer, "negatives/train", Shown(negatives_grid(rows), said_of_negatives(rows)))


def opposed(task: ContrastTask, batch: PairBatch, count: int) -> list[Opposed]:
    """The first pairs of a batch with the negatives that the task's last step drew for them."""
    if task.judged is None:
        return []
    negatives, logits = task.judged
    pairs, texts, images = logits.float().softmax(dim=1)[:, 1].view(3, -1).tolist()
    text, image = negatives.text.tolist(), negatives.image.tolist()
    return [
        Opposed(
            _pixels(batch, i),
            batch["caption"][i],
            pairs[i],
            batch["caption"][text[i]],
            texts[i],
            _doubt(batch, i, text[i], texts[i]),
            _pixels(batch, image[i]),
            batch["caption"][image[i]],
            images[i],
            _doubt(batch, i, image[i], images[i]),
        )
        for i in range(min(count, len(pairs)))
    ]


def _doubt(batch: PairBatch, one: int, other: int, match: float) -> str:
    image_id, caption = batch["image_id"], batch["caption"]
    return doubt(
        match,
        same_picture=bool(image_id[one] == image_id[other]),
        same_caption=caption[one] == caption[other],
    )


def _pixels(batch: PairBatch, row: int) -> Pixels:
    pixels: Pixels = batch["image"][row].permute(1, 2, 0).cpu().numpy()
    return pixels
