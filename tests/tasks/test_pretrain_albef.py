"""The step against the papers' equations, composed plainly: one pass of the model for each term."""

import copy

import pytest
import torch
import training
from torch.nn import functional as F

from softmask.tasks import Negatives

NEGATIVES = Negatives(text=torch.tensor([2, 3, 1, 0]), image=torch.tensor([3, 2, 0, 1]))
ALPHA, MOMENTUM = 0.4, 0.9
ALBEF = {"gamma": 0.0, "match_ids": False, "alpha": ALPHA, "momentum": MOMENTUM}


def pair(**changes):
    """Two equal tasks: one takes the step, the other is for the reference."""
    task = training.task(**changes)
    task.negatives = NEGATIVES
    return task, copy.deepcopy(task)


def update_twins(task):
    with torch.no_grad():
        ours = [*task.backbone.parameters(), *task.words.parameters()]
        for twin, own in zip(task.momentum.parameters(), ours, strict=True):
            twin.copy_(MOMENTUM * twin + (1 - MOMENTUM) * own)
    return task.momentum.twin["backbone"], task.momentum.twin["words"]


def contrast(own, candidates, taught, temperature, focus):
    """Contrast of docs/method.md, one direction."""
    log_p = (own @ candidates.T / temperature).log_softmax(dim=1)
    belief = (taught @ candidates.T / temperature).softmax(dim=1)
    known = torch.eye(len(own), len(candidates))
    target = ALPHA * belief + (1 - ALPHA) * known
    solved = (known * log_p.exp()).sum(dim=1, keepdim=True) if focus.per_row else log_p.exp()
    factor = (1 - (solved.detach() if focus.detach else solved)) ** focus.gamma
    return -(factor * target.detach() * log_p).sum(dim=1).mean()


def words(network, head, image, ids, mask):
    """Logits of every word, from a pass through all layers."""
    states = network.text(ids, mask)
    return head(network.fuse(states, mask, network.project(image)), network.text.table)


def albef(task, given):
    """docs/method.md on (image, input_ids), MLM on mlm_ids; focal when gamma is not 0."""
    network, mask = task.backbone, given["attention_mask"]
    twin, twin_head = update_twins(task)
    v, image = network.encode_image(given["image"])
    w, text = network.encode_text(given["input_ids"], mask)
    with torch.no_grad():
        twin_v, twin_image = twin.encode_image(given["image"])
        _, twin_text = twin.encode_text(given["input_ids"], mask)
    texts = torch.cat([twin_text, task.queue.text])
    images = torch.cat([twin_image, task.queue.image])
    tau = network.temperature
    i2t = contrast(image, texts, twin_image, tau, task.contrast)
    t2i = contrast(text, images, twin_text, tau, task.contrast)

    def match(rows, images):
        return network.fuse(w[rows], mask[rows], network.project(v[images]))[:, 0]

    own = torch.arange(len(v))
    rows = [match(own, own), match(NEGATIVES.text, own), match(own, NEGATIVES.image)]
    labels = torch.tensor([1] * 4 + [0] * 8)
    matching = F.cross_entropy(torch.cat(rows) @ task.matcher.weight.T + task.matcher.bias, labels)

    at, ids = given["mlm_at"], given["mlm_labels"]
    at, ids = at[ids >= 0], ids[ids >= 0]
    masked = given.get("mlm_ids", given["input_ids"])
    logits = words(network, task.words, v, masked, mask).flatten(0, 1)[at]
    with torch.no_grad():
        soft = words(twin, twin_head, twin_v, masked, mask).flatten(0, 1)[at].softmax(dim=1)
    language = (1 - ALPHA) * F.cross_entropy(logits, ids) + ALPHA * F.cross_entropy(logits, soft)
    return {"itc": (i2t + t2i) / 2, "itm": matching, "mlm": language}


def assert_same_gradients(task, reference):
    for (name, p), q in zip(task.named_parameters(), reference.parameters(), strict=True):
        if p.requires_grad:
            # Softmax ignores what all keys share: a key's bias has no gradient but rounding's.
            least = 1e-2 if name.endswith("key.bias") else 1e-3
            scale = q.grad.abs().max().clamp_min(least)
            assert ((p.grad - q.grad).abs().max() / scale).item() < 1e-4, name


