"""Evaluation over ranks equals one rank; the shortlist is judged exactly, the rest keeps order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny
import torch

from softmask.metrics import recall_at_k
from softmask.nn import Matcher
from softmask.retrieval import Gallery, Gathered, contrastive_scores, match_scores, shortlist
from softmask.tasks import Evaluation

# Pairs by place in the data set: images with one to three captions, two captions twice.
IMAGE = torch.tensor([0, 0, 10, 10, 10, 2, 30, 30, 4, 5, 6])
TEXT = torch.tensor([7, 1, 2, 3, 7, 4, 50, 6, 70, 8, 8])
LENGTHS = [3, 9, 4, 6, 5, 12, 8, 3, 4, 7, 5]
COUNT = len(IMAGE)
BACKBONE, MATCHER = tiny.backbone(), tiny.shake(Matcher(tiny.WIDTH), by=2.0)


def batch_of(rows):
    """The pairs at these places, padded to the longest of them alone."""
    ids, mask = tiny.texts(LENGTHS)
    longest = max(LENGTHS[row] for row in rows)
    places = torch.tensor(rows)
    return {
        "image": tiny.pixels(31)[IMAGE[places]],
        "input_ids": ids[places, :longest],
        "attention_mask": mask[places, :longest],
        "image_id": IMAGE[places],
        "text_id": TEXT[places],
        "position": places,
    }


class Ranks:
    """What a process group does, for threads that stand for ranks."""

    def __init__(self, world):
        self.world = world
        self.rows = [None] * world
        self.barrier = threading.Barrier(world, timeout=30)

    def gather(self, rank, rows):
        self.rows[rank] = rows
        self.barrier.wait()
        joined = torch.cat(self.rows)
        self.barrier.wait()
        return joined


@torch.no_grad()
def evaluate(ranks, rank, batch_size, evaluation):
    """One rank's whole evaluation: every W-th pair, the first ones again to fill up."""
    each = -(-COUNT // ranks.world)
    rows = [place % COUNT for place in range(rank, each * ranks.world, ranks.world)]
    gallery = Gallery()
    for start in range(0, len(rows), batch_size):
        batch = batch_of(rows[start : start + batch_size])
        tokens, image = BACKBONE.encode_image(batch["image"])
        states, text = BACKBONE.encode_text(batch["input_ids"], batch["attention_mask"])
        gallery.add(batch, tokens, image, states, text)
    gathered = gallery.gather(lambda x: ranks.gather(rank, x), ranks.world, rank)

    def add_up(value):
        return ranks.gather(rank, value[None]).sum(dim=0)

    itc = contrastive_scores(gathered)
    return gathered, match_scores(BACKBONE, MATCHER, gathered, itc, evaluation, add_up)


def on_ranks(world, batch_size=4, k_test=3, **given):
    ranks, evaluation = Ranks(world), Evaluation(k_test=k_test, **given)
    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(lambda r: evaluate(ranks, r, batch_size, evaluation), range(world)))


@pytest.fixture(scope="module")
def alone():
    return on_ranks(1)[0]


def test_every_pair_counts_once_in_order_of_its_place(alone):
    gathered, _ = alone
    assert gathered.text_id.tolist() == TEXT.tolist()
    assert gathered.text_image_id.tolist() == IMAGE.tolist()
    assert gathered.image_id.tolist() == [0, 10, 2, 30, 4, 5, 6]
    assert gathered.mask.sum(dim=1).tolist() == LENGTHS
    assert sorted(gathered.tokens) == list(range(7))


