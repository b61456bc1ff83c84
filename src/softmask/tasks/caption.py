"""Captioning: a decoder writes what it sees in an image.

B images of this rank, N image tokens, T caption tokens, K beams, V word pieces.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import IGNORE, CaptionBatch
from softmask.captioning import caption_scores
from softmask.errors import InputError
from softmask.generation import Search, Written, write
from softmask.losses import distilled_cross_entropy
from softmask.nn import AnswerDecoder
from softmask.optim import Optim
from softmask.renames import State, start_decoder
from softmask.rows import Rows
from softmask.tasks.base import TaskModule
from softmask.tokenizer import SHIPPED, load_tokenizer


class CaptionTask(TaskModule):
    """Language modelling of captions (ours: ALBEF has no captioning; BLIP's loss, arXiv 2201.12086).

    The decoder is VQA's, but looks at the image's tokens: fusion layers made causal, so that a
    pretrained file starts all of it. The text encoder and the fusion encoder have no part in it.

    Args:
        backbone: the ViT; its other parts give the decoder its size, and rest.
        optim: AdamW and its schedule.
        search: how captions are written.
        init_from: weights to start from; the decoder starts from fusion layers, embeddings and
            word head of a pretrained file.
        tokenizer: of the captions; the data's.
    """

    never: Tensor

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        search: Search | None = None,
        init_from: str | None = None,
        tokenizer: str = SHIPPED,
    ) -> None:
        backbone.freeze_contrast()
        for part in (backbone.text, backbone.fusion):
            part.requires_grad_(False)
        super().__init__(backbone, optim, init_from)
        self.decoder = AnswerDecoder.like(
            backbone.text, backbone.fusion, backbone.fusion.image_width
        )
        self.search = search or Search()
        self.tokenizer = load_tokenizer(tokenizer)
        self.end = int(self.tokenizer.sep_token_id)
        special = set(self.tokenizer.all_special_ids) - {self.end}
        self.register_buffer("never", torch.tensor(sorted(special)), persistent=False)
        self.rows = Rows()
        _check_length(self.search, backbone)

    def adapt(self, state: State) -> State:
        """Make the decoder of a pretrained file's fusion layers, embeddings and word head."""
        return start_decoder(state)

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> Tensor:
        """Write the captions.

        Args:
            batch: images with a caption each, which ends with [SEP].
            batch_idx: not read: draws are seeded by `on_train_batch_start`.

        Returns:
            The loss, (): the mean over all tokens to write.
        """
        ids, mask = batch["input_ids"], batch["attention_mask"]
        keys = self.decoder.project(self.backbone.image(batch["image"]))
        logits = self.decoder.logits(self.decoder(ids[:, :-1], mask[:, :-1], keys))
        labels = ids.masked_fill(~mask, IGNORE)[:, 1:]
        count = mask[:, 1:].sum().float()
        if self.trainer.world_size > 1:
            count = self.sum_over_ranks(count) / self.trainer.world_size
        loss = distilled_cross_entropy(logits.flatten(0, 1), labels.flatten(), count=count)
        return self.total({"caption": loss}, batch["key"])

    @torch.no_grad()
    def write(self, batch: CaptionBatch) -> Written:
        """Caption images."""
        keys = self.decoder.project(self.backbone.image(batch["image"]))

        def next_token(ids: Tensor) -> Tensor:
            # The K beams of an image follow each other: its keys need no copy.
            states = self.decoder(ids, torch.ones_like(ids, dtype=torch.bool), keys)
            return self.decoder.logits(states[:, -1])

        start = batch["input_ids"][:, 0]
        return write(next_token, start, end=self.end, search=self.search, never=self.never)

    def read(self, ids: Tensor) -> list[str]:
        """Token ids (B, T) as texts."""
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def on_validation_epoch_start(self) -> None:
        """Forget what was collected."""
        self.rows = Rows()

    def validation_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        """Write and keep."""
        written = self.write(batch)
        theirs = ["\n".join(" ".join(t.split()) for t in texts) for texts in batch["references"]]
        told = {"image": batch["image_name"], "references": theirs}
        self.rows.add(batch["position"], {"ids": written.ids}, told)

    def on_validation_epoch_end(self) -> None:
        """Score what all ranks collected.

        Raises:
            InputError: no image has a caption.
        """
        self._evaluate("val")
        if not self.report["captioned"]:
            raise InputError(
                f"None of the {self.report['images']} pictures of data.init_args.val has a caption, "
                f"so nothing can be scored: give data with captions, or train without validation "
                f"data."
            )

    def on_test_epoch_start(self) -> None:
        """Forget what was collected."""
        self.rows = Rows()

    def test_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        """As in validation."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Score where captions are known; hand in all."""
        written = self._evaluate("test")
        self.submission = [{"image_id": _number(k), "caption": v} for k, v in written.items()]

    def predict_step(self, batch: CaptionBatch, batch_idx: int) -> dict[str, Any]:
        """The caption of each image and its score, by sample key."""
        ids, score = self.write(batch)
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "image_id": [_number(name) for name in batch["image_name"]],
            "caption": self.read(ids),
            "score": score.tolist(),
        }

    def summary(self, corpus: str) -> str:
        """Scores of the last test; says what else can be scored."""
        hint = "" if "cider" in self.report else "\n  CIDEr needs pip install 'softmask[caption]'"
        return super().summary(corpus) + hint

    def _evaluate(self, stage: str) -> dict[str, str]:
        """Score all captions; gives them by image."""
        rows, told = self.rows.gather(self.gather), self.rows.gather_texts(self.gather)
        self.rows = Rows()
        said, images = self.read(rows["ids"]), told["image"]
        _check_images(images, stage)
        theirs = [text.split("\n") if text else [] for text in told["references"]]
        pairs = [pair for pair in zip(said, theirs, strict=True) if pair[1]]
        self.report = {"images": len(said), "captioned": len(pairs)}
        if pairs:
            scores = caption_scores(*map(list, zip(*pairs, strict=True)))
            self.report |= scores
            self.log_dict({f"{stage}/{name}": value for name, value in scores.items()})
        return dict(zip(images, said, strict=True))


def _number(name: str) -> int | str:
    """COCO's images are numbers."""
    return int(name) if name.isdecimal() and str(int(name)) == name else name


def _check_images(images: list[str], stage: str) -> None:
    again = [name for name, count in Counter(images).items() if count > 1]
    if again:
        raise InputError(
            f"{len(again)} pictures of data.init_args.{stage} are there more than once, the first is "
            f"{again[0]!r}: put all captions of a picture into one sample, as `softmask data write` "
            f"does."
        )


def _check_length(search: Search, backbone: Backbone) -> None:
    most = backbone.text.bert.embeddings.position_embeddings.num_embeddings
    if search.max_tokens >= most:
        raise InputError(
            f"search.max_tokens is {search.max_tokens}, but the backbone's text.max_positions is "
            f"{most} and the start takes one: give {most - 1} at most."
        )
