"""Fine-tuning for retrieval: who is whose positive and negative, and the evaluation to the end."""

import pytest
import reference
import tiny
import torch
import training
from fake import fake_pairs

from data_modules import RetrievalData
from data_modules.captioned import MakePairs
from data_modules.pictured import Reader
from data_modules.shards import Sample
from data_modules.text import Text, TextOptions
from data_modules.write import columns, write_shards
from softmask.errors import InputError
from softmask.metrics import recall_intervals
from softmask.optim import Optim
from softmask.tasks import Contrast, Evaluation, Negatives, RetrievalTask, contrast

ALBEF = {"gamma": 0.0, "match_captions": False, "queue_size": 8, "momentum": 0.9}
TEXT = TextOptions()


class Recorded(RetrievalTask):
    """Keeps what each step's losses were, and what the draw of negatives was offered."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.steps, self.same = [], []

    def total(self, losses, keys):
        self.steps.append({name: loss.item() for name, loss in losses.items()})
        return super().total(losses, keys)

    def draw_negatives(self, i2t, t2i, same):
        self.same.append(same)
        return super().draw_negatives(i2t, t2i, same)


def make(parts=None, optim=None, evaluation=None, **options):
    given = Contrast(**{**ALBEF, **options})
    task = Recorded(
        training.backbone(**(parts or {})), optim, contrast=given, evaluation=evaluation
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in task.momentum.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return task.train()


def batch(turns=(0, 1), images=2, epoch=0):
    """Pairs of a few images, each image with a caption for every turn."""
    pairs = list(fake_pairs(images, size=training.SIZE, captions=3))
    samples = [
        Sample(place, "fake", pair.key, columns(pair), turn)
        for turn in turns
        for place, pair in enumerate(pairs)
    ]
    return MakePairs(Reader(Text(TEXT), training.SIZE))(samples, epoch)


def test_every_parameter_gets_a_gradient():
    task = make()
    losses = training.step(task, batch())
    assert set(losses) == {"itc", "itm"}
    training.check_gradients(task)


def test_captions_of_one_image_are_no_negatives_and_enter_the_queue():
    task, given = make(), batch(turns=(0, 1, 2))
    training.step(task, given)
    same = task.same[0]
    assert same.tolist() == [[i % 2 == j % 2 for j in range(6)] for i in range(6)]
    assert len(set(given["caption"])) == 6
    assert task.queue.image_id[:6].tolist() == given["image_id"].tolist()
    assert task.queue.text_id[:6].tolist() == given["image_id"].tolist()


def itc_by_loops(task, given):
    """ALBEF's fine-tuning contrast, from features to the loss, one term at a time."""
    mask, ids = given["attention_mask"], given["image_id"].tolist()
    with torch.no_grad():
        seen = task.see(task.backbone, given["image"], given["input_ids"], mask)
        for twin, own in zip(task.teacher.parameters(), task.backbone.parameters(), strict=True):
            twin.copy_(0.9 * twin + 0.1 * own)
        taught = task.teach(given["image"], given["input_ids"], mask)
    positive = torch.tensor([[a == b for b in [*ids, *task.queue.image_id.tolist()]] for a in ids])
    texts = torch.cat([taught.text, task.queue.text])
    images = torch.cat([taught.image, task.queue.image])

    def like(features, candidates):
        tau = task.backbone.temperature.item()
        return torch.tensor(reference.similarity(features, candidates, tau))

    beliefs = like(taught.image, texts), like(taught.text, images)
    targets = [torch.tensor(reference.soft_targets(b, positive, 0.4)) for b in beliefs]
    return reference.itc(like(seen.image, texts), like(seen.text, images), *targets)


def test_contrast_is_albefs_with_the_images_in_the_queue():
    """The second step meets captions of images that the first one left in the queue."""
    task = make()
    training.step(task, batch(turns=(0,), images=4))
    later = batch(turns=(1,), images=4, epoch=1)
    copy = make()
    copy.load_state_dict(task.state_dict())
    loss = training.step(task, later)["itc"]
    assert set(later["image_id"].tolist()) <= set(copy.queue.image_id.tolist())
    assert loss == pytest.approx(itc_by_loops(copy, later), rel=1e-5)