def test_encodings_stay_with_their_pair(alone):
    gathered, _ = alone
    with torch.no_grad():
        batch = batch_of(list(range(COUNT)))
        tokens, image = BACKBONE.encode_image(batch["image"])
        states, text = BACKBONE.encode_text(batch["input_ids"], batch["attention_mask"])
    first = [IMAGE.tolist().index(i) for i in gathered.image_id.tolist()]
    torch.testing.assert_close(gathered.text, text)
    torch.testing.assert_close(gathered.image, image[first])
    torch.testing.assert_close(gathered.states[gathered.mask], states[batch["attention_mask"]])
    for index, row in enumerate(first):
        torch.testing.assert_close(gathered.tokens[index], tokens[row])
    torch.testing.assert_close(contrastive_scores(gathered), image[first] @ text.T)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_together_equal_one(alone, world, batch_size):
    one = alone[0]
    everyone = on_ranks(world, batch_size)
    for gathered, scores in everyone:
        torch.testing.assert_close((gathered.image, gathered.text), (one.image, one.text))
        for name in ("image_id", "text_id", "text_image_id", "mask"):
            assert torch.equal(getattr(gathered, name), getattr(one, name)), name
        torch.testing.assert_close(gathered.states[gathered.mask], one.states[one.mask])
        assert torch.equal(gathered.correct(), one.correct())
        torch.testing.assert_close(scores, alone[1], rtol=1e-4, atol=1e-5)
    held = [(i, tokens) for gathered, _ in everyone for i, tokens in gathered.tokens.items()]
    assert sorted(i for i, _ in held) == list(range(7))
    for i, tokens in held:
        torch.testing.assert_close(tokens, one.tokens[i])


def test_correct_is_a_caption_of_the_image_or_its_equal(alone):
    gathered, _ = alone
    pairs = list(zip(IMAGE.tolist(), TEXT.tolist(), strict=True))
    expected = [[(i, t) in pairs for t in TEXT.tolist()] for i in gathered.image_id.tolist()]
    assert gathered.correct().tolist() == expected
    assert expected[0] == [place in (0, 1, 4) for place in range(COUNT)]


def test_five_captions_an_image_ranked_perfectly_are_one():
    text_image = torch.arange(4).repeat_interleave(5)
    gathered = Gathered(
        image=torch.eye(4) - 3,  # all cosines negative
        image_id=torch.arange(4),
        text=torch.eye(4)[text_image],
        text_id=torch.arange(20),
        text_image_id=text_image,
        states=torch.zeros(20, 1, 1),
        mask=torch.ones(20, 1).bool(),
        tokens={},
    )
    scores, correct = contrastive_scores(gathered), gathered.correct()
    assert correct.sum(dim=1).tolist() == [5] * 4
    assert recall_at_k(scores, correct)["r1"] == 1
    assert recall_at_k(scores.T, correct.T)["r1"] == 1


def test_shortlist_holds_the_best_of_each_query():
    scores = tiny.draw(3, 6)
    for k in (1, 4, 6, 99):
        best = [sorted(range(6), key=lambda c, row=row: -row[c])[:k] for row in scores.tolist()]
        expected = [[c in row for c in range(6)] for row in best]
        assert shortlist(scores, k).tolist() == expected


@torch.no_grad()
def judged(gathered):
    """The matching logit of every pair, one pair at a time."""
    logits = torch.empty(len(gathered.image), len(gathered.text))
    for i, tokens in gathered.tokens.items():
        keys = BACKBONE.project(tokens[None])
        for t in range(len(gathered.text)):
            fused = BACKBONE.fuse(gathered.states[[t]], gathered.mask[[t]], keys)
            logits[i, t] = MATCHER(fused[:, 0])[0, 1]
    return logits


@pytest.mark.parametrize("similarity", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_shortlists_are_judged_and_the_rest_keeps_its_order_below(alone, k, similarity):
    gathered, itc = alone[0], contrastive_scores(alone[0])
    expected = judged(gathered) + similarity * itc
    i2t, t2i = on_ranks(1, k_test=k, similarity=similarity)[0][1]
    for scores, full, cosine in ((i2t, expected, itc), (t2i, expected.T, itc.T)):
        listed = shortlist(cosine, k)
        torch.testing.assert_close(scores[listed], full[listed], rtol=1e-4, atol=1e-5)
        for row, known, query in zip(scores, listed, cosine, strict=True):
            rest = row[~known]
            assert (rest < row[known].min()).all()
            assert torch.equal(rest.argsort(), query[~known].argsort())


def test_close_cosines_keep_their_order_outside_the_shortlist(alone):
    gathered = alone[0]
    close = 0.9 - 1e-5 * torch.arange(COUNT).expand(7, -1).float()
    with torch.no_grad():
        i2t, _ = match_scores(BACKBONE, MATCHER, gathered, close, Evaluation(k_test=1), lambda x: x)
    assert (i2t[:, 1:].diff(dim=1) < 0).all()


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_do_not_change_the_scores(alone, chunk):
    for a, b in zip(on_ranks(1, chunk=chunk)[0][1], alone[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
