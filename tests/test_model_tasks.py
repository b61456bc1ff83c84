"""`SoftMask` of fine-tuned runs: it answers and judges as the task that it came from."""

import json
import shutil
import subprocess
import sys

import fine_tuned
import pytest
import torch
import yaml
from asked import write_model
from corpora import ANSWERS
from fake import draw
from PIL import Image
from program import here

from data_modules.answered import MakeQuestions
from data_modules.labelled import MakeLabelled
from data_modules.nlvr2 import MakeTwoImages
from data_modules.pictured import Reader
from data_modules.shards import Sample
from data_modules.text import Text, TextOptions
from softmask import SoftMask
from softmask.backbone import CONTRAST
from softmask.batch import ENTAILMENT
from softmask.errors import InputError
from softmask.ranking import Ranked
from softmask.tasks import load_task
from softmask.weights import load_weights

QUESTIONS = ["What color is it?", "Is the red square on the left of the white ground?", "where"]
LONG = "is it " + "very " * 40 + "red"  # longer than training reads
PLACES = [("red", "square", "left", "blue"), ("yellow", "circle", "right", "black")]


@pytest.fixture(scope="module")
def pictures():
    drawn = [draw(*place, 40 + 7 * n) for n, place in enumerate(PLACES)]
    return [*drawn, draw("blue", "circle", "left", "white", 50)]


@pytest.fixture(scope="module", params=["vqa", "vqa-class"])
def run(request, corpus_of, tmp_path_factory):
    return fine_tuned.fit(request.param, corpus_of, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def model(run):
    return SoftMask.from_pretrained(run, checkpoint="last")


@pytest.fixture(scope="module")
def pairs_run(corpus_of, tmp_path_factory):
    return fine_tuned.fit("nlvr2", corpus_of, tmp_path_factory.mktemp("nlvr2"))


@pytest.fixture(scope="module")
def pairs_model(pairs_run):
    return SoftMask.from_pretrained(pairs_run, checkpoint="last")


def png(picture, path):
    Image.fromarray(picture).save(path)
    return path.read_bytes()


def asked(pictures, questions, folder):
    """What VQA's data module makes of pictures in files, in evaluation."""
    samples = [
        Sample(n, "here", str(n), {
            "png": png(picture, folder / f"{n}.png"),
            "txt": question.encode(),
            "json": json.dumps({"question_id": n, "answers": []}).encode(),
        })
        for n, (picture, question) in enumerate(zip(pictures, questions, strict=True))
    ]  # fmt: skip
    options = TextOptions(max_words=50, max_tokens=32, punctuation="albef")
    return MakeQuestions(Reader(Text(options), 32))(samples, 0)


def test_answers_are_the_tasks(model, run, pictures, tmp_path):
    questions = [*QUESTIONS[:2], LONG]
    task = load_task(run, "last")
    expected: Ranked = task.rank(asked(pictures, questions, tmp_path))
    found = model.answer(pictures, questions, top=4)
    torch.testing.assert_close(found.probability, expected.probability[:, :4])
    names = [[ANSWERS[place] for place in row] for row in expected.place[:, :4].tolist()]
    assert found.answers == names
    assert found.best == [row[0] for row in names]
    if model.decoder is not None:
        assert (model.config.answers.ranked, model.config.answers.double_first) == (4, False)
    assert len(set(found.best)) > 1 or found.probability[:, 0].unique().numel() == 3


def test_a_picture_for_many_questions_and_batches_change_nothing(model, pictures):
    one = [model.answer(pictures[0], question, top=3) for question in QUESTIONS]
    expected = torch.cat([each.probability for each in one])
    assert expected[:, 0].unique().numel() == 3
    for size in (1, 2, 32):
        found = model.answer(pictures[0], QUESTIONS, top=3, batch_size=size)
        torch.testing.assert_close(found.probability, expected)
        assert found.answers == [each.answers[0] for each in one]
        whole = model.answer(pictures, QUESTIONS, top=3, batch_size=size)
        torch.testing.assert_close(whole.probability[:1], expected[:1])
        same = model.answer(pictures, QUESTIONS[0], top=3, batch_size=size)
        torch.testing.assert_close(same.probability[:1], expected[:1])
    assert same.probability[:, 0].unique().numel() == 3


def test_paths_and_pil_images_are_read_like_arrays(model, pictures, tmp_path):
    png(pictures[0], tmp_path / "a.png")
    expected = model.answer(pictures[0], QUESTIONS[0])
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pictures[0])):
        found = model.answer(given, QUESTIONS[0])
        assert torch.equal(found.probability, expected.probability)
        assert found.answers == expected.answers


