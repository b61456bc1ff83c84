"""Answers are ranked as by reading every one of them alone."""

import pytest
import tiny
import torch

from softmask.nn import AnswerDecoder
from softmask.ranking import AnswerTokens, rank_answers, tokenise
from softmask.tokenizer import load_tokenizer

COUNT = 9


@pytest.fixture(scope="module")
def decoder():
    return tiny.shake(AnswerDecoder.like(tiny.text_encoder(), tiny.fusion()), by=0.5)


@pytest.fixture(scope="module")
def listed():
    """[CLS] is 1, [SEP] is 2; some begin alike."""
    ids, mask = tiny.texts([2 + n % 3 for n in range(COUNT)], seed=4)
    ids[:, 0] = 1
    ids[:3, 1] = ids[0, 1]
    ids = torch.nn.functional.pad(ids, (0, 3))
    mask = torch.nn.functional.pad(mask, (0, 3))
    ids[torch.arange(COUNT), mask.sum(dim=1)] = 2
    mask[torch.arange(COUNT), mask.sum(dim=1)] = True
    return AnswerTokens(ids, mask)


@pytest.fixture(scope="module")
def asked():
    return tiny.draw(3, 5, tiny.WIDTH, dtype=torch.float32), torch.arange(5) < torch.tensor(
        [[5], [2], [4]]
    )


def plainly(decoder, listed, states, seen, k, double_first):
    """One question, one answer, one token at a time."""
    found = []
    for row, real in zip(states, seen, strict=True):
        keys = decoder.project(row[real][None])
        first, whole = [], []
        for ids, mask in zip(*listed, strict=True):
            ids, total = ids[mask].tolist(), 0.0
            for place in range(1, len(ids)):
                read = torch.tensor([ids[:place]])
                state = decoder(read, torch.ones_like(read, dtype=torch.bool), keys)[0, -1]
                log_p = decoder.logits(state).log_softmax(dim=0)[ids[place]].item()
                total += log_p
                if place == 1:
                    first.append(log_p)
            whole.append(total)
        chosen = sorted(range(COUNT), key=lambda n: -first[n])[:k]
        score = {n: whole[n] + double_first * first[n] for n in chosen}
        order = sorted(chosen, key=lambda n: -score[n])
        weights = torch.tensor([score[n] for n in order]).softmax(dim=0)
        found.append((order, weights))
    return found


@pytest.mark.parametrize("k", [1, 4, COUNT])
@pytest.mark.parametrize("double_first", [False, True])
@torch.no_grad()
def test_ranks_as_one_by_one(decoder, listed, asked, k, double_first):
    states, seen = asked
    ranked = rank_answers(
        decoder, decoder.project(states), seen, listed, k=k, double_first=double_first
    )
    expected = plainly(decoder, listed, states, seen, k, double_first)
    for row, (order, weights) in enumerate(expected):
        torch.testing.assert_close(ranked.probability[row], weights, rtol=1e-4, atol=1e-6)
        assert ranked.place[row].tolist() == order


@torch.no_grad()
def test_counting_twice_changes_the_order(decoder, listed, asked):
    states, seen = asked
    keys = decoder.project(states)
    once, twice = (
        rank_answers(decoder, keys, seen, listed, k=COUNT, double_first=d).place for d in (0, 1)
    )
    assert not torch.equal(once, twice)


@torch.no_grad()
def test_chunks_and_short_lists_change_nothing(decoder, listed, asked):
    states, seen = asked
    keys = decoder.project(states)
    whole = rank_answers(decoder, keys, seen, listed, k=COUNT)
    for chunk in (1, COUNT, 2 * COUNT):
        parts = rank_answers(decoder, keys, seen, listed, k=1000, chunk=chunk)
        assert torch.equal(parts.place, whole.place)
        torch.testing.assert_close(parts.probability, whole.probability)


def test_answers_begin_and_end():
    tokenizer = load_tokenizer()
    tokens = tokenise(["yes", "left hand side", "x-ray"], tokenizer)
    texts = [
        tokenizer.convert_ids_to_tokens(row[real].tolist())
        for row, real in zip(*tokens, strict=True)
    ]
    assert texts[0] == ["[CLS]", "yes", "[SEP]"]
    assert texts[1] == ["[CLS]", "left", "hand", "side", "[SEP]"]
    assert texts[2] == ["[CLS]", "x", "-", "ray", "[SEP]"]
    assert (tokens.ids[~tokens.mask] == tokenizer.pad_token_id).all()
