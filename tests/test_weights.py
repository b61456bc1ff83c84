"""Weights from elsewhere: BERTs, our runs, official files, and the report of what fitted."""

import re

import golden_albef as golden
import pytest
import tiny
import torch
import training
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from softmask.errors import InputError
from softmask.renames import from_bert
from softmask.tasks import Contrast, PretrainTask, SoftMasking
from softmask.weights import LoadReport, load_bert, load_weights

# Layers are twice the text encoder's: its own, then the fusion encoder's.
SIZES = {
    "vocab_size": tiny.VOCAB,
    "hidden_size": tiny.WIDTH,
    "num_hidden_layers": 2 * tiny.LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": tiny.LENGTH,
}


def new_task(seed=0, **options):
    parts = {"contrast": Contrast(queue_size=4), "soft_mask": SoftMasking(layer=0)}
    task = PretrainTask(tiny.backbone(seed), **parts, **options)
    tiny.shake(task.words, seed)
    return task.eval()


@pytest.fixture
def task():
    return new_task()


@pytest.fixture(scope="module")
def bert():
    return tiny.shake(BertForMaskedLM(BertConfig(**SIZES)), seed=7)


@pytest.fixture
def folder(bert, tmp_path):
    bert.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def assert_bert_loaded(task, bert, report):
    unfilled = {n for n in report.missing if n.startswith(("backbone.text.", "words."))}
    assert not unfilled
    fusion = [n for n in report.missing if n.startswith("backbone.fusion.")]
    assert fusion
    assert all(".image." in n for n in fusion)  # cross-attention is no BERT's
    assert not report.unexpected
    ids, mask = tiny.texts([8, 5])
    out = bert(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    states = task.backbone.text(ids, mask)
    assert (states - out.hidden_states[tiny.LAYERS])[mask].abs().max() < 1e-5
    words = task.words(out.hidden_states[-1], task.backbone.text.table)
    assert (words - out.logits).abs().max() < 1e-4
    own, theirs = task.backbone.fusion.layers[1], bert.bert.encoder.layer[tiny.LAYERS + 1]
    parts = [getattr(theirs.attention.self, part).weight for part in ("query", "key", "value")]
    assert torch.equal(own.words.qkv.weight, torch.cat(parts))
    assert torch.equal(own.feed.down.weight, theirs.output.dense.weight)


def test_bert_folder_fills_text_encoder_fusion_encoder_and_word_head(task, bert, folder):
    assert_bert_loaded(task, bert, load_bert(task, str(folder)))


def test_a_training_and_its_twins_start_from_the_bert(bert, folder):
    task = training.alone(new_task(bert=str(folder)))
    task.setup("fit")
    assert torch.equal(task.backbone.text.table, bert.get_input_embeddings().weight)
    own = torch.nn.ModuleDict(task.taught()).state_dict()
    for name, value in task.momentum.twin.state_dict().items():
        assert torch.equal(value, own[name]), name


def test_bert_file_with_old_names_loads_alike(task, bert, folder):
    (folder / "model.safetensors").unlink()
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in bert.state_dict().items()
    }
    torch.save(state, folder / "pytorch_model.bin")
    assert_bert_loaded(task, bert, load_bert(task, str(folder)))


def test_old_names_prefix_pooler_and_next_sentence_head_make_no_difference(bert):
    plain = from_bert(bert.state_dict(), tiny.LAYERS)
    old = {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in bert.state_dict().items()
    }
    for name in ("pooler.dense.weight", "cls.seq_relationship.bias", "embeddings.position_ids"):
        old[name] = torch.zeros(3)
    renamed = from_bert(old, tiny.LAYERS)
    assert set(renamed) == set(plain)
    assert all(torch.equal(renamed[name], plain[name]) for name in plain)


def test_bert_of_another_width_is_refused_with_both_shapes(task, tmp_path):
    config = BertConfig(**SIZES | {"hidden_size": 32})
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(InputError) as refusal:
        load_bert(task, str(tmp_path))
    for words in (str(tmp_path), "word_embeddings", "(40, 32) for (40, 16)"):
        assert words in str(refusal.value)


