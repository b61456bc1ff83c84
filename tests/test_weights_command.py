"""`softmask weights`: files of others, looked at and converted through the program."""

import json
import os
import pickle
import re

import official
import pytest
import tiny
import torch
from program import here
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from softmask import SoftMask
from softmask.backbone import Backbone
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.tasks import Contrast, PretrainTask, SoftMasking
from softmask.weights import load_weights

HEADS = ["--image_heads", "2", "--text_heads", "2"]
VIT = "deit_base_patch16_224.fb_in1k"


def inspect(path):
    return here(["weights", "inspect", str(path)])


def convert(path, *flags):
    return here(["weights", "convert", str(path), *map(str, flags)])


def new_task():
    """Ours, of the sizes of the narrow official files."""
    torch.manual_seed(3)
    backbone = Backbone(
        ImageEncoder(VIT, 64, patch_size=16, width=16, depth=12, heads=2),
        TextEncoder(6, 16, 2, 64, max_positions=32),
        FusionEncoder(16, 6, 2, 64),
        embed_dim=official.EMBED,
    )
    parts = {"contrast": Contrast(queue_size=4), "soft_mask": SoftMasking(layer=2)}
    return PretrainTask(backbone, **parts).eval()


def started_from(path):
    task = new_task()
    report = load_weights(task, path, task.adapt)
    assert report.missing == report.unexpected == report.misshapen == report.resampled == []
    return task


