"""Runs compared with a reference: event files are real, what is in them is made up."""

import json
import math
import random
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from benchmarks import reference
from benchmarks.reference import Curve, cut, judge
from softmask.errors import InputError

STEPS = 480


def write_run(folder: Path, seed: int, task: str = "softmask.tasks.PretrainTask", off: float = 0.0):
    """A falling loss and a rising recall with noise; `off` moves the loss's second half."""
    draw = random.Random(seed)
    folder.mkdir()
    (folder / "config.yaml").write_text(
        f"model: {{class_path: {task}, init_args: {{backbone: {{}}}}}}\n"
    )
    with SummaryWriter(str(folder)) as writer:
        for step in range(0, STEPS, 5):
            late = off if step > STEPS // 2 else 0.0
            loss = 4 * math.exp(-step / 150) + draw.gauss(0, 0.1) + late
            writer.add_scalar("train/loss", loss, step)
            writer.add_scalar("perf/samples_per_s", draw.random(), step)
        for step in range(99, STEPS, 100):
            writer.add_scalar("val/recall", step / STEPS + draw.gauss(0, 0.005), step)
        writer.add_scalar("train/odd", math.nan, 5)
        table = "| fact | value |\n| --- | --- |\n| commit | abc |\n| data hash, train | 123 |"
        writer.add_text("run", table)
        writer.add_text("run", table.replace("train | 123", "test | 45"), STEPS)  # of a test alone
    return folder


@pytest.fixture
def kept(tmp_path):
    refs = tmp_path / "reference"
    reference.keep(write_run(tmp_path / "healthy", 0), "demo", refs)
    return refs


def test_a_reference_holds_means_of_stretches_and_says_where_it_is_from(kept):
    made = json.loads((kept / "demo.json").read_text())
    assert made["task"] == "softmask.tasks.PretrainTask"
    # No speed, and nothing that is not finite.
    assert made["curves"].keys() == {"train/loss", "val/recall"}
    assert made["facts"] == {"commit": "abc", "data hash, train": "123", "data hash, test": "45"}
    noise, means = made["curves"]["train/loss"]
    assert len(means) == reference.STRETCHES
    assert noise == pytest.approx(0.1, rel=0.5)
    assert means[0][1] > 3.5 > 0.5 > means[-1][1]


def test_stretches_are_means_of_all_values_up_to_their_last_step():
    line = {step: float(step) for step in range(96)}
    curve = cut(line, steps=95)
    assert curve.means[0] == (3, 1.5)  # of 0, 1, 2, 3
    assert curve.means[-1] == (95, 93.5)
    assert len(curve.means) == reference.STRETCHES
    # Neighbours that differ by one, whatever the slope is: the noise that explains such a median.
    assert curve.noise == pytest.approx(1 / 0.67449 / math.sqrt(2), rel=1e-4)
    assert cut({7: 2.0}, steps=95) == Curve(0.0, [(7, 2.0)])


def test_another_seed_is_alike_and_a_broken_half_is_apart(tmp_path, kept):
    alike = reference.compare(write_run(tmp_path / "other", 1), folder=kept)
    assert {each.tag: each.word for each in alike} == {"train/loss": "alike", "val/recall": "alike"}
    apart = reference.compare(write_run(tmp_path / "broken", 2, off=1.5), folder=kept)
    loss = next(each for each in apart if each.tag == "train/loss")
    assert loss.word == "apart"
    assert loss.outside == pytest.approx(0.5, abs=0.05)
    assert loss.run - loss.reference == pytest.approx(1.5, abs=0.2)