def test_type_and_device_are_those_asked_for(model, run, pictures):
    half = SoftMask.from_pretrained(run, checkpoint="last", device="cpu", dtype=torch.bfloat16)
    assert half.backbone.text.table.dtype == torch.bfloat16
    found, plain = (m.answer(pictures, QUESTIONS, top=9).probability for m in (half, model))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain, atol=0.05, rtol=0)
    assert all(buffer.is_meta for buffer in half.to("meta").buffers())


def test_a_shared_folder_answers_the_same_and_starts_a_task(model, run, pictures, tmp_path):
    ended = here(["weights", "export", str(run), "--checkpoint", "last", "--output", str(tmp_path)])
    assert ended.code == 0, ended.err
    again = SoftMask.from_pretrained(tmp_path)
    assert again.config == model.config
    found, expected = (m.answer(pictures, QUESTIONS, top=3) for m in (again, model))
    assert found.answers == expected.answers
    assert torch.equal(found.probability, expected.probability)
    card = (tmp_path / "README.md").read_text()
    assert "- visual-question-answering\n" in card
    assert 'model.answer("picture.jpg"' in card
    assert "match" not in card.split("## Use")[1].split("```")[1]
    task = load_task(run, "last")
    report = load_weights(task, tmp_path, task.adapt)
    assert all(name.startswith(CONTRAST) for name in report.missing)
    assert (report.unexpected, report.misshapen) == ([], [])


