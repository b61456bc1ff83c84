"""Captioning: a decoder writes what it sees in an image.

B images of this rank, T caption tokens, K beams, V word pieces.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import IGNORE, CaptionBatch, PairBatch
from softmask.captioning import caption_scores
from softmask.errors import InputError
from softmask.generation import Search, Written, write
from softmask.losses import distilled_cross_entropy
from softmask.nn import AnswerDecoder, ImageKeys
from softmask.optim import Optim
from softmask.renames import State, start_decoder
from softmask.rows import Rows
from softmask.tasks.evaluated import EvaluatedTask
from softmask.tokenizer import SHIPPED, load_tokenizer


class CaptionTask(EvaluatedTask):
    """Language modelling of captions: BLIP's loss (arXiv 2201.12086) on ALBEF's decoder.

    ALBEF has no captioning: this task is ours. The decoder is VQA's, but looks at the image's
    tokens: fusion layers made causal, so that a pretrained file starts all of it. Text encoder and
    fusion encoder have no part in it and rest.

    Args:
        backbone: the ViT; its other parts give the decoder its size.
        optim: AdamW and its schedule.
        search: how captions are written.
        init_from: weights to start from; the decoder starts from fusion layers, embeddings and
            word head of a pretrained file.
        tokenizer: of the captions; the data's.

    Raises:
        InputError: captions may be longer than the decoder's positions.
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
        super().__init__(backbone, optim, init_from)
        seen = backbone.fusion.image_width
        self.decoder = AnswerDecoder.like(backbone.text, backbone.fusion, seen)
        self.search = search or Search()
        self.tokenizer = load_tokenizer(tokenizer)
        self.start, self.end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        special = set(self.tokenizer.all_special_ids) - {self.end}
        self.register_buffer("never", torch.tensor(sorted(special)), persistent=False)
        self.rows = Rows()
        self._check_length()

    def frozen(self) -> list[nn.Module]:
        """What a caption does not need, beside what `optim.freeze` keeps as it is."""
        return [*super().frozen(), self.backbone.text, self.backbone.fusion]

    def adapt(self, state: State) -> State:
        """Make the decoder of a pretrained file's fusion layers, embeddings and word head."""
        return start_decoder(state)

    def compute_loss(self, batch: PairBatch) -> Tensor:
        """Write the captions.

        Args:
            batch: images with a caption each, which ends with [SEP].

        Returns:
            The loss, (): the mean over all tokens to write.
        """
        ids, mask = batch["input_ids"], batch["attention_mask"]
        states = self.decoder(ids[:, :-1], mask[:, :-1], self.see(batch["image"]))
        labels = ids.masked_fill(~mask, IGNORE)[:, 1:]
        count = self.mean_over_ranks(mask[:, 1:].sum())
        logits = self.decoder.logits(states).flatten(0, 1)
        loss = distilled_cross_entropy(logits, labels.flatten(), count=count)
        return self.total({"caption": loss}, batch["key"])

    def see(self, image: Tensor) -> ImageKeys:
        """What the decoder reads of images, (B, 3, H, W)."""
        return self.decoder.project(self.backbone.image(image))

    @torch.no_grad()
    def write(self, image: Tensor) -> Written:
        """Caption images, (B, 3, H, W)."""
        keys = self.see(image)

        def next_token(ids: Tensor) -> Tensor:
            # The K beams of an image follow each other: its keys need no copy.
            states = self.decoder(ids, torch.ones_like(ids, dtype=torch.bool), keys)
            return self.decoder.logits(states[:, -1])

        start = torch.full((len(image),), self.start, device=image.device)
        return write(next_token, start, end=self.end, search=self.search, never=self.never)

    def read(self, ids: Tensor) -> list[str]:
        """Token ids (B, T) as texts."""
        texts = (self.tokenizer.decode(row, skip_special_tokens=True) for row in ids.tolist())
        return [" ".join(str(text).split()) for text in texts]

    def validation_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        """Write and keep."""
        ids = self.write(batch["image"]).ids
        theirs = ["\n".join(" ".join(t.split()) for t in texts) for texts in batch["references"]]
        told = {"image": batch["image_name"], "references": theirs}
        self.rows.add(batch["position"], {"ids": ids}, told)

    def predict_step(self, batch: CaptionBatch, batch_idx: int) -> dict[str, Any]:
        """The caption of each image and its score, by sample key."""
        written = self.write(batch["image"])
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "image_id": [_number(name) for name in batch["image_name"]],
            "caption": self.read(written.ids),
            "score": written.score.tolist(),
        }

    def summary(self, corpus: str) -> str:
        """Scores of the last test, and what else can be scored."""
        hint = "" if "cider" in self.report else "\n  CIDEr needs pip install 'softmask[caption]'"
        return super().summary(corpus) + hint

    def evaluate(self, stage: str) -> None:
        """Score where captions are known; of a test, hand in all.

        Raises:
            InputError: an image is there twice, or none of a validation has a caption.
        """
        rows, told = self.rows.gather(self.gather), self.rows.gather_texts(self.gather)
        self.rows = Rows()
        said, images = self.read(rows["ids"]), told["image"]
        _check_images(images, stage)
        theirs = [text.split("\n") if text else [] for text in told["references"]]
        known = [row for row, texts in enumerate(theirs) if texts]
        self.report = {"images": len(said), "captioned": len(known)}
        if known:
            scores = caption_scores([said[row] for row in known], [theirs[row] for row in known])
            self.report |= scores
            self.log_dict({f"{stage}/{name}": value for name, value in scores.items()})
        if stage == "test":
            pairs = zip(images, said, strict=True)
            self.submission = [{"image_id": _number(k), "caption": v} for k, v in pairs]
        elif not known:
            raise InputError(
                f"None of the {len(said)} pictures of data.init_args.val has a caption, so nothing "
                f"can be scored: give data with captions, or train without validation data."
            )

    def _check_length(self) -> None:
        most = self.decoder.embeddings.position_embeddings.num_embeddings
        if self.search.max_tokens > most:
            raise InputError(
                f"search.max_tokens is {self.search.max_tokens}, but the backbone's "
                f"text.max_positions is {most}: give {most} at most."
            )


def _number(name: str) -> int | str:
    """COCO's images are numbers."""
    return int(name) if name.isdecimal() and str(int(name)) == name else name


def _check_images(images: Sequence[str], stage: str) -> None:
    again = [name for name, count in Counter(images).items() if count > 1]
    if again:
        raise InputError(
            f"{len(again)} pictures of data.init_args.{stage} are there more than once, the first "
            f"is {again[0]!r}: put all captions of a picture into one sample, as `softmask data "
            f"write` does."
        )