@torch.no_grad()
def outputs(model):
    """Unit features and matching logits of two pairs."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator).byte()
    ids = torch.tensor([[101, 2417, 2482], [101, 2630, 0]])
    mask = ids > 0
    tokens, image = model.backbone.encode_image(pixels)
    states, text = model.backbone.encode_text(ids, mask)
    first = model.backbone.match_state(states, mask, model.backbone.project(tokens))
    return torch.cat([image, text, model.matcher(first)], dim=1)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """An official pretraining file of 844 names."""
    path = tmp_path_factory.mktemp("official") / "ALBEF.pth"
    assert len(official.write_albef(path)) == 844
    return path


def test_official_pretraining_is_described(pretrained):
    ended = inspect(pretrained)
    assert ended.code == 0, ended.err
    for words in (
        f"{pretrained}: official ALBEF, pretraining\n",
        "844, 618,125 parameters",
        "ViT, depth 12, width 16, patches of 16, 64 x 64 pixels",
        "BERT, depth 6, width 16, 30,522 word pieces, up to 32 tokens",
        "fusion encoder    depth 6, width 16",
        "shared space      width 8",
        "words, matcher",
        "queue             4 pairs",
        "optimizer, lr_scheduler, config, epoch 29",
    ):
        assert words in ended.out, words
    own = [*new_task().backbone.parameters(), *new_task().matcher.parameters()]
    own += new_task().words.parameters()
    assert sum(p.numel() for p in own) == 618_125
    assert "missing" not in ended.out
    assert "[SEP]" not in ended.out


def test_converted_folder_and_file_and_the_original_give_equal_features(pretrained, tmp_path):
    expected = outputs(started_from(pretrained))
    ended = convert(pretrained, "--output", tmp_path / "folder", *HEADS)
    assert ended.code == 0, ended.err
    ended = convert(pretrained, "--output", tmp_path / "one.safetensors")
    assert ended.code == 0, ended.err
    assert "764 tensors loaded\n" in ended.out  # stacked and tied; without queue
    assert torch.equal(outputs(started_from(tmp_path / "folder")), expected)
    assert torch.equal(outputs(started_from(tmp_path / "one.safetensors")), expected)
    model = SoftMask.from_pretrained(tmp_path / "folder")
    assert torch.equal(outputs(model), expected)
    assert model.config.captions.sep is False
    # The expected values come from the file itself, by another way.
    given = torch.load(pretrained, weights_only=True)["model"]
    assert torch.equal(model.matcher.weight, given["itm_head.weight"])
    third = model.backbone.fusion.layers[2].image.kv.weight
    official_name = "text_encoder.bert.encoder.layer.8.crossattention.self.{}.weight"
    halves = [given[official_name.format(part)] for part in ("key", "value")]
    assert torch.equal(third, torch.cat(halves))


def test_converted_file_says_what_it_is(pretrained, tmp_path):
    output = tmp_path / "one.safetensors"
    convert(pretrained, "--output", output)
    noted = json.loads(output.with_suffix(".json").read_text())
    assert noted["converted from"] == "ALBEF.pth"
    assert len(noted["sha256"]) == 64
    assert noted["text"] == {
        "width": 16,
        "layers": 6,
        "hidden": 64,
        "vocab_size": 30522,
        "max_positions": 32,
    }
    names = load_file(output)
    assert any(name.startswith("momentum.twin.") for name in names)
    assert not any(name.startswith("queue.") for name in names)
    assert "softmask weights, converted from official ALBEF, pretraining" in inspect(output).out


@pytest.mark.parametrize(
    ("task", "title"),
    [("retrieval", "retrieval"), ("vqa", "VQA"), ("nlvr2", "NLVR2"), ("snli_ve", "SNLI-VE")],
)
def test_fine_tuned_kinds_are_told_apart(tmp_path, task, title):
    path = tmp_path / "task.pth"
    official.write_albef(path, task)
    ended = inspect(path)
    assert ended.code == 0, ended.err
    assert f"official ALBEF, {title}\n" in ended.out


def test_bare_grounding_file_without_twins_converts(tmp_path):
    state = official.albef("retrieval")
    plain = {k: v for k, v in state.items() if "_m." not in k and "queue" not in k}
    torch.save(plain, tmp_path / "refcoco.pth")
    assert "official ALBEF, retrieval or grounding\n" in inspect(tmp_path / "refcoco.pth").out
    ended = convert(tmp_path / "refcoco.pth", "--output", tmp_path / "out", *HEADS)
    assert ended.code == 0, ended.err
    model = SoftMask.from_pretrained(tmp_path / "out")
    assert model.words is None
    assert torch.equal(model.backbone.temperature, state["temp"])


def test_lavis_is_named_with_its_tokenizer(tmp_path):
    by_name, by_scaler = tmp_path / "albef_lavis.pt", tmp_path / "checkpoint_best.pth"
    content = {"model": official.albef("retrieval"), "config": {}, "epoch": 1}
    torch.save(content, by_name)
    torch.save(content | {"scaler": {"scale": 1.0}}, by_scaler)
    for path in (by_name, by_scaler):
        ended = inspect(path)
        assert "LAVIS's ALBEF, retrieval\n" in ended.out
        assert "text.sep true" in ended.out
    convert(by_name, "--output", tmp_path / "out", *HEADS)
    assert SoftMask.from_pretrained(tmp_path / "out").config.captions.sep is True
    task = new_task()
    assert "text.sep true" in load_weights(task, by_scaler, task.adapt).summary()


def damaged(pretrained, path):
    content = torch.load(pretrained, weights_only=True)
    state = content["model"]
    del state["vision_proj.bias"]
    state["stranger"] = torch.zeros(3)
    state["itm_head.weight"] = torch.zeros(3, 16)
    torch.save(content, path)


def test_strict_refuses_and_lists_what_does_not_match(pretrained, tmp_path):
    damaged(pretrained, tmp_path / "bad.pth")
    ended = convert(tmp_path / "bad.pth", "--output", tmp_path / "out.safetensors")
    assert ended.code == 1
    assert "1 missing: backbone.image_projection.bias (8,)" in ended.out
    assert "1 unexpected: stranger (3,)" in ended.out
    assert "1 misshapen: matcher.weight (3, 16) for (2, 16)" in ended.out
    assert "--strict false" in ended.err
    assert not (tmp_path / "out.safetensors").exists()


def test_not_strict_keeps_what_fits(pretrained, tmp_path):
    damaged(pretrained, tmp_path / "bad.pth")
    output = tmp_path / "out.safetensors"
    assert convert(tmp_path / "bad.pth", "--output", output, "--strict", "false").code == 0
    names = load_file(output)
    assert "matcher.bias" in names
    assert not {"stranger", "matcher.weight"} & set(names)


def test_a_part_that_is_not_there_at_all_is_missing(pretrained, tmp_path):
    content = torch.load(pretrained, weights_only=True)
    content["model"] = {k: v for k, v in content["model"].items() if "visual_encoder" not in k}
    # Official by one name of its image encoder; the rest is gone.
    content["model"]["visual_encoder.norm.bias"] = torch.zeros(16)
    torch.save(content, tmp_path / "half.pth")
    ended = convert(tmp_path / "half.pth")
    assert ended.code == 1
    assert "backbone.image" in ended.out


def test_without_output_nothing_is_written(pretrained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert convert(pretrained).code == 0
    assert list(tmp_path.iterdir()) == []


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


def test_unusual_widths_ask_for_their_heads(pretrained, tmp_path):
    ended = convert(pretrained, "--output", tmp_path / "folder")
    assert ended.code == 1
    assert "--image_heads" in ended.err


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
