"""Grounding's steps: losses, maps, overfitting."""

import golden_albef as golden
import pytest
import torch
import training
from grounded import ALBEF, Recorded, batches, make

from softmask.errors import InputError
from softmask.grounding import expression_maps
from softmask.optim import Optim
from softmask.renames import from_albef
from softmask.tasks import GroundingTask, Negatives, Pointing, RetrievalTask, SoftMasking
from softmask.weights import fill


@pytest.fixture(scope="module")
def corpus(corpus_of):
    return corpus_of("grounding")


class Turns(Recorded):
    """Every other sample is the negative in its turn."""

    def draw_negatives(self, i2t, *_):
        other = (torch.arange(len(i2t)) + 1 + self.global_step % (len(i2t) - 1)) % len(i2t)
        return Negatives(text=other, image=other)


class Plain(Recorded):
    """Takes retrieval's steps."""

    compute_loss = RetrievalTask.compute_loss


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_every_parameter_gets_a_gradient(corpus, weight):
    task = make(weight)
    losses = training.step(task, batches(corpus)[0])
    assert set(losses) == ({"itc", "itm", "soft"} if weight else {"itc", "itm"})
    training.check_gradients(task)


def test_a_step_is_retrievals_but_for_soft_masks(corpus):
    """The same draws: soft masks come after them and change neither loss."""
    given, found = batches(corpus)[0], {}
    for weight in (None, 0.0, 2.0):
        task = make(weight or 0.0)
        if weight is None:
            task.__class__ = type(
                "Plain", (Recorded,), {"compute_loss": RetrievalTask.compute_loss}
            )
        torch.manual_seed(3)
        found[weight] = training.step(task, given)
    assert found[None] == found[0.0]
    assert {k: found[2.0][k] for k in ("itc", "itm")} == found[0.0]


def test_soft_term_is_that_of_pretraining(corpus):
    """The masked term of pretraining, on the pass that it merges with others there."""
    given = batches(corpus)[0]
    task = make(0.5, Turns)
    training.step(task, given)
    pretraining = training.task(contrast=ALBEF, soft_mask={"weight": 0.5})
    fill(pretraining, make(0.5).state_dict(), "grounding")
    seen = pretraining.see(
        pretraining.backbone, given["image"], given["input_ids"], given["attention_mask"]
    )
    other = (torch.arange(4) + 1) % 4
    training.alone(pretraining)
    negatives = Negatives(text=other, image=other)
    read = {**given, "mlm_at": torch.tensor([1, 2])}
    fused = pretraining.match_step(seen, seen.states, negatives, read)
    soft = pretraining.soft_step(seen, fused.early, fused.keys, negatives, given)
    assert task.steps[0]["soft"] == pytest.approx(pretraining.soft_loss(soft).item(), rel=1e-5)
    assert soft.shape == (16, 2)  # two words a pair, negatives too


def test_maps_are_those_of_a_full_backward_pass(corpus):
    """Nothing detached, nothing split: the gradient at the map of the whole network's logit."""
    task, given = make().eval(), batches(corpus, "test")[0]
    backbone, mask = task.backbone, given["attention_mask"]
    tokens, _ = backbone.encode_image(given["image"])
    states, _ = backbone.encode_text(given["input_ids"], mask)
    keys = backbone.project(tokens)
    x = backbone.fusion(states, mask, keys, stop=1)
    x, attention = backbone.fusion.layers[1].forward_with_map(
        x, mask[:, None, None], keys.layers[1]
    )
    attention.retain_grad()
    x = backbone.fusion(x, mask, keys, start=2)
    task.matcher(x[:, 0])[:, 1].sum().backward()
    cam = (attention * attention.grad.clamp_min(0)).mean(dim=1)
    expected = expression_maps(cam.detach(), given["mapped"], backbone.image.grid)
    assert expected.amax() > 1e-6
    torch.testing.assert_close(task.maps(given), expected, rtol=1e-4, atol=1e-9)


def test_golden_maps_of_albef():
    """ALBEF's Grad-CAM, block 8, on its own weights."""
    values, sizes = golden.tensors("albef_pretrain"), golden.manifest()
    layer = 8 - sizes["bert"]["fusion_layer"]
    task = GroundingTask(golden.backbone(sizes), soft_mask=SoftMasking(weight=0.0, layer=layer))
    fill(task, from_albef(values["model"], sizes["bert"]["fusion_layer"]), "golden")
    mask = values["in"]["attention_mask"].bool()
    given = {"image": values["in"]["image"], "input_ids": values["in"]["input_ids"]}
    maps = task.eval().maps({**given, "attention_mask": mask, "mapped": mask})
    cams = values["out"]["gradcam_block8"] * mask[..., None]
    # ALBEF divides by the padded length, ours by the true one.
    expected = cams.mean(dim=1)[:, 1:] * mask.shape[1] / mask.sum(dim=1, keepdim=True)
    golden.assert_close(maps.flatten(1), expected, "maps", 1e-4)


def test_four_samples_are_learnt_by_heart(corpus):
    optim = Optim(lr=5e-3, warmup_steps=0, min_lr=5e-4)
    task = make(1.0, Turns, {"width": 64}, optim=optim, contrast={"queue_size": 4})
    given = batches(corpus)[0]
    fit = training.trainer(max_steps=45, gradient_clip_val=1.0)
    fit.fit(task, datamodule=training.Given([given]))
    first, last = task.steps[0], task.steps[-1]
    assert sum(last.values()) < sum(first.values()) / 2
    assert last["itm"] < first["itm"] / 2
    assert last["soft"] < first["soft"] / 2


def test_a_layer_that_gives_words_no_map_is_refused():
    last = make(parts={"fusion_layers": 2})  # its second layer is the last
    training.alone(last)
    with pytest.raises(InputError, match=r"soft_mask\.layer to 0\.\.0\.$"):
        last.configure_model()
    hidden = make(parts={"fusion_layers": 2}, pointing=Pointing(hidden=1))  # asks no map of words
    training.alone(hidden).configure_model()
    one = training.backbone(fusion_layers=1)
    alone = training.alone(GroundingTask(one, soft_mask=SoftMasking(weight=0.0, layer=0)))
    said = r"a fusion layer, or soft_mask\.weight to 0 and, in grounding, pointing\.hidden to 0\.$"
    with pytest.raises(InputError, match=said):
        alone.configure_model()
