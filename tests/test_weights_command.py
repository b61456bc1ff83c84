"""`softmask weights` on official ALBEF files: looked at and converted through the program."""

import json
import re
import shutil

import official
import pytest
import torch
import yaml
from official import HEADS, convert, inspect, new_task, started_from
from safetensors.torch import load_file
from vocabulary import own_tokenizer

from softmask import SoftMask
from softmask.captions import CaptionOptions, Captions
from softmask.tokenizer import SHIPPED, load_tokenizer
from softmask.weights import load_weights


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
    assert not re.search("missing|unexpected|misshapen", ended.out)
    ended = convert(path, "--output", tmp_path / "task.safetensors")  # strictly
    assert ended.code == 0, ended.err
    assert re.search(r"_m\.", " ".join(load_file(tmp_path / "task.safetensors"))) is None


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
        assert "text.sep true and text.punctuation lavis with" in ended.out
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


def test_unusual_widths_ask_for_their_heads(pretrained, tmp_path):
    ended = convert(pretrained, "--output", tmp_path / "folder")
    assert ended.code == 1
    assert "--image_heads" in ended.err


@pytest.mark.parametrize(
    "flags",
    [("--tokenizer", "x"), ("--license", "mit"), ("--image_heads", "2", "--text_heads", "2")],
)
def test_what_a_file_does_not_keep_is_refused(pretrained, tmp_path, flags):
    ended = convert(pretrained, "--output", tmp_path / "x.safetensors", *flags)
    assert ended.code == 1
    assert "give --output FOLDER" in ended.err
    assert all(flag in ended.err for flag in flags[::2])
    assert list(tmp_path.iterdir()) == []


def test_a_runs_checkpoint_keeps_the_runs_tokenizer(fitted, tmp_path):
    run, output = tmp_path / "run", tmp_path / "out"
    shutil.copytree(fitted, run)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["data"]["init_args"]["text"]["tokenizer"] = str(own_tokenizer(tmp_path / "own"))
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    last = run / "checkpoints" / "last.ckpt"
    ended = convert(last, "--output", output)
    assert ended.code == 0, ended.err
    ids = SoftMask.from_pretrained(output).captions.encode(["a red car"])[0]
    expected, shipped = (
        Captions(load_tokenizer(name), CaptionOptions()).encode(["a red car"])[0]
        for name in (str(tmp_path / "own"), SHIPPED)
    )
    assert ids.equal(expected)
    assert not ids.equal(shipped)
    refused = convert(last, "--output", tmp_path / "two", "--text_heads", "2")
    assert refused.code == 1
    assert "leave --image_heads and --text_heads out" in refused.err


@pytest.mark.parametrize("piece", ["query", "key"])
def test_a_piece_of_a_projection_that_is_not_there_is_missing(pretrained, tmp_path, piece):
    content = torch.load(pretrained, weights_only=True)
    name = f"text_encoder.bert.encoder.layer.6.crossattention.self.{piece}.weight"
    if piece == "query":
        name = name.replace("crossattention", "attention")
    del content["model"][name]
    torch.save(content, tmp_path / "ALBEF.pth")
    ended = convert(tmp_path / "ALBEF.pth", "--output", tmp_path / "folder")
    assert ended.code == 1
    assert "1 missing, such as backbone.fusion.layers.0." in ended.err
    assert "Traceback" not in ended.err