def test_equal_captions_count_when_asked():
    for asked in (True, False):
        task, given = make(match_captions=asked), batch(turns=(0,), images=4)
        given["text_id"] = torch.tensor([5, 6, 5, 7])
        training.step(task, given)
        assert task.same[0][0].tolist() == [True, False, asked, False]


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"match_captions": True}, [[0, 5], [1, 3], [2, 6], [1, 3]]),
        ({"match_captions": False}, [[0], [1], [2, 6], [3]]),
        ({"match_captions": True, "match_ids": False}, [[0], [1], [2], [3]]),
    ],
)
def test_pairs_of_equal_items_are_positives_in_the_batch_and_in_the_queue(
    monkeypatch, options, places
):
    """Places 0 to 3 are of the batch, 4 to 7 of the step before, the others still of nobody."""
    known, real = [], contrast.soft_targets

    def spy(teacher, positive, alpha):
        known.append(positive)
        return real(teacher, positive, alpha)

    monkeypatch.setattr(contrast, "soft_targets", spy)
    task, given = make(**options), batch(turns=(0,), images=4)
    for images, captions in (((0, 1, 2, 3), (4, 5, 6, 7)), ((8, 9, 2, 10), (5, 11, 12, 11))):
        given |= {"image_id": torch.tensor(images), "text_id": torch.tensor(captions)}
        training.step(task, given)
    for found in known[2:]:  # of images and of texts
        assert [row.nonzero().flatten().tolist() for row in found] == places


def test_pairs_of_one_image_alone_are_refused_before_the_step():
    task, given = make(queue_size=6), batch(turns=(0, 1, 2), images=1)
    with pytest.raises(InputError, match=r"batch of 3 pairs.*0-00000.*share their image"):
        training.trainer().fit(task, datamodule=training.Given([given]))
    assert task.steps == []


class Turns(Recorded):
    """Every image of the other pairs is the negative in its turn."""

    def draw_negatives(self, *_):
        other = (torch.arange(4) + 1 + self.global_step % 3) % 4
        return Negatives(text=other, image=other)


