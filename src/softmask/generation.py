"""Texts written token by token: beam search, whose single beam is greedy search.

B texts, K beams of each, T tokens so far, V word pieces.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from softmask.errors import refuse_outside

NextToken = Callable[[Tensor], Tensor]
"""Tokens so far (B K, T), the K beams of a text in a run, to logits of the next one, (B K, V)."""


@dataclass(frozen=True)
class Search:
    """How texts are searched.

    Args:
        beams: K, texts kept at each token; 1 takes the likeliest token each time.
        max_tokens: most tokens of a text, its end counted.
        length_power: a text's log-probability is divided by its number of tokens to this power
            before texts are compared; 0 compares whole texts, which favours short ones.
    """

    beams: int = 3
    max_tokens: int = 30
    length_power: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        ranges = {"beams": (1, inf), "max_tokens": (1, inf), "length_power": (0, inf)}
        refuse_outside("search", vars(self), ranges)


class Written(NamedTuple):
    """The best text found of each."""

    ids: Tensor  # (B, max_tokens) without the start; `end` fills up
    score: Tensor  # (B,) log-probability over length to the power


@torch.no_grad()
def write(
    next_token: NextToken,
    start: Tensor,
    *,
    end: int,
    search: Search,
    never: Tensor | None = None,
) -> Written:
    """Find likely texts.

    A text ends with `end`, or with `max_tokens` tokens. At each token the K likeliest continuations
    of all beams of a text are kept; those that end leave the race with their score.

    Args:
        next_token: the model.
        start: first token of each text, (B,).
        end: token that ends a text.
        search: its settings.
        never: tokens that are not written, such as padding, (N,).

    Returns:
        The best text of each.
    """
    count, beams = len(start), search.beams
    ids = start.repeat_interleave(beams)[:, None]
    # All beams begin alike: one of them is enough.
    score = torch.full((count, beams), -inf, device=start.device)
    score[:, 0] = 0.0
    best = Written(
        torch.full((count, search.max_tokens), end, device=start.device),
        torch.full((count,), -inf, device=start.device),
    )
    for length in range(1, search.max_tokens + 1):
        log_p = next_token(ids).float().log_softmax(dim=-1)  # float32
        if never is not None:
            log_p[:, never] = -inf
        vocabulary = log_p.shape[1]
        total = (score.view(-1, 1) + log_p).view(count, -1)
        score, place = total.topk(beams, dim=1)
        parent, token = place // vocabulary, place % vocabulary
        ids = torch.cat([_rows(ids, parent), token.flatten()[:, None]], dim=1)
        ended = (token == end) | (length == search.max_tokens)
        best = _better(best, ids[:, 1:], score.masked_fill(~ended, -inf), length, search)
        score = score.masked_fill(ended, -inf)
        # No token raises a probability: what is left can at most be divided by more.
        hope = score.amax(dim=1) / search.max_tokens**search.length_power
        if bool((hope <= best.score).all()):
            break
    return best


def _rows(ids: Tensor, parent: Tensor) -> Tensor:
    """Tokens of the beams that go on: (B K, T) at parents (B, K)."""
    count, beams = parent.shape
    first = torch.arange(count, device=ids.device)[:, None] * (len(ids) // count)
    return ids[(first + parent).flatten()].view(count * beams, -1)


def _better(best: Written, ids: Tensor, score: Tensor, length: int, search: Search) -> Written:
    """The best so far, or one of those that end now: ids (B K, T) with scores (B, K)."""
    count, beams = score.shape
    top, place = (score / length**search.length_power).max(dim=1)
    chosen = ids[torch.arange(count, device=ids.device) * beams + place]
    full = best.ids.clone()
    full[:, :length] = chosen
    wins = top > best.score
    return Written(torch.where(wins[:, None], full, best.ids), torch.where(wins, top, best.score))
