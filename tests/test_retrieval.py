"""Evaluation over ranks equals one rank; the shortlist is judged exactly, the rest keeps order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny
import torch

from softmask.errors import InputError
from softmask.gallery import Gallery, Gathered
from softmask.metrics import recall_at_k
from softmask.nn import Matcher
from softmask.retrieval import alike, contrastive_scores, match_scores, shortlist
from softmask.tasks import Evaluation

# Samples by place in the data set: the image of each and how many captions it brings. Images 0, 10
# and 30 come in several samples, as in tables of pairs.
IMAGE = torch.tensor([0, 0, 10, 10, 2, 30, 4, 5, 30, 6])
SAMPLE_ID = IMAGE
CAPTIONS = torch.tensor([1, 2, 1, 3, 1, 1, 5, 1, 1, 2])
# By text: two captions twice.
TEXT_ID = torch.tensor([7, 1, 2, 3, 7, 9, 10, 4, 50, 6, 70, 8, 11, 12, 13, 14, 15, 16])
LENGTHS = [3, 9, 4, 6, 5, 12, 8, 3, 4, 7, 5, 6, 3, 4, 8, 9, 3, 5]
COUNT, TEXTS = len(IMAGE), len(TEXT_ID)
SAMPLE = torch.arange(COUNT).repeat_interleave(CAPTIONS)  # of each text
BACKBONE, MATCHER = tiny.backbone(), tiny.shake(Matcher(tiny.WIDTH), by=2.0)


def batch_of(places):
    """The samples at these places, texts padded to the longest of them alone."""
    ids, mask = tiny.texts(LENGTHS)
    texts = torch.cat([(place == SAMPLE).nonzero().squeeze(1) for place in places])
    longest = max(LENGTHS[text] for text in texts.tolist())
    places = torch.tensor(places)
    return {
        "image": tiny.pixels(31)[IMAGE[places]],
        "input_ids": ids[texts, :longest],
        "attention_mask": mask[texts, :longest],
        "image_row": torch.arange(len(places)).repeat_interleave(CAPTIONS[places]),
        "image_id": SAMPLE_ID[places],
        "text_id": TEXT_ID[texts],
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
        assert len({given.shape for given in self.rows}) == 1, "as all_gather wants it"
        joined = torch.cat(self.rows)
        self.barrier.wait()
        return joined


@torch.no_grad()
def evaluate(ranks, rank, batch_size, evaluation):
    """One rank's whole evaluation: every W-th sample, the first ones again to fill up."""
    each = -(-COUNT // ranks.world)
    rows = [place % COUNT for place in range(rank, each * ranks.world, ranks.world)]
    gallery = Gallery(rank, evaluation.half_tokens)
    for start in range(0, len(rows), batch_size):
        batch = batch_of(rows[start : start + batch_size])
        tokens, image = BACKBONE.encode_image(batch["image"])
        states, text = BACKBONE.encode_text(batch["input_ids"], batch["attention_mask"])
        gallery.add(batch, tokens, image, states, text)
    gathered = gallery.gather(lambda x: ranks.gather(rank, x))

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


def test_every_image_and_text_counts_once_in_order_of_its_place(alone):
    gathered, _ = alone
    assert gathered.text_id.tolist() == TEXT_ID.tolist()
    assert gathered.text_image_id.tolist() == IMAGE[SAMPLE].tolist()
    assert gathered.image_id.tolist() == [0, 10, 2, 30, 4, 5, 6]
    assert gathered.mask.sum(dim=1).tolist() == LENGTHS
    assert sorted(gathered.tokens) == list(range(7))
    found = gathered.image_id[gathered.text_image()]
    assert found.tolist() == gathered.text_image_id.tolist()


@pytest.mark.parametrize("world", [1, 2])
def test_two_pictures_of_one_id_are_refused_by_their_places(monkeypatch, world):
    monkeypatch.setattr(f"{__name__}.SAMPLE_ID", torch.where(IMAGE == 5, 2, IMAGE))
    with pytest.raises(InputError, match=r"1 samples have .* is sample 7 .* has that of sample 4:"):
        on_ranks(world)


def test_encodings_stay_with_their_sample(alone):
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
@pytest.mark.parametrize("world", [2, 3, 13])
def test_ranks_together_equal_one(alone, world, batch_size):
    """Uneven numbers of texts, and at 13 ranks places that two of them hold."""
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
    pairs = list(zip(IMAGE[SAMPLE].tolist(), TEXT_ID.tolist(), strict=True))
    ids = gathered.image_id.tolist()
    expected = [[(i, t) in pairs for t in TEXT_ID.tolist()] for i in ids]
    assert gathered.correct().tolist() == expected
    assert expected[0] == [place in (0, 1, 2, 4) for place in range(TEXTS)]
    own = [[i == of for of, _ in pairs] for i in ids]
    assert gathered.correct(equal_captions=False).tolist() == own != expected


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
        image_place=torch.arange(4),
        text_place=torch.stack([text_image, torch.arange(20) % 5], dim=1),
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
    close = 0.9 - 1e-5 * torch.arange(TEXTS).expand(7, -1).float()
    with torch.no_grad():
        i2t, _ = match_scores(BACKBONE, MATCHER, gathered, close, Evaluation(k_test=1), lambda x: x)
    assert (i2t[:, 1:].diff(dim=1) < 0).all()


@pytest.mark.parametrize("chunk", [1, 2, 5, 11, 1000])
def test_chunks_do_not_change_the_scores(alone, chunk):
    for a, b in zip(on_ranks(1, chunk=chunk)[0][1], alone[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_groups_hold_every_image_once_and_no_more_rows_than_a_chunk():
    counts = {place: int(n) for place, n in enumerate(10 * tiny.draw(90).abs() + 1)}
    groups = list(alike(counts, 24))
    assert sorted(i for group in groups for i in group) == sorted(counts)
    rows = [len(group) * max(counts[i] for i in group) for group in groups]
    assert all(n <= 24 for group, n in zip(groups, rows, strict=True) if len(group) > 1)
    assert sum(rows) < 1.2 * sum(counts.values())  # few rows fill up
    assert max(len(group) for group in alike(dict.fromkeys(range(99), 1), 1000)) == 32


def test_half_tokens_halve_the_memory_and_round_the_judgement(alone):
    ((gathered, scores),) = on_ranks(1, half_tokens=True)
    for index, tokens in alone[0].tokens.items():
        assert gathered.tokens[index].nbytes == tokens.nbytes // 2
        assert torch.equal(gathered.tokens[index], tokens.bfloat16())
    for a, b in zip(scores, alone[1], strict=True):
        assert not torch.equal(a, b)
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)
