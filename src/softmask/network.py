"""The weights of a model that is shared, and what they make of pictures and texts by the batch.

R texts, B images (texts come in runs of R / B that look at one image), I images, L tokens, E width
of features, K classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from numpy import stack
from torch import Tensor, nn

from softmask.batch import TRUTH
from softmask.batches import batches
from softmask.captions import Captions, Tokens
from softmask.config import AnswerConfig, ModelConfig
from softmask.errors import InputError
from softmask.judged import Judged
from softmask.nn import AnswerDecoder, ClassHead, ImageKeys, Matcher, WordHead
from softmask.pictures import Picture, read_picture, resize
from softmask.ranking import AnswerTokens, Ranked, rank_answers, rank_classes, tokenise
from softmask.tokenizer import SHIPPED, PreTrainedTokenizerBase, load_tokenizer


class Seen(NamedTuple):
    """Texts of a batch, and their images as the fusion layers read them."""

    ids: Tensor  # (R, L)
    mask: Tensor  # (R, L), True on tokens
    keys: ImageKeys  # of B images, or of B pairs of them
    feature: Tensor  # (B, E) in the shared space; of pairs (2 B, E)


class Network(nn.Module):
    """A backbone with its heads, all under the names that tasks give them.

    Args:
        config: sizes and options.
        tokenizer: BERT base uncased's unless given.
    """

    answer_ids: Tensor
    answer_mask: Tensor

    def __init__(
        self, config: ModelConfig, tokenizer: PreTrainedTokenizerBase | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = config.build()
        width, answers = config.text.width, config.answers
        self.matcher = Matcher(width) if config.matcher else None
        self.words = WordHead(width, config.text.vocab_size) if config.words else None
        self.head = ClassHead(width, len(config.classes)) if config.classes else None
        self.decoder: AnswerDecoder | None = None
        self.captions = Captions(tokenizer or load_tokenizer(SHIPPED), config.captions)
        self.captions.check(config.text.vocab_size, config.text.max_positions)
        if answers and not answers.classes:
            self.decoder = AnswerDecoder.like(self.backbone.text, self.backbone.fusion)
            listed = tokenise(answers.listed, self.captions.tokenizer)
            self.register_buffer("answer_ids", listed.ids, persistent=False)
            self.register_buffer("answer_mask", listed.mask, persistent=False)

    def seen(
        self, images: Sequence[tuple[Picture, ...]], texts: Sequence[str], batch_size: int
    ) -> Iterator[Seen]:
        """Texts with the one or two pictures of each, by batch; what is alone is encoded once."""
        alone = self._look(images) if len(images) == 1 else None
        for part in batches(range(len(texts)), batch_size):
            looked = alone or self._look([images[place] for place in part])
            yield Seen(*self.tokens([texts[place] for place in part]), *looked)

    def _look(self, images: Sequence[tuple[Picture, ...]]) -> tuple[ImageKeys, Tensor]:
        """Keys and features: all first pictures, then all second ones."""
        pictures = [picture for side in zip(*images, strict=True) for picture in side]
        tokens, features = self.backbone.encode_image(self.pixels(pictures))
        return self.backbone.project(tokens), features

    def judged(self, seen: Seen) -> Judged:
        """Match and cosine of each text with its image."""
        states, text = self.backbone.encode_text(seen.ids, seen.mask)
        logits: Tensor = self.matching()(self.backbone.match_state(states, seen.mask, seen.keys))
        return Judged(logits.softmax(dim=1)[:, 1], (seen.feature * text).sum(dim=1))

    def ranked(self, seen: Seen, answers: AnswerConfig) -> Ranked:
        """Places of the listed answers, the best first."""
        if answers.classes:
            return rank_classes(self._logits(seen))
        assert self.decoder is not None
        states = self.backbone.text(seen.ids, seen.mask)
        keys = self.decoder.project(self.backbone.fuse(states, seen.mask, seen.keys))
        listed = AnswerTokens(self.answer_ids, self.answer_mask)
        k, double = answers.ranked, answers.double_first
        return rank_answers(self.decoder, keys, seen.mask, listed, k=k, double_first=double)

    def truth(self, seen: Seen) -> Tensor:
        """Probability that each statement is true of its two images, (R,)."""
        return self._logits(seen).softmax(dim=1)[:, TRUTH.index("True")]

    def entailed(self, seen: Seen) -> Tensor:
        """Probabilities of contradiction, neutral and entailment, (R, 3)."""
        return self._logits(seen).softmax(dim=1)

    def _logits(self, seen: Seen) -> Tensor:
        """Of the fine-tuned task's classes, (R, K)."""
        assert self.head is not None
        states = self.backbone.text(seen.ids, seen.mask)
        logits: Tensor = self.head(self.backbone.match_state(states, seen.mask, seen.keys))
        return logits

    def matching(self) -> Matcher:
        """The matching head.

        Raises:
            InputError: the model was fine-tuned for a task without it.
        """
        if self.matcher is None:
            raise InputError(
                "This model was fine-tuned for a task of its own: it has no matching head, and its "
                "features no longer meet in one space. Embed, score, search and explain with a "
                "pretrained model, or one fine-tuned for retrieval."
            )
        return self.matcher

    def pixels(self, pictures: Sequence[Picture]) -> Tensor:
        """Resize as evaluation does and stack, (I, 3, H, W) uint8."""
        size = self.config.image.image_size
        squares = stack([resize(read_picture(picture), size) for picture in pictures])
        return torch.from_numpy(squares).permute(0, 3, 1, 2).to(self._device)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Ids and mask, both (R, L)."""
        ids, mask = self.captions.encode(texts)
        return Tokens(ids.to(self._device), mask.to(self._device))

    @property
    def _device(self) -> torch.device:
        return self.backbone.temperature.device


def untuned(does: str, tasks: str) -> InputError:
    """The refusal of a model that was fine-tuned for something else.

    Args:
        does: what it does not, after "this model".
        tasks: that would.
    """
    return InputError(
        f"This model {does}: give a run of {tasks}, or a folder that `softmask weights export` "
        f"made of one, or `softmask weights convert` of such a task's official file."
    )
