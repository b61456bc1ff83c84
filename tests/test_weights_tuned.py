"""Official files of fine-tuned ALBEF: folders of them answer as the tasks that start from them."""

import os
import re
import signal
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import program
import pytest
import torch
import yaml
from official import HEADS
from tuned_files import LIST, TEXTS, answers, batch, filled, made, options, write_all, write_three
from werkzeug.datastructures import FileStorage
from werkzeug.test import stream_encode_multipart

from data_modules import EntailmentData, GroundingData, Nlvr2Data, RetrievalData, VqaData
from data_modules.shards import Sample
from softmask.batch import ENTAILMENT
from softmask.cli import main
from softmask.errors import InputError
from softmask.explain import explain_words
from softmask.finetuned import CUT
from softmask.tasks import (
    EntailmentTask,
    GroundingTask,
    Nlvr2Task,
    Ranking,
    RetrievalTask,
    VqaTask,
)
from softmask.weights import load_weights


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_three(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", ["vqa.pth", "albef_vqav2_lavis.pt"])
def test_vqa_answers_as_its_task(given, pictures, tmp_path, name, double):
    listed, lavis = given / "answer_list.json", "lavis" in name
    flags = ["--answers", listed, "--double_first", str(double).lower()]
    model = made(given / name, tmp_path / "vqa", *flags)
    task = filled(VqaTask, given / name, str(listed), ranking=Ranking(double_first=double))
    names, probability = answers(task, pictures, sep=lavis)
    found = model.answer(pictures, TEXTS, top=len(LIST))
    assert found.answers == names
    torch.testing.assert_close(found.probability, probability)
    assert probability[:, 0].unique().numel() == 3
    assert model.config.captions.sep is lavis
    assert model.config.captions.punctuation == ("lavis_questions" if lavis else "albef")
    assert model.config.answers.listed == tuple(LIST)
    # A folder starts the task too; of the shared space nothing is made up.
    report = load_weights(task, tmp_path / "vqa", task.adapt)
    assert all(re.match(r"backbone\.(\w+_projection|temperature)", k) for k in report.missing)
    assert (report.unexpected, report.misshapen) == ([], [])


def test_a_folder_that_is_saved_again_is_the_same(given, tmp_path):
    model = made(given / "vqa.pth", tmp_path / "a", "--answers", given / "answer_list.json")
    model.save_pretrained(tmp_path / "b")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    card = (tmp_path / "a" / "README.md").read_text()
    assert "- visual-question-answering\n" in card
    assert "official ALBEF, VQA" in card
    assert 'model.answer("picture.jpg"' in card


@torch.no_grad()
def test_nlvr2_judges_as_its_task(given, pictures, tmp_path):
    model = made(given / "nlvr2.pth", tmp_path / "nlvr2")
    task = filled(Nlvr2Task, given / "nlvr2.pth")
    turned = [*pictures[1:], pictures[0]]
    samples = [
        Sample(n, "here", str(n), {
            "left.png": left.read_bytes(), "right.png": right.read_bytes(), "txt": text.encode(),
            "json": b"{}",
        })
        for n, (left, right, text) in enumerate(zip(pictures, turned, TEXTS, strict=True))
    ]  # fmt: skip
    data = Nlvr2Data(**options("nlvr2"))
    expected = task.judge(data.make_evaluation()(samples, 0))[0].softmax(dim=1)[:, 1]
    found = model.verify(pictures, turned, TEXTS)
    torch.testing.assert_close(found, expected)
    assert not torch.isclose(model.verify(turned, pictures, TEXTS), found).any()
    assert model.config.fusion.layers == 6


@torch.no_grad()
def test_snli_ve_judges_as_its_task(given, pictures, tmp_path):
    model = made(given / "snli_ve.pth", tmp_path / "snli_ve")
    task = filled(EntailmentTask, given / "snli_ve.pth")
    expected = task.judge(batch(EntailmentData(**options("snli_ve")), pictures))[0].softmax(dim=1)
    found = model.entail(pictures, TEXTS)
    torch.testing.assert_close(found.probability, expected)
    assert expected.unique().numel() == 9
    assert found.labels == [ENTAILMENT[n] for n in expected.argmax(dim=1).tolist()]
    alone = model.entail(pictures[0], TEXTS[0], batch_size=1)
    torch.testing.assert_close(alone.probability, expected[:1])
    assert 'model.entail("picture.jpg"' in (tmp_path / "snli_ve" / "README.md").read_text()
    with pytest.raises(InputError, match="judges no statements about two images"):
        model.verify(*pictures[:2], "both")
    with pytest.raises(InputError, match="no matching head"):
        model.score(pictures[0], "a")


@torch.no_grad()
@pytest.mark.parametrize("name", ["retrieval.pth", "refcoco.pth"])
def test_retrieval_scores_as_its_task(given, pictures, tmp_path, name):
    model = made(given / name, tmp_path / "folder")
    task = filled(RetrievalTask, given / name)
    seen = batch(RetrievalData(**options("coco")), pictures)
    tokens, image = task.backbone.encode_image(seen["image"])
    states, text = task.backbone.encode_text(seen["input_ids"], seen["attention_mask"])
    keys = task.backbone.project(tokens)
    logits = task.matcher(task.backbone.match_state(states, seen["attention_mask"], keys))
    judged = model.judge(pictures, TEXTS)
    torch.testing.assert_close(judged.match, logits.softmax(dim=1)[:, 1])
    torch.testing.assert_close(judged.cosine, (image * text).sum(dim=1))
    with pytest.raises(InputError, match="judges no entailment"):
        model.entail(pictures, TEXTS)


def test_grounding_shows_the_maps_of_its_task(given, pictures, tmp_path):
    model = made(given / "refcoco.pth", tmp_path / "folder")
    task = filled(GroundingTask, given / "refcoco.pth")
    seen = batch(GroundingData(**options("refcoco")), pictures)
    pieces = [1, 2, 3]  # "what is it", a piece each
    chosen = torch.eye(seen["input_ids"].shape[1], dtype=torch.bool)[pieces]
    expected = explain_words(
        task.backbone, task.matcher, task.soft_mask.layer, image=seen["image"][:1],
        input_ids=seen["input_ids"][:1], mask=seen["attention_mask"][:1], pieces=chosen[None],
    )  # fmt: skip
    found = model.explain(pictures[0], TEXTS[0])
    torch.testing.assert_close(found.maps.flatten(1), expected.maps[0])
    assert found.words == ["what", "is", "it"]  # ALBEF saw no question mark
    assert found.maps.flatten(1).std(dim=1).min() > 0.05


def test_texts_are_cut_as_conf_says():
    named = {"RetrievalTask": "coco", "GroundingTask": "refcoco", "Nlvr2Task": "nlvr2",
             "EntailmentTask": "snli_ve"}  # fmt: skip
    for task, name in named.items():
        text = yaml.safe_load((program.CONF / f"data/{name}.yaml").read_text())["init_args"]["text"]
        assert (CUT[task].max_words, CUT[task].max_tokens) == (
            text["max_words"],
            text["max_tokens"],
        )
    data = VqaData()
    for task in ("VqaTask", "VqaClassTask"):
        assert (CUT[task].max_words, CUT[task].max_tokens) == (data.eval_words, data.eval_tokens)


def test_from_official_vqa_to_an_answer_and_the_page(given, pictures, tmp_path):
    listed, folder = given / "answer_list.json", tmp_path / "vqa"
    args = ["weights", "convert", given / "vqa.pth", "--output", folder, "--answers", listed]
    ended = program.apart([*map(str, args), *HEADS], tmp_path / "converted")
    assert ended.code == 0, ended.err
    task = filled(VqaTask, given / "vqa.pth", str(listed))
    names, _ = answers(task, pictures)
    code = (
        "import sys; from softmask import SoftMask; folder, picture, question = sys.argv[1:]; "
        "print(SoftMask.from_pretrained(folder).answer(picture, question, top=7).answers[0])"
    )
    words = [sys.executable, "-c", code, str(folder), str(pictures[0]), TEXTS[0]]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(names[0])
    demo = ["demo", "--vqa", str(folder), "--port", "0"]
    running = program.start(main, (demo,), tmp_path / "demo")
    try:
        page = asked(where(running), pictures[0], TEXTS[0])
    finally:
        os.kill(running.process.pid, signal.SIGINT)
        ended = program.finish(running)
    assert re.findall(r"<li><span>([^<]*)</span> <meter", page) == names[0][:5]
    assert ended.err == ""


def where(running):
    """The address that the page says it is served at."""
    end = time.monotonic() + 60
    while time.monotonic() < end and running.process.is_alive():
        if running.out.exists() and (said := re.search(r"http://\S+/", running.out.read_text())):
            return said[0]
        time.sleep(0.1)
    raise AssertionError(running.out.read_text() + running.err.read_text())


def asked(address, picture, question):
    """What the page answers to a form."""
    with picture.open("rb") as file:
        fields = {"of_file": FileStorage(file, "picture.png"), "text": question}
        stream, _, boundary = stream_encode_multipart(fields)
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urlopen(Request(f"{address}question", stream.read(), kind), timeout=60) as page:
        return page.read().decode()
