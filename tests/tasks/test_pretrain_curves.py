"""Two hundred steps of the merged, cached step are those of the same objective composed plainly."""

import torch
import training
from test_pretrain_albef import ALBEF, NEGATIVES, albef, soft

from softmask.optim import Optim

STEPS, GAMMA, LOOKED = 200, 2.0, 10


class Plain(training.Recorded):
    """One pass for each term, from pixels and words on; maps of a graph that is kept, as ALBEF."""

    def training_step(self, batch, batch_idx):
        self.backbone.clamp_temperature()
        losses = albef(self, batch)
        cam, cached = self.maps(batch)
        if batch_idx % LOOKED == 0:
            both = torch.stack([cam.flatten(), cached.flatten()])
            self.likeness.append(both.corrcoef()[0, 1].item())
        losses["soft"] = soft(self, batch, cam)
        taught = self.teach(batch["image"], batch["input_ids"], batch["attention_mask"])
        self.queue.push(taught.image, taught.text, batch["image_id"], batch["text_id"])
        return self.total(losses, batch["key"])

    def maps(self, batch):
        """Of patches and words, in the graph of the whole pass, and from cached states."""
        mask, network = batch["attention_mask"], self.backbone
        tokens, _ = network.encode_image(batch["image"])
        states, _ = network.encode_text(batch["input_ids"], mask)
        keys, at = network.project(tokens), self.soft_mask.layer
        early = network.fusion(states, mask, keys, stop=at)
        first, attention = network.fusion.first_token_with_map(early, mask, keys, at)
        score = self.matcher(first)[:, 1].sum()
        (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
        cam = (attention * gradient.clamp_min(0)).mean(dim=1).detach()
        return cam, self.word_maps(early, mask, keys).cam


def trained(kind):
    optim = Optim(lr=1e-3, warmup_steps=20)
    task = training.task(contrast={**ALBEF, "gamma": GAMMA, "queue_size": 16}, optim=optim)
    task.__class__, task.negatives, task.likeness = kind, NEGATIVES, []
    batches = [training.batch(4, skip=4 * n) for n in range(8)]
    training.trainer(max_steps=STEPS).fit(task, datamodule=training.Given(batches))
    return task


def test_curves_of_200_steps_are_those_of_plain_passes():
    """Within 1e-3: weights that start a millionth apart end 1e-4 apart."""
    fast, plain = trained(training.Recorded), trained(Plain)
    assert len(fast.steps) == len(plain.steps) == STEPS
    for name in ("itc", "itm", "mlm", "soft"):
        one, other = (torch.tensor([s[name] for s in t.steps]) for t in (fast, plain))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0, msg=name)
        assert one[-8:].mean() < 0.95 * one[:8].mean(), name  # or there was nothing to follow
    assert min(plain.likeness) > 0.999
