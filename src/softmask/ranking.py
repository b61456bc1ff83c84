"""Answers of a list, ranked by how likely the decoder thinks them (ALBEF, section 4.2).

B questions, C answers in the list, K of them judged whole, L question tokens, T answer tokens,
V word pieces.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from softmask.captions import normalise
from softmask.nn import AnswerDecoder, ImageKeys
from softmask.tokenizer import PreTrainedTokenizerBase


class AnswerTokens(NamedTuple):
    """Answers as the decoder reads them: [CLS], word pieces, [SEP]."""

    ids: Tensor  # (C, T) int64
    mask: Tensor  # (C, T) bool, False on padding


class Ranked(NamedTuple):
    """The best answers of each question, the best first."""

    place: Tensor  # (B, K) in the list
    probability: Tensor  # (B, K) among the K; or of each on its own, see `rank_classes`


def tokenise(answers: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> AnswerTokens:
    """Cut answers into word pieces, normalised as those that are learnt; none loses a word."""
    texts = [normalise(answer, sys.maxsize) for answer in answers]
    cut = tokenizer(texts, add_special_tokens=False)["input_ids"]
    first, last = int(tokenizer.cls_token_id), int(tokenizer.sep_token_id)
    rows = [torch.tensor([first, *pieces, last]) for pieces in cut]
    ids = pad_sequence(rows, batch_first=True, padding_value=int(tokenizer.pad_token_id))
    lengths = torch.tensor([len(row) for row in rows])
    return AnswerTokens(ids, torch.arange(ids.shape[1]) < lengths[:, None])


def rank_classes(logits: Tensor) -> Ranked:
    """All C answers by their probability, each on its own: from logits (B, C)."""
    probability, place = logits.sigmoid().sort(dim=1, descending=True, stable=True)
    return Ranked(place, probability)


@torch.no_grad()
def rank_answers(
    decoder: AnswerDecoder,
    keys: ImageKeys,
    key_mask: Tensor,
    listed: AnswerTokens,
    *,
    k: int,
    double_first: bool = False,
    chunk: int = 2048,
) -> Ranked:
    """Choose K answers by their first word piece, and rank them by all of theirs.

    Args:
        decoder: predicts the next token.
        keys: of B questions, from `decoder.project`.
        key_mask: True on the questions' tokens, (B, L).
        listed: the list.
        k: K; at most C are ranked.
        double_first: count the first piece twice; see `Ranking`.
        chunk: most answers judged at once.
    """
    k = min(k, len(listed.ids))
    first = _first_piece(decoder, keys, key_mask, listed)
    # Of answers that begin alike the first in the list is taken, on every device.
    likely, chosen = (x[:, :k] for x in first.sort(dim=1, descending=True, stable=True))
    step = max(1, chunk // k)
    parts = torch.split(torch.arange(len(chosen), device=chosen.device), step)
    whole = torch.cat(
        [
            _log_likelihood(decoder, keys.pick(rows), key_mask[rows], listed, chosen[rows])
            for rows in parts
        ]
    )
    score = whole + likely if double_first else whole
    probability, order = score.softmax(dim=1).sort(dim=1, descending=True, stable=True)
    return Ranked(chosen.gather(1, order), probability)


def _first_piece(
    decoder: AnswerDecoder, keys: ImageKeys, key_mask: Tensor, listed: AnswerTokens
) -> Tensor:
    """Log-probability of each answer's first piece, (B, C), from [CLS] alone."""
    start = listed.ids[:1, :1].expand(len(key_mask), 1)
    states = decoder(start, torch.ones_like(start, dtype=torch.bool), keys, key_mask)
    log_p = decoder.logits(states[:, 0]).log_softmax(dim=1)  # float32
    return log_p.index_select(1, listed.ids[:, 1])


def _log_likelihood(
    decoder: AnswerDecoder,
    keys: ImageKeys,
    key_mask: Tensor,
    listed: AnswerTokens,
    chosen: Tensor,
) -> Tensor:
    """Log-probability of whole answers, (B, K), of those at `chosen`."""
    ids, mask = listed.ids[chosen.flatten()], listed.mask[chosen.flatten()]
    longest = int(mask.sum(dim=1).max())
    ids, mask = ids[:, :longest], mask[:, :longest]
    states = decoder(ids[:, :-1], mask[:, :-1], keys, key_mask)
    # Logits are the cost: most answers have one piece where the longest has many.
    real = mask[:, 1:]
    logits = decoder.logits(states[real])
    own = logits.gather(1, ids[:, 1:][real].unsqueeze(1)).squeeze(1)
    log_p = torch.zeros(real.shape, device=logits.device).masked_scatter(
        real, own - logits.logsumexp(dim=1)
    )
    return log_p.sum(dim=1).view_as(chosen)
