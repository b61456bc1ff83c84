"""`SoftMask` shared: folders, the hub, cards, the program; and the task of a run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import huggingface_hub.hub_mixin as hub
import pytest
import torch
import yaml
from fake import draw
from program import here, refused

from softmask import SoftMask
from softmask.errors import InputError
from softmask.sharing import read_folder, write_folder

TEXTS = ["a red square on the left of a blue ground", "two xylophones, yellow"]


@pytest.fixture(scope="module")
def model(fitted):
    return SoftMask.from_pretrained(fitted, checkpoint="last")


@pytest.fixture(scope="module")
def pictures():
    return [
        draw("red", "square", "left", "blue", 50),
        draw("yellow", "circle", "right", "black", 90),
    ]


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("shared") / "model"
    model.save_pretrained(path)
    return path


def test_saved_and_loaded_gives_equal_scores(model, folder, pictures):
    again = SoftMask.from_pretrained(folder)
    assert again.config == model.config
    assert torch.equal(again.score(pictures, TEXTS), model.score(pictures, TEXTS))
    assert again.card == model.card
    assert not again.training
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_reach_of_patches_is_shared_too(fitted, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(fitted, run)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["model"]["init_args"]["backbone"]["init_args"]["image"]["init_args"]["reach"] = 1
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    near = SoftMask.from_pretrained(run, checkpoint="last")
    assert near.config.image.reach == 1
    near.save_pretrained(tmp_path / "model")
    again = SoftMask.from_pretrained(tmp_path / "model")
    assert torch.equal(again.backbone.image.near, near.backbone.image.near)


def test_type_and_device_are_those_asked_for(folder, model, pictures):
    half = SoftMask.from_pretrained(folder, device="cpu", dtype=torch.bfloat16)
    assert half.matcher.weight.dtype == torch.bfloat16
    scores = half.score(pictures, TEXTS)
    assert scores.dtype == half.embed_images(pictures).dtype == torch.float32
    torch.testing.assert_close(scores, model.score(pictures, TEXTS), atol=0.02, rtol=0)
    assert half.explain(pictures[0], TEXTS[0]).maps.dtype == torch.float32


def test_a_folder_starts_a_run(folder, fitted, corpus, tmp_path):
    from program import arguments

    flags = ["--model.init_args.init_from", str(folder)]
    ended = here([*arguments("test", corpus, tmp_path), *flags])
    assert ended.code == 0, ended.err
    assert f"{folder}: 1" in ended.out  # so many tensors loaded
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    before = json.loads((fitted / "report.json").read_text())
    assert report["itm"] == before["itm"]


def test_sources_that_are_no_model_are_refused(folder, fitted, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither a run nor a shared model"):
        SoftMask.from_pretrained(tmp_path / "empty")
    with pytest.raises(InputError, match=r"no checkpoint 'other.ckpt'.*last.ckpt"):
        SoftMask.from_pretrained(fitted, checkpoint="other.ckpt")
    with pytest.raises(InputError, match="nobody/nothing"):
        SoftMask.from_pretrained("nobody/nothing", local_files_only=True, cache_dir=tmp_path)
    shutil.copytree(folder, tmp_path / "bad")
    config = json.loads((folder / "config.json").read_text())
    for change, words in (
        ({"mask_layer": "2"}, "mask_layer"),
        ({"stranger": 1}, "stranger"),
        ({"text": {}}, "text.heads"),
        ({"embed_dim": 9}, r"misshapen: backbone.image_projection.weight \(8, 16\) for \(9, 16\)"),
        ({"words": False}, "unexpected: words.bias"),
    ):
        (tmp_path / "bad" / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(InputError, match=words):
            SoftMask.from_pretrained(tmp_path / "bad")


def header_and_body(card):
    _, header, body = card.split("---\n", 2)
    return yaml.safe_load(header), body


def test_card_tells_of_the_run(model, fitted):
    header, body = header_and_body(model.card)
    assert header["license"] == "apache-2.0"
    assert header["library_name"] == "softmask"
    checkpoint = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)
    report = json.loads((fitted / "report.json").read_text())
    for words in (
        "| task | `PretrainTask` |",
        "| trained for | 4 steps",
        checkpoint["PretrainData"]["hash"],
        f"| itm/i2t/r5 | {report['itm']['i2t']['r5']:.4g} |",
        "Tested on `test`",
        "class_path: softmask.tasks.PretrainTask",
        "@inproceedings{park2023softmask",
        "apache-2.0",
    ):
        assert words in body, words
    assert str(fitted.parent) not in body  # a stranger needs no path of this machine


def test_the_card_tells_no_secret_of_an_address(fitted, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(fitted, run)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    signed = "https://alice:pw@host/train?X-Amz-Signature=pw/alice"
    settings["data"]["init_args"] |= {
        "train": [{"path": signed}, {"path": "s3://alice:pw@bucket/train"}],
        "val": "pipe:alice --password pw",
        "test": "file:///home/alice/pw/test",
        "predict": "https://alice:pw@host/a.tar::https://alice@host/b.tar?pw::pipe:alice pw",
    }
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    report = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps(report | {"corpus": signed}))
    card = SoftMask.from_pretrained(run, checkpoint="last").card
    assert not any(word in card for word in ("alice", "pw", "Amz"))
    for words in (
        "path: https://host/train\n",
        "path: s3://bucket/train\n",
        "val: pipe:...\n",
        "test: test\n",
        "predict: https://host/a.tar::https://host/b.tar::pipe:...\n",
        "Tested on `train`",
    ):
        assert words in card


def test_figures_of_other_weights_are_not_given(fitted):
    best = SoftMask.from_pretrained(fitted)  # the first epoch's end; the test was of the last
    assert "The run's last test was of step 4, these are the weights of step 3" in best.card
    assert "| itm/i2t/r5" not in best.card


class Hub:
    """Takes what is pushed, instead of the network."""

    def __init__(self, seen, token=None):
        self.seen, self.token = seen, token

    def create_repo(self, repo_id, private, exist_ok):
        self.seen.update(private=private, exist_ok=exist_ok)
        return type("Repo", (), {"repo_id": repo_id})

    def upload_folder(self, *, repo_id, folder_path, **rest):
        self.seen.update(rest)
        files = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}
        self.seen.update(repo_id=repo_id, files=files)
        return f"https://hub/{repo_id}"


def test_export_writes_a_folder_and_pushes_it(fitted, folder, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(hub, "HfApi", lambda token=None: Hub(seen, token))
    flags = ["--checkpoint", "last", "--push", "me/mine", "--private", "true"]
    output = tmp_path / "out"
    ended = here(["weights", "export", str(fitted), "--output", str(output), *flags])
    assert ended.code == 0, ended.err
    assert "https://hub/me/mine" in ended.out
    assert seen["repo_id"] == "me/mine"
    assert seen["private"] is True
    written = {path.name: path.read_bytes() for path in output.iterdir()}
    assert seen["files"] == written
    assert written["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert written["config.json"] == (folder / "config.json").read_bytes()


@pytest.mark.parametrize(
    "error", [OSError("401 Unauthorized"), httpx.ConnectError("no route to host")]
)
def test_a_hub_that_refuses_is_told_in_a_paragraph(fitted, tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(Hub, "create_repo", refuse)
    monkeypatch.setattr(hub, "HfApi", lambda token=None: Hub({}, token))
    output = tmp_path / "out"
    flags = ["--checkpoint", "last", "--push", "me/mine", "--output", str(output)]
    said = refused("weights", "export", str(fitted), *flags)
    assert f"'{output}' is written, but 'me/mine' could not be pushed" in said
    assert str(error) in said
    assert read_folder(output).state


def test_a_folder_that_is_half_another_models_is_not_read(shared, tmp_path, monkeypatch):
    place = shutil.copytree(shared, tmp_path / "model")
    parts = read_folder(place)
    monkeypatch.setattr(type(parts.tokenizer), "save_pretrained", broken_off)
    with pytest.raises(KeyboardInterrupt):
        write_folder(place, parts)
    with pytest.raises(InputError, match=r"its config\.json cannot be read"):
        read_folder(place)


def broken_off(*_):
    raise KeyboardInterrupt


def test_a_repository_that_is_nowhere_is_not_private(fitted, tmp_path):
    args = ["--output", str(tmp_path / "out"), "--private", "true"]
    ended = here(["weights", "export", str(fitted), *args])
    assert ended.code == 1
    assert "give --push too" in ended.err
    assert not (tmp_path / "out").exists()


def test_export_of_no_run_is_refused(tmp_path):
    ended = here(["weights", "export", str(tmp_path)])
    assert ended.code == 1
    assert "not the folder of a run" in ended.err


def test_importing_the_model_is_light():
    heavy = ("lightning", "webdataset", "albumentations", "data_modules", "tensorboard")
    code = (
        "import sys; from softmask import SoftMask; assert SoftMask.score; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
