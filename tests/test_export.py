"""`softmask export`: what other programs get from the files is what the model gives."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from asked import TEXTS, write_pictures
from program import here
from tiny import shake

from softmask import SoftMask
from softmask.errors import InputError
from softmask.pictures import read_picture, resize
from softmask.towers import difference, exported, towers, write_program

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="ONNX IS NOT TESTED: pip install -e '.[onnx]' (make env does)",
)


@pytest.fixture(scope="module")
def model(shared):
    return SoftMask.from_pretrained(shared)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "them"
    return [folder / name for name in write_pictures(folder, 4)]


def run(*args):
    ended = here(["export", *(str(arg) for arg in args)])
    assert ended.code == 0, ended.err
    return ended


def inputs(model, pictures, texts):
    """As another program makes them, by what export.json says."""
    size = model.config.image.image_size
    squares = [resize(read_picture(path), size).transpose(2, 0, 1) for path in pictures]
    ids, mask = model.captions.encode(texts)
    return {"pixels": np.stack(squares), "input_ids": ids.numpy(), "mask": mask.numpy()}


def test_the_programs_run_without_softmask(shared, model, pictures, tmp_path):
    said = run("--model", shared, "--output", tmp_path / "out")
    assert said.out.count("e-04") == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "image.pt2", "text.pt2", "export.json", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    texts = [TEXTS[0], "a long caption of many words that goes on and on, and then some more"]
    np.savez(tmp_path / "in.npz", **inputs(model, pictures, texts))
    code = (
        "import sys, numpy, torch; given = numpy.load('in.npz'); "
        "run = lambda name, *keys: torch.export.load(f'out/{name}.pt2').module()("
        "*(torch.from_numpy(given[key]) for key in keys)).detach().numpy(); "
        "numpy.savez('got.npz', image=run('image', 'pixels'), "
        "text=run('text', 'input_ids', 'mask')); "
        "print([m for m in sys.modules if m.startswith(('softmask', 'transformers', 'timm'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    got = np.load(tmp_path / "got.npz")
    np.testing.assert_allclose(got["image"], model.embed_images(pictures), atol=1e-6)
    np.testing.assert_allclose(got["text"], model.embed_texts(texts), atol=1e-6)


def test_the_record_says_what_goes_in(shared, tmp_path):
    run("--model", shared, "--output", tmp_path)
    record = json.loads((tmp_path / "export.json").read_text())
    assert set(record["difference"]) == {"image.pt2", "text.pt2"}
    assert all(0 <= value <= record["tolerance"] for value in record["difference"].values())
    assert "(batch, 3, 32, 32)" in record["image"]["pixels"]
    assert "at most 30 words" in record["text"]["input_ids"]
    assert "25 tokens" in record["text"]["input_ids"]


@pytest.fixture(scope="module")
def programs(model, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("programs"), towers(model.backbone, model.config)
    return [write_program(exported(made[name]), folder / name) for name in ("image", "text")]


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("words", [1, 24])
def test_rows_and_lengths_are_free(model, programs, rows, words):
    ids, mask = model.captions.encode([" ".join(["red"] * words)] * rows)
    pixels = torch.randint(256, (rows, 3, 32, 32)).byte()
    image, words = programs
    with torch.no_grad():
        torch.testing.assert_close(image(pixels), model.backbone.encode_image(pixels)[1])
        torch.testing.assert_close(words(ids, mask), model.backbone.encode_text(ids, mask)[1])


def test_the_reach_of_patches_is_exported(model, tmp_path):
    config = replace(model.config, image=replace(model.config.image, reach=0))
    near = shake(SoftMask(config))
    far = shake(SoftMask(model.config))
    tower = towers(near.backbone, config)["image"]
    program = write_program(exported(tower), tmp_path / "image.pt2")
    assert difference(tower, program) <= 1e-6
    assert difference(towers(far.backbone, model.config)["image"], program) > 1e-3


def test_a_difference_is_found_in_any_of_the_inputs(model):
    tower = towers(model.backbone, model.config)["text"]
    last = tower.samples[-1]

    def wrong(ids, mask):
        features = tower.module(ids, mask)
        return features + 0.01 * (ids.shape == last[0].shape) * torch.eye(*features.shape)

    assert difference(tower, wrong) == pytest.approx(0.01)
    assert difference(tower, tower.module) == 0
    assert len({ids.shape for ids, _ in tower.samples}) == len(tower.samples)


def test_onnx_that_is_not_installed_is_said_at_once(shared, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    args = ["export", "--model", str(shared), "--output", str(tmp_path / "out"), "--onnx", "true"]
    ended = here(args)
    assert ended.code == 1
    assert "pip install 'softmask[onnx]'" in ended.err
    assert not (tmp_path / "out").exists()


@needs_onnx
def test_onnxruntime_gives_the_models_features(shared, model, pictures, tmp_path):
    import onnx
    import onnxruntime

    said = run("--model", shared, "--output", tmp_path, "--onnx", "true")
    assert "axis name" not in said.err + said.out
    texts = [TEXTS[0], "a long caption of many words that goes on and on, and then some more"]
    given = inputs(model, pictures, texts)
    for name, expected, keys in (
        ("image", model.embed_images(pictures), ["pixels"]),
        ("text", model.embed_texts(texts), ["input_ids", "mask"]),
    ):
        onnx.checker.check_model(tmp_path / f"{name}.onnx")
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx")
        assert [each.name for each in session.get_inputs()] == keys
        assert all(each.shape[0] == "batch" for each in session.get_inputs())
        for rows in (slice(None), slice(0, 1)):
            (got,) = session.run(["feature"], {key: given[key][rows] for key in keys})
            np.testing.assert_allclose(got, expected[rows], atol=1e-5)


@needs_onnx
def test_what_differs_too_much_is_not_written(shared, tmp_path):
    args = ["--model", str(shared), "--output", str(tmp_path), "--onnx", "true"]
    ended = here(["export", *args, "--tolerance", "1e-12"])
    assert ended.code == 1
    assert ".onnx gives other features than the model" in ended.err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_tolerances_and_models_that_cannot_be_used(shared, model):
    ended = here(["export", "--model", str(shared), "--tolerance", "0"])
    assert ended.code == 1
    assert "tolerance is 0" in ended.err
    with pytest.raises(InputError, match="no matching head"):
        SoftMask(replace(model.config, matcher=False, truth=True)).matching()