def test_what_is_no_bert_is_refused_by_name(task, folder, tmp_path):
    RobertaForMaskedLM(RobertaConfig(**SIZES)).save_pretrained(tmp_path / "roberta")
    (folder / "model.safetensors").write_bytes(b"junk" * 10)
    (tmp_path / "empty").mkdir()
    for name in (tmp_path / "roberta", folder, tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(InputError, match=re.escape(str(name))):
            load_bert(task, str(name))


@pytest.mark.parametrize("wrapped", [True, False])
def test_our_checkpoint_or_bare_state_dict_fills_everything(tmp_path, wrapped):
    one, other = new_task(1), new_task(2)
    one.queue.push(*(torch.ones(2, 8), torch.ones(2, 8), torch.arange(2), torch.arange(2)))
    run = {"state_dict": one.state_dict(), "epoch": 3, "optimizer_states": [{"lr": 0.1}]}
    torch.save(run if wrapped else one.state_dict(), tmp_path / "a.ckpt")
    report = load_weights(other, tmp_path / "a.ckpt")
    assert set(report.matched) == set(one.state_dict())
    assert report.missing == report.unexpected == report.misshapen == []
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_golden_official_file_fills_the_task(tmp_path):
    values, sizes = golden.tensors("albef_pretrain"), golden.manifest()
    path = tmp_path / "ALBEF.pth"
    torch.save({"model": values["model"], "optimizer": {"state": {}}, "epoch": 29}, path)
    task = golden.pretrain_task(sizes)
    report = load_weights(task, path)
    assert set(report.missing) == {"queue.image_id", "queue.text_id"}
    assert report.unexpected == report.misshapen == []
    expected = values["model"]
    assert torch.equal(task.matcher.weight, expected["itm_head.weight"])
    assert torch.equal(task.queue.image, expected["image_queue"].T)
    assert torch.equal(task.backbone.temperature, expected["temp"])
    twin = task.momentum.twin["backbone"].image_projection.weight
    assert torch.equal(twin, expected["vision_proj_m.weight"])


@pytest.mark.parametrize("name", ["retrieval", "vqa", "nlvr2", "snli_ve"])
def test_golden_files_of_other_official_tasks_load_what_fits(name, tmp_path):
    state = golden.tensors(f"albef_{name}")["model"]
    torch.save(state, tmp_path / "task.pth")
    task = golden.pretrain_task(golden.manifest())
    report = load_weights(task, tmp_path / "task.pth")
    assert torch.equal(task.backbone.image.vit.cls_token, state["visual_encoder.cls_token"])
    assert all(not n.startswith("backbone.image.vit") for n in report.missing)


def test_misshapen_tensors_are_reported_and_the_others_loaded(task, tmp_path):
    state = {name: value + 1 for name, value in task.state_dict().items()}
    before = task.matcher.weight.clone()
    state["matcher.weight"] = torch.zeros(2, 99)
    state["stranger"] = torch.zeros(1)
    del state["matcher.bias"]
    torch.save(state, tmp_path / "a.ckpt")
    report = load_weights(task, tmp_path / "a.ckpt")
    assert report.misshapen == ["matcher.weight (2, 99) for (2, 16)"]
    assert report.unexpected == ["stranger"]
    assert report.missing == ["matcher.bias"]
    assert torch.equal(task.matcher.weight, before)
    assert torch.equal(task.words.bias, state["words.bias"])
    assert "1 misshapen: matcher.weight (2, 99) for (2, 16)" in report.summary()


def test_summary_counts_and_shortens():
    report = LoadReport("x.pth", ["a", "b"], [f"n{i}" for i in range(10)], [])
    assert report.summary() == (
        "x.pth: 2 tensors loaded\n  10 missing: n0, n1, n2, n3, n4, n5, n6, n7, ..."
    )