def test_four_pairs_are_learnt_by_heart():
    task = make({"width": 64}, Optim(lr=5e-3, warmup_steps=0, min_lr=5e-4), queue_size=4)
    task.__class__ = Turns
    given = batch(turns=(0,), images=4)
    fit = training.trainer(max_steps=60, gradient_clip_val=1.0)
    fit.fit(task, datamodule=training.Given([given]))
    first, last = task.steps[0], task.steps[-1]
    assert sum(last.values()) < sum(first.values()) / 2
    task.eval()
    with torch.no_grad():
        mask = given["attention_mask"]
        seen = task.see(task.backbone, given["image"], given["input_ids"], mask)
        assert (seen.image @ seen.text.T).argmax(dim=1).tolist() == [0, 1, 2, 3]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Eleven pictures with one to three captions each; one caption stands under two pictures."""
    pairs = list(fake_pairs(11, seed=3, size=training.SIZE, captions=3))
    pairs = [pair._replace(captions=pair.captions[: 1 + n % 3]) for n, pair in enumerate(pairs)]
    pairs[4] = pairs[4]._replace(captions=[pairs[0].captions[0], *pairs[4].captions[1:]])
    folder = tmp_path_factory.mktemp("gallery")
    write_shards(pairs, folder, shard_size=4)
    return str(folder), pairs


def evaluate(folder, evaluation, verb="validate"):
    task = make(evaluation=evaluation)
    tiny.shake(task.backbone)
    tiny.shake(task.matcher, by=0.5)
    data = RetrievalData(
        val=folder,
        predict=folder,
        image_size=training.SIZE,
        eval_batch_size=3,
        workers=0,
        text=TEXT,
    )
    run = training.trainer()
    found = getattr(run, verb)(task, datamodule=data)
    return task.eval(), found


@pytest.fixture(scope="module")
def alone(gallery):
    """Cosine (I, T) and logits (I, T, 2) of every picture with every caption, one by one."""
    return brute_force(evaluate(gallery[0], Evaluation(k_test=0))[0], gallery[1])


@torch.no_grad()
def brute_force(task, pairs):
    reader = Reader(Text(TEXT), training.SIZE)
    texts = [(n, caption) for n, pair in enumerate(pairs) for caption in pair.captions]
    images = [
        reader.images([reader.picture(pair.image, Sample(0, "", "", {}), 0)]) for pair in pairs
    ]
    cosine, logits = torch.zeros(len(pairs), len(texts)), torch.zeros(len(pairs), len(texts), 2)
    for i, image in enumerate(images):
        tokens, feature = task.backbone.encode_image(image)
        keys = task.backbone.project(tokens)
        for t, (_, caption) in enumerate(texts):
            ids = torch.tensor(reader.tokens(caption))[None]
            states, text = task.backbone.encode_text(ids, ids > 0)
            cosine[i, t] = feature[0] @ text[0]
            logits[i, t] = task.matcher(task.backbone.fuse(states, ids > 0, keys)[:, 0])[0]
    return cosine, logits, texts


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("k", [4, 100])
def test_recalls_are_those_of_every_pair_judged_alone(gallery, alone, k, equal):
    folder, pairs = gallery
    task, _ = evaluate(folder, Evaluation(k_test=k, equal_captions=equal))
    cosine, logits, texts = alone
    right = torch.tensor(
        [
            [i == of or (equal and caption in pair.captions) for of, caption in texts]
            for i, pair in enumerate(pairs)
        ]
    )
    assert (task.report["test_size"], task.report["captions"]) == (11, len(texts))
    assert (task.report["k_test"], task.report["half_tokens"]) == (k, False)
    seen = set()
    for direction, turn in (("i2t", lambda x: x), ("t2i", lambda x: x.T)):
        near, judged, correct = turn(cosine), turn(logits[..., 1]).clone(), turn(right)
        for row, order in zip(judged, near.argsort(dim=1, descending=True), strict=True):
            row[order[k:]] = near[0].new_tensor(range(-100, -100 - len(order[k:]), -1))
        for name, scores in (("itc", near), ("itm", judged)):
            got = task.report[name][direction]
            expected = {f"r{n}": reference.recall_at_k(scores, correct, n) for n in (1, 5, 10)}
            assert {n: got[n] for n in expected} == pytest.approx(expected), (name, direction)
            # The captions of a picture are drawn together.
            unit = torch.tensor({"i2t": range(11), "t2i": [of for of, _ in texts]}[direction])
            assert got["interval"] == recall_intervals(scores, correct, unit)
            seen.update(expected.values())
    assert len(seen) > 4  # the numbers could tell


@pytest.mark.parametrize("k", [4, 0])
def test_what_is_logged_is_the_report_and_its_best_mean_is_watched(gallery, k):
    task, (logged,) = evaluate(gallery[0], Evaluation(k_test=k))
    expected = {}
    for name in ("itc", "itm") if k else ("itc",):
        of = task.report[name]
        flat = {f"val/{name}/{d}@{n}": of[d][f"r{n}"] for d in ("i2t", "t2i") for n in (1, 5, 10)}
        mean = sum(flat.values()) / 6
        expected |= {**flat, f"val/{name}/mean": mean, "val/recall": mean}
    assert logged == pytest.approx(expected)


def test_predictions_are_of_every_caption(gallery, alone):
    folder, pairs = gallery
    _, found = evaluate(folder, Evaluation(chunk=2), "predict")
    cosine, logits, texts = alone
    lines = [
        dict(zip(part, row, strict=True))
        for part in found
        for row in zip(*part.values(), strict=True)
    ]
    assert [(line["position"], line["caption"]) for line in lines] == texts
    assert [line["key"] for line in lines] == [pairs[n].key for n, _ in texts]
    own = [cosine[n, t].item() for t, (n, _) in enumerate(texts)]
    assert [line["similarity"] for line in lines] == pytest.approx(own, abs=1e-5)
    match = [logits[n, t].softmax(dim=0)[1].item() for t, (n, _) in enumerate(texts)]
    assert [line["match"] for line in lines] == pytest.approx(match, rel=1e-3)