def test_the_list_comes_with_the_checkpoint_or_from_its_file(run, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    settings = yaml.safe_load((copy / "config.yaml").read_text())
    settings["model"]["init_args"]["answers"] = "gone.json"
    (copy / "config.yaml").write_text(yaml.safe_dump(settings))
    assert SoftMask.from_pretrained(copy, checkpoint="last").config.answers.listed == (*ANSWERS,)
    path = copy / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    del content["softmask"]["answers"]  # as older versions wrote it
    torch.save(content, path)
    with pytest.raises(InputError, match=r"gone\.json' cannot be read.*model.init_args.answers"):
        SoftMask.from_pretrained(copy, checkpoint="last")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone.json").write_text(json.dumps(ANSWERS))
    assert SoftMask.from_pretrained(copy, checkpoint="last").config.answers.listed == (*ANSWERS,)


def test_a_checkpoint_alone_converts_with_its_own_list(model, run, tmp_path):
    inside, alone = run / "checkpoints" / "last.ckpt", tmp_path / "alone.ckpt"
    shutil.copy(inside, alone)
    sizes = model.config
    heads = ["--image_heads", str(sizes.image.heads), "--text_heads", str(sizes.text.heads)]
    output = ["--output", str(tmp_path / "model"), *heads]
    ended = here(["weights", "convert", str(inside), *output])
    assert ended.code == 1
    assert "`softmask weights export" in ended.err
    ended = here(["weights", "convert", str(alone), *output])
    assert ended.code == 0, ended.err
    assert SoftMask.from_pretrained(tmp_path / "model").config.answers.listed == (*ANSWERS,)
    (tmp_path / "other.json").write_text(json.dumps(ANSWERS[1:]))
    ended = here(["weights", "convert", str(alone), *output, "--answers", f"{tmp_path}/other.json"])
    assert ended.code == (0 if model.decoder else 1)
    if model.decoder is None:
        assert f"has {len(ANSWERS)} classes, but" in ended.err
        assert f"lists {len(ANSWERS) - 1} answers" in ended.err


def test_what_it_was_not_trained_for_is_refused(model, pairs_model, pictures, run, tmp_path):
    plain = SoftMask.from_pretrained(write_model(tmp_path / "plain"))
    for call, words in (
        (lambda: plain.answer(pictures[0], "what?"), "answers no questions: give a run of VqaTask"),
        (lambda: pairs_model.answer(pictures[0], "what?"), "answers no questions"),
        (lambda: plain.verify(*pictures[:2], "both"), "no statements about two images"),
        (lambda: model.verify(*pictures[:2], "both"), "no statements about two images"),
        (lambda: model.score(pictures[0], "a"), "no matching head"),
        (lambda: model.embed_images(pictures[0]), "no matching head"),
        (lambda: pairs_model.embed_texts("a"), "no matching head"),
        (lambda: model.explain(pictures[0], "a"), "no matching head"),
        (lambda: model.answer(pictures, QUESTIONS[:2]), "3 images are given with 2 questions"),
        (lambda: model.answer(pictures[0], " "), "no token"),
        (lambda: model.answer(pictures[0], "a", top=0), "top is 0"),
        (lambda: model.answer(pictures[0], "a", top=1.5), "top is 1.5"),
        (lambda: model.answer(pictures[0], "a", batch_size=0), "batch_size is 0"),
        (lambda: model.answer([], "a"), "No picture"),
        (lambda: pairs_model.verify(pictures, pictures[:2], "a"), "3 left images are given with 2"),
        (lambda: pairs_model.verify(pictures, pictures, ["a", "b"]), "3 images .* 2 statements"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    picture = png(pictures[0], tmp_path / "a.png") and str(tmp_path / "a.png")
    args = ["score", "--model", str(run), "--checkpoint", "last", "--image", picture]
    ended = here([*args, "--text", "a"])
    assert ended.code == 1
    assert "no matching head" in ended.err
    assert "Traceback" not in ended.err


def test_statements_are_judged_as_the_task_does(pairs_model, pairs_run, pictures, tmp_path):
    lefts, rights = pictures, [pictures[1], pictures[2], pictures[0]]
    said = ["both show a circle", "one is red", "left of a yellow square"]
    samples = [
        Sample(n, "here", str(n), {
            "left.png": png(left, tmp_path / "left.png"),
            "right.png": png(right, tmp_path / "right.png"),
            "txt": text.encode(),
            "json": json.dumps({"label": "True", "identifier": str(n)}).encode(),
        })
        for n, (left, right, text) in enumerate(zip(lefts, rights, said, strict=True))
    ]  # fmt: skip
    task = load_task(pairs_run, "last")
    reader = Reader(Text(TextOptions(max_words=30, max_tokens=128, punctuation="albef")), 32)
    with torch.no_grad():
        logits, _ = task.judge(MakeTwoImages(reader, required=True)(samples, 0))
    expected = logits.softmax(dim=1)[:, 1]
    assert expected.unique().numel() == 3
    for size in (1, 2, 32):
        found = pairs_model.verify(lefts, rights, said, batch_size=size)
        torch.testing.assert_close(found, expected)
    alone = pairs_model.verify(lefts[0], rights[0], said)
    torch.testing.assert_close(alone[:1], expected[:1])
    turned = pairs_model.verify(rights[0], lefts[0], said[0])
    assert not torch.isclose(turned[0], expected[0], atol=1e-4)


def test_a_shared_folder_judges_the_same(pairs_model, pairs_run, pictures, tmp_path):
    pairs_model.save_pretrained(tmp_path)
    again = SoftMask.from_pretrained(tmp_path)
    assert again.config == pairs_model.config
    assert again.config.fusion.layers == 2
    sides = pictures[0], pictures[1]
    assert torch.equal(again.verify(*sides, "a"), pairs_model.verify(*sides, "a"))
    assert 'model.verify("left.jpg"' in (tmp_path / "README.md").read_text()
    task = load_task(pairs_run, "last")
    report = load_weights(task, tmp_path, task.adapt)
    assert all(name.startswith(CONTRAST) for name in report.missing)
    assert (report.unexpected, report.misshapen) == ([], [])


def test_asking_a_run_is_light(run, pairs_run, pictures, tmp_path):
    png(pictures[0], tmp_path / "a.png")
    heavy = ("lightning", "webdataset", "albumentations", "data_modules", "tensorboard")
    heavy = (*heavy, "torchmetrics", "matplotlib")
    code = (
        "import sys; from softmask import SoftMask; "
        f"asks = SoftMask.from_pretrained({str(run)!r}, checkpoint='last'); "
        f"print(asks.answer({str(tmp_path / 'a.png')!r}, 'what?').best); "
        f"judges = SoftMask.from_pretrained({str(pairs_run)!r}, checkpoint='last'); "
        f"print(float(judges.verify(*[{str(tmp_path / 'a.png')!r}] * 2, 'both'))); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    best, truth, imported = done.stdout.splitlines()
    assert json.loads(best.replace("'", '"'))[0] in ANSWERS
    assert 0 < float(truth) < 1
    assert imported == "[]"


@torch.no_grad()
def test_a_run_of_entailment_is_shared_and_judges_as_its_task(corpus_of, pictures, tmp_path):
    run = fine_tuned.fit("snli_ve", corpus_of, tmp_path)
    model = SoftMask.from_pretrained(run, checkpoint="last")
    model.save_pretrained(tmp_path / "model")
    samples = [
        Sample(
            n, "here", str(n), {"png": png(picture, tmp_path / f"{n}.png"), "txt": text.encode()}
        )
        for n, (picture, text) in enumerate(zip(pictures, QUESTIONS, strict=True))
    ]
    reader = Reader(Text(TextOptions(max_words=30, max_tokens=128, punctuation="albef")), 32)
    batch = MakeLabelled(reader, ENTAILMENT, required=False)(samples, 0)
    expected = load_task(run, "last").judge(batch)[0].softmax(dim=1)
    assert expected.unique().numel() == 9
    for each in (model, SoftMask.from_pretrained(tmp_path / "model")):
        found = each.entail(pictures, QUESTIONS)
        torch.testing.assert_close(found.probability, expected)
        assert found.labels == [ENTAILMENT[n] for n in expected.argmax(dim=1).tolist()]