def test_a_shorter_run_is_compared_as_far_as_it_goes(kept):
    known = json.loads((kept / "demo.json").read_text())
    _, means = known["curves"]["train/loss"]
    half = dict(means[: len(means) // 2])
    assert judge("train/loss", known, half).outside == 0
    assert judge("train/loss", known, half).reference == means[len(half) - 1][1]
    assert judge("train/loss", known, {STEPS * 10: 1.0}).word == "missing"


def test_what_is_allowed_is_two_deviations_and_a_tenth_of_the_span():
    means = [(step, float(step // 10)) for step in range(9, 240, 10)]  # spans 23
    known = {"steps": 239, "curves": {"x": [1.0, means]}}
    just, over = ({step: value + off for step, value in means} for off in (4.2, 4.4))
    assert not judge("x", known, just).outside
    assert judge("x", known, over).outside == 1.0


def test_the_page_shows_both_and_what_is_apart_first(tmp_path, kept):
    run = write_run(tmp_path / "broken", 2, off=1.5)
    reference.compare(run, "demo", kept)
    page = (run / "compared.html").read_text()
    assert page.index("train/loss: apart") < page.index("<h3>val/recall")
    assert page.count("<polyline") >= 4
    assert "reference demo" in page
    assert "commit: abc; data hash, train: 123" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_program_ends_with_one_if_a_curve_is_apart(tmp_path, kept, capsys):
    reference.main("compare", write_run(tmp_path / "other", 1), folder=kept)
    assert "2 alike; see" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        reference.main("compare", write_run(tmp_path / "broken", 2, off=1.5), folder=kept)
    assert ended.value.code == 1
    assert "1 apart, 1 alike; see" in capsys.readouterr().out


def test_curves_that_a_run_lacks_are_named_and_none_alike_is_no_success(tmp_path, kept, capsys):
    run, file = write_run(tmp_path / "other", 1), kept / "demo.json"
    known = json.loads(file.read_text())
    known["curves"]["val/none"] = known["curves"]["val/recall"]
    file.write_text(json.dumps(known))
    reference.main("compare", run, folder=kept)
    assert "1 missing, 2 alike; see" in capsys.readouterr().out
    page = (run / "compared.html").read_text()
    assert page.index("<h3>val/none: missing") < page.index("<h3>train/loss")
    known["curves"] = {"val/none": known["curves"]["val/none"]}
    file.write_text(json.dumps(known))
    with pytest.raises(SystemExit) as ended:
        reference.main("compare", run, folder=kept)
    assert ended.value.code == 1


def test_the_task_chooses_the_reference(tmp_path, kept):
    vqa = write_run(tmp_path / "vqa", 3, "softmask.tasks.VqaTask")
    with pytest.raises(
        InputError, match=r"of softmask\.tasks\.VqaTask, whose references are: none of demo"
    ):
        reference.compare(vqa, folder=kept)
    reference.keep(vqa, "vqa", kept)
    assert reference.find(vqa, None, kept)["name"] == "vqa"
    reference.keep(vqa, "vqa-scratch", kept)
    with pytest.raises(InputError, match=r"vqa, vqa-scratch\. Name the one"):
        reference.compare(vqa, folder=kept)
    assert reference.find(vqa, "vqa-scratch", kept)["name"] == "vqa-scratch"


def test_bad_input_is_one_sentence(tmp_path, kept):
    with pytest.raises(InputError, match="no reference 'other': give one of demo"):
        reference.find(tmp_path, "other", kept)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit, match="holds no TensorBoard file"):
        reference.main("keep", empty, name="x", folder=kept)
    with pytest.raises(SystemExit, match="needs a name"):
        reference.main("keep", empty, folder=kept)


def test_shipped_references_are_of_recipes_that_are_there():
    root = Path(__file__).parent.parent
    files = sorted(reference.FOLDER.glob("*.json"))
    assert files
    for file in files:
        read = json.loads(file.read_text())
        assert read["name"] == file.stem
        assert (root / "conf" / f"{file.stem.removesuffix('-scratch')}.yaml").is_file() or (
            root / "conf" / "demo" / f"{file.stem.removeprefix('scenes-')}.yaml"
        ).is_file()
        assert all(len(means) > 1 for _, means in read["curves"].values())
