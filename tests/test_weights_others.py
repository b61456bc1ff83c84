"""`softmask weights` on files of BERT and timm, and on what is no file of weights."""

import os
import pickle
import re

import official
import pytest
import tiny
import torch
from official import VIT, convert, inspect, new_task
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

from softmask.nn import ImageEncoder
from softmask.weights import load_weights


def old_names(state):
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for name, value in state.items()
    }


def bert(vocabulary=30522):
    sizes = {"num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": vocabulary, "hidden_size": 16, "max_position_embeddings": 64}
    config = BertConfig(**sizes)
    return tiny.shake(BertForMaskedLM(config), seed=5)


@pytest.mark.parametrize("form", ["bin", "safetensors"])
def test_bert_of_old_names_converts_and_starts_a_task(tmp_path, form):
    given = bert()
    state = old_names(given.state_dict())
    state.pop("cls.predictions.decoder.weight", None)
    folder = tmp_path / "bert"
    folder.mkdir()
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file({k: v.clone() for k, v in state.items()}, folder / "model.safetensors")
    assert ": BERT\n" in inspect(folder).out
    output = tmp_path / "bert.safetensors"
    ended = convert(folder, "--output", output)
    assert ended.code == 0, ended.err
    task = new_task()
    image = task.backbone.image.vit.pos_embed.clone()
    report = load_weights(task, output, task.adapt)
    assert torch.equal(task.backbone.image.vit.pos_embed, image)
    assert report.unexpected == report.misshapen == []
    # 64 positions in the file, 32 in the task: cut, and said
    assert len(report.resampled) == 1
    norm = given.bert.encoder.layer[9].attention.output.LayerNorm.weight
    assert torch.equal(task.backbone.fusion.layers[3].words.norm.weight, norm)
    assert "backbone.image" in report.unfilled()
    assert "backbone.fusion" not in report.unfilled()


def test_bert_of_another_vocabulary_is_refused_by_name(tmp_path):
    torch.save(bert(vocabulary=50).state_dict(), tmp_path / "bert.bin")
    task = new_task()
    with pytest.raises(ValueError, match=r"word_embeddings.*\(50, 16\) for \(30522, 16\)"):
        load_weights(task, tmp_path / "bert.bin", task.adapt)


@pytest.mark.parametrize("form", ["model", "bare", "safetensors"])
def test_deit_file_converts_and_starts_a_task(tmp_path, form):
    torch.manual_seed(1)
    vit = ImageEncoder(VIT, 32, patch_size=16, width=16, depth=12, heads=2).vit
    tiny.shake(vit)
    state = {**vit.state_dict(), "head.weight": torch.zeros(10, 16), "head.bias": torch.zeros(10)}
    path = tmp_path / ("deit.safetensors" if form == "safetensors" else "deit.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state} if form == "model" else state, path)
    assert ": timm ViT\n" in inspect(path).out
    output = tmp_path / "vit.safetensors"
    ended = convert(path, "--output", output)
    assert ended.code == 0, ended.err
    for file in (path, output):
        task = new_task()
        report = load_weights(task, file, task.adapt)
        assert torch.equal(task.backbone.image.vit.norm.weight, vit.norm.weight)
        assert report.unexpected == report.misshapen == []
        assert len(report.resampled) == 1  # 32 to 64 pixels


def test_parts_are_no_model_to_share(tmp_path):
    torch.save(bert().state_dict(), tmp_path / "bert.bin")
    ended = convert(tmp_path / "bert.bin", "--output", tmp_path / "folder")
    assert ended.code == 1
    assert "no matching head" in ended.err
    assert "X.safetensors" in ended.err


class Malicious:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("verb", [inspect, convert])
def test_a_file_that_runs_code_is_refused_with_the_reason(tmp_path, verb):
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    torch.save({"model": official.albef("snli_ve", vocabulary=9), "x": Malicious(mark)}, path)
    ended = verb(path)
    assert ended.code == 1
    assert "Files that need code to be run are refused" in ended.err
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pth", b""),
        ("text.pth", b"hello\n"),
        ("zip.pth", b"PK\x03\x04 no archive"),
        ("plain.pkl", pickle.dumps({"a": 1})),
        ("cut.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"),
        ("empty.safetensors", b""),
    ],
)
@pytest.mark.parametrize("verb", [inspect, convert])
def test_junk_is_one_clear_paragraph(tmp_path, verb, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    ended = verb(path)
    assert ended.code == 1
    assert re.fullmatch(r"softmask: [^\n]*\n", ended.err)
    assert str(path) in ended.err
    assert "Traceback" not in ended.out + ended.err


def test_nowhere_and_empty_folders_and_strangers_are_named(tmp_path):
    torch.save({"encoder.strange": torch.zeros(2)}, tmp_path / "strange.pth")
    (tmp_path / "folder").mkdir()
    for name, words in {
        "nowhere.pth": "correct the path",
        "folder": "holds no weights",
        "strange.pth": "encoder.strange",
    }.items():
        ended = inspect(tmp_path / name)
        assert ended.code == 1
        assert words in ended.err
        assert str(tmp_path / name) in ended.err
