"""Beam search against exhaustive search and a plain loop, on random language models."""

from itertools import product

import pytest
import torch

from softmask.errors import InputError
from softmask.generation import Search, write

VOCAB, END, START = 4, 0, 3


class Model:
    """Logits that depend on the text's number and on all tokens so far."""

    def __init__(self, count, seed=0):
        self.count, self.seed, self.asked = count, seed, 0

    def row(self, text, tokens):
        number = hash((text, *tokens)) % 2**31 + self.seed
        return torch.randn(VOCAB, generator=torch.Generator().manual_seed(number)) * 1.5

    def __call__(self, ids):
        self.asked += 1
        beams = len(ids) // self.count
        return torch.stack([self.row(n // beams, tuple(t)) for n, t in enumerate(ids.tolist())])

    def log_p(self, text, tokens):
        """Of tokens after the start."""
        total = 0.0
        for place, token in enumerate(tokens):
            logits = self.row(text, (START, *tokens[:place]))
            total += float(logits.log_softmax(0)[token])
        return total


def found(model, search, **options):
    start = torch.full((model.count,), START)
    written = write(model, start, end=END, search=search, **options)
    return [trimmed(row) for row in written.ids.tolist()], written.score.tolist()


def trimmed(row):
    """Without what fills up after the first end."""
    return tuple(row[: row.index(END) + 1]) if END in row else tuple(row)


def all_texts(longest):
    words = [token for token in range(VOCAB) if token != END]
    for length in range(longest):
        yield from ((*body, END) for body in product(words, repeat=length))
    yield from product(words, repeat=longest)  # broken off


@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_enough_beams_find_what_exhaustive_search_finds(power, seed):
    model, longest = Model(3, seed), 4
    search = Search(beams=VOCAB**longest, max_tokens=longest, length_power=power)
    texts, scores = found(model, search)
    for text in range(3):
        best = max(all_texts(longest), key=lambda t: model.log_p(text, t) / len(t) ** power)
        assert texts[text] == best
        assert abs(scores[text] - model.log_p(text, best) / len(best) ** power) < 1e-4


def plain_beams(model, text, search):
    """The same by lists: of all continuations the likeliest stay, and those that end leave."""
    alive, done = [((), 0.0)], []
    for length in range(1, search.max_tokens + 1):
        grown = [
            ((*tokens, token), model.log_p(text, (*tokens, token)))
            for tokens, _ in alive
            for token in range(VOCAB)
        ]
        kept = sorted(grown, key=lambda one: -one[1])[: search.beams]
        last = length == search.max_tokens
        done += [one for one in kept if last or one[0][-1] == END]
        alive = [one for one in kept if not last and one[0][-1] != END]
    return max(done, key=lambda one: one[1] / len(one[0]) ** search.length_power)[0]


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("power", [0.0, 1.0])
def test_beams_are_those_of_a_plain_loop(beams, power):
    model = Model(8, seed=5)
    search = Search(beams=beams, max_tokens=6, length_power=power)
    texts, scores = found(model, search)
    assert texts == [plain_beams(model, text, search) for text in range(8)]
    for text, tokens in enumerate(texts):
        assert abs(scores[text] - model.log_p(text, tokens) / len(tokens) ** power) < 1e-4


def test_one_beam_takes_the_likeliest_token_each_time():
    model = Model(6, seed=9)
    texts, _ = found(model, Search(beams=1, max_tokens=5))
    for text in range(6):
        tokens = ()
        while len(tokens) < 5 and END not in tokens:
            tokens += (int(model.row(text, (START, *tokens)).argmax()),)
        assert texts[text] == tokens
    assert len({len(text) for text in texts}) > 1


def test_beams_matter_and_forbidden_tokens_stay_away():
    model = Model(12, seed=2)
    greedy, beams = (found(model, Search(beams=n, max_tokens=6, length_power=0)) for n in (1, 3))
    assert any(a < b - 1e-6 for a, b in zip(greedy[1], beams[1], strict=True))
    texts, _ = found(model, Search(beams=2, max_tokens=6), never=torch.tensor([1, START]))
    assert {token for text in texts for token in text} <= {END, 2}


def test_the_search_ends_when_nothing_better_can_come():
    class Sure(Model):
        def __call__(self, ids):
            self.asked += 1
            logits = torch.full((len(ids), VOCAB), -20.0)
            logits[:, END] = 20.0
            return logits

    model = Sure(2)
    texts, _ = found(model, Search(beams=3, max_tokens=30, length_power=0))
    assert texts == [(END,)] * 2
    assert model.asked == 1


@pytest.mark.parametrize("name", ["beams", "max_tokens", "length_power"])
def test_settings_that_cannot_work_are_refused(name):
    with pytest.raises(InputError, match=rf"search\.{name} is -1"):
        Search(**{name: -1})
