"""Official files of fine-tuned ALBEF, folders that the command makes of them, and their tasks."""

import json
from pathlib import Path

import official
import program
import torch
import yaml
from fake import draw
from official import HEADS, convert, new_backbone
from PIL import Image

from data_modules import VqaData
from data_modules.labelled import MakeLabelled
from data_modules.shards import Sample
from data_modules.text import TextOptions
from softmask import SoftMask
from softmask.backbone import CONTRAST
from softmask.batch import ENTAILMENT
from softmask.tasks import EntailmentTask, Nlvr2Task, VqaTask
from softmask.weights import load_weights

LIST = ["yes", "no", "red", "a blue square", "on the left", "2", "xylophone"]
TEXTS = ["what is it?", "is the red square left of it?", "where " + "very " * 27 + "far is it?"]
"""The last is cut at 25 tokens by pretraining, not by these tasks."""
KINDS = ("retrieval", "vqa", "nlvr2", "snli_ve")


def write_all(folder: Path) -> Path:
    """Official files by task, LAVIS's of VQA, released grounding's, and the list of answers."""
    for task in KINDS:
        official.write_albef(folder / f"{task}.pth", task)
    state = official.albef("vqa", seed=1)
    torch.save({"model": state}, folder / "albef_vqav2_lavis.pt")
    whole = official.albef("retrieval", seed=2)
    released = {k: v for k, v in whole.items() if "_m." not in k and "queue" not in k}
    torch.save(released, folder / "refcoco.pth")
    (folder / "answer_list.json").write_text(json.dumps(LIST))
    return folder


def write_three(folder: Path) -> list[Path]:
    """Three pictures."""
    drawn = [("red", "square", "left"), ("yellow", "circle", "right"), ("blue", "circle", "left")]
    for n, (colour, shape, place) in enumerate(drawn):
        pixels = draw(colour, shape, place, ("white", "black", "green")[n], 40 + 7 * n)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return [folder / f"{n}.png" for n in range(3)]


def made(file, folder, *flags):
    """A folder that the command made."""
    ended = convert(file, "--output", folder, *HEADS, *flags)
    assert ended.code == 0, ended.err
    return SoftMask.from_pretrained(folder)


def filled(kind, file, *args, **options):
    """A task that starts from a file as by `init_from`: all that its loss reads is there."""
    task = kind(new_backbone(), *args, **options).eval()
    report = load_weights(task, file, task.adapt)
    missing = [k for k in report.missing if "queue" not in k and not k.startswith("momentum.")]
    unread = CONTRAST if kind in (VqaTask, Nlvr2Task, EntailmentTask) else ()
    assert all(name.startswith(unread) for name in missing)
    assert (report.unexpected, report.misshapen) == ([], [])
    return task


def batch(data, pictures, texts=TEXTS):
    """What evaluation of a data module makes of single pictures with texts."""
    samples = [
        Sample(n, "here", str(n), {"png": path.read_bytes(), "txt": text.encode()})
        for n, (path, text) in enumerate(zip(pictures, texts, strict=True))
    ]
    return MakeLabelled(data.plain(), ENTAILMENT, required=False)(samples, 0)


def options(name, sep=False):
    """Texts as conf/data reads them, in the 32 positions of the narrow files."""
    data = yaml.safe_load((program.CONF / f"data/{name}.yaml").read_text())
    text = data["init_args"]["text"]
    text["max_tokens"] = min(text["max_tokens"], 32)
    if sep:  # LAVIS's
        text["punctuation"] = "lavis_questions" if name == "vqa" else "lavis"
    return {"image_size": 64, "text": TextOptions(**text, sep=sep)}


def answers(task, pictures, sep=False):
    """The task's ranked answers and their probabilities."""
    data = VqaData(**options("vqa", sep), eval_tokens=32)
    ranked = task.rank(batch(data, pictures))
    return [[LIST[n] for n in row] for row in ranked.place.tolist()], ranked.probability