@pytest.mark.parametrize(
    ("augment", "focus"),
    [
        ("none", {}),
        ("shared", {}),
        ("none", {"gamma": 2.0}),
        ("shared", {"gamma": 0.5}),
        ("none", {"gamma": 2.0, "per_row": True}),
        ("none", {"gamma": 2.0, "detach": True}),
    ],
)
def test_all_off_is_albef_and_focus_is_its_equation(augment, focus):
    task, reference = pair(contrast={**ALBEF, **focus}, soft_mask={"weight": 0.0})
    given = training.batch(4, training.text(augment=augment))
    losses = training.step(task, given)
    expected = albef(reference, given)
    assert set(losses) == set(expected)
    for name, loss in expected.items():
        assert losses[name] == pytest.approx(loss.item(), rel=1e-5), name
    sum(expected.values()).backward()
    assert_same_gradients(task, reference)
    for p, q in zip(task.momentum.parameters(), reference.momentum.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_queue_takes_the_twins_features():
    task, reference = pair()
    given = training.batch(4)
    old = task.queue.text[4:].clone()
    training.step(task, given)
    twin, _ = update_twins(reference)
    _, text = twin.encode_text(given["input_ids"], given["attention_mask"])
    torch.testing.assert_close(task.queue.text[:4], text.detach())
    assert task.queue.text[4:].equal(old)
    assert task.queue.text_id.tolist() == [*given["text_id"].tolist(), *[-100] * 4]
    assert task.queue.pointer == 4


class Offered(training.Recorded):
    """Keeps the similarities by which negatives are drawn."""

    def draw_negatives(self, i2t, t2i, same):
        self.offered = i2t, t2i
        return super().draw_negatives(i2t, t2i, same)


def test_negatives_are_drawn_by_the_likeness_of_this_batch_to_the_twins():
    task, reference = pair()
    task.__class__ = Offered
    given = training.batch(4)
    training.step(task, given)
    read, mask = given["input_ids"], given["attention_mask"]
    twin, _ = update_twins(reference)
    own, taught = (
        reference.see(who, given["image"], read, mask) for who in (reference.backbone, twin)
    )
    tau = reference.backbone.temperature
    expected = own.image @ taught.text.T / tau, own.text @ taught.image.T / tau
    torch.testing.assert_close(task.offered, expected, rtol=1e-4, atol=1e-4)


def soft(task, given, cam):
    """docs/method.md with maps (B, L, N): each text alone with the image that its mask scaled."""
    network, mask = task.backbone, given["attention_mask"]
    v, _ = network.encode_image(given["image"])
    w, _ = network.encode_text(given["input_ids"], mask)
    rows = []
    for b in range(len(v)):
        for word in given["words"][b].tolist():
            patches = cam[b, word, 1:]
            low = 0.0 if task.soft_mask.by_max else patches.min()
            span = (patches.max() - low).clamp_min(1e-30)  # an empty map fades nothing
            keep = torch.cat([torch.ones(1), 1 - (patches - low) / span])
            texts = [b]
            if task.soft_mask.negatives:
                texts.append(int(NEGATIVES.text[b]))
            if task.soft_mask.hard_images:  # those for which image b is the hard one
                texts += (NEGATIVES.image == b).nonzero().flatten().tolist()
            for text in texts:
                keys = network.project((v[b] * keep[:, None]).unsqueeze(0))
                first = network.fuse(w[[text]], mask[[text]], keys)[:, 0]
                label = torch.tensor([int(text == b)])
                rows.append(F.cross_entropy(task.matcher(first), label))
    return torch.stack(rows).mean()


@pytest.mark.parametrize(
    ("masks", "opposed", "augment", "by_max"),
    [
        (1, {"negatives": True}, "shared", False),
        (3, {"negatives": True}, "none", True),
        (3, {"negatives": False}, "shared", False),
        (1, {"negatives": False}, "none", False),
        (3, {"negatives": True, "hard_images": True}, "shared", False),
        (1, {"negatives": False, "hard_images": True}, "shared", False),
    ],
)
def test_soft_term_scales_image_tokens(masks, opposed, augment, by_max):
    task, reference = pair(soft_mask={**opposed, "layer": 0, "by_max": by_max})
    given = training.batch(4, training.text(masks_per_pair=masks, augment=augment))
    losses = training.step(task, given)
    network, mask = reference.backbone, given["attention_mask"]
    v, _ = network.encode_image(given["image"])
    w, _ = network.encode_text(given["input_ids"], mask)
    cam = reference.word_maps(w, mask, network.project(v)).cam
    assert losses["soft"] == pytest.approx(soft(reference, given, cam).item(), rel=1e-5)
    assert 0 < task.logged["train/mask_mean"] < 1


class Blind(training.Recorded):
    """Every map is empty; keeps the logits of both matching passes."""

    def word_maps(self, *args):
        maps = super().word_maps(*args)
        return maps._replace(cam=torch.zeros_like(maps.cam))

    def match_step(self, *args):
        fused = super().match_step(*args)
        self.plain = fused.logits
        return fused

    def soft_step(self, *args):
        self.soft = super().soft_step(*args)
        return self.soft


def test_a_map_of_zeros_masks_nothing():
    task, _ = pair()
    task.__class__ = Blind
    training.step(task, training.batch(4))
    torch.testing.assert_close(task.soft, task.plain[:8])  # pairs, then images with hard texts
    assert task.logged["train/mask_mean"] == 0
    assert task.logged["train/empty_maps"] == 1


def test_each_idea_switches_off_alone():
    given = training.batch(4)
    full = training.step(pair()[0], given)
    assert set(full) == {"itc", "itm", "mlm", "soft"}
    plain = training.step(pair(contrast={"gamma": 0.0})[0], given)
    changed = {name for name in full if plain[name] != pytest.approx(full[name], rel=1e-6)}
    assert changed == {"itc"}
    assert plain["itc"] > full["itc"]
    unmasked = training.step(pair(soft_mask={"weight": 0.0})[0], given)
    assert unmasked == pytest.approx({k: v for k, v in full.items() if k != "soft"}, rel=1e-6)
