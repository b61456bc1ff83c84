"""Pictures of the page for README, docs/results/page, with the models of `make demo-tasks`.

    make page-pictures

The steps are those of the browser test, whatever the models say to them. The question and the
statement are the first of their test sets; the search and the word were chosen.
"""

import argparse
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import browser
import walked
from PIL import Image
from playwright.sync_api import Page

from data_modules.shards import Sample, ShardSet

ROOT = Path(__file__).parent.parent
SEARCHED, WORD = "a cat and a red heart", "heart"
WIDTH, HEIGHT = 900, 700
HITS = 8
MOST_BYTES = 150_000


def main() -> None:
    given = _parser().parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    runs = {"model": "retrieval", "vqa": "vqa", "nlvr2": "nlvr2"}
    flags = [f"--{flag}={given.runs / name}" for flag, name in runs.items()]
    with TemporaryDirectory() as name:
        scenes = Path(name) / "scenes"
        unpack(given.data / "pairs/test", scenes)
        flags += [f"--images={scenes}", f"--top={HITS}"]
        with browser.served(flags, Path(name) / "served") as at, browser.browser() as opened:
            view = {"width": WIDTH, "height": HEIGHT}
            page = opened.new_context(base_url=at, viewport=view, color_scheme="light").new_page()
            walk(page, given.data, Path(name), given.output)


def walk(page: Page, data: Path, folder: Path, output: Path) -> None:
    """Take the steps of the browser test, and a picture after each.

    Args:
        page: of the demo, which searches scenes.
        data: of the scenes, of which the first question and the first statement are asked.
        folder: where the pictures of these are put.
        output: for the pictures of the page.
    """
    hits = walked.search(page, SEARCHED)
    for number in range(hits.count()):
        hits.nth(number).evaluate("i => i.decode()")
    take(page, output / "search.png")
    walked.open_hit(page, 1)
    walked.choose(page, WORD).get_by_role("img").evaluate("i => i.decode()")
    take(page, output / "words.png")
    asked = first(data / "vqa/test")
    walked.ask(page, picture(asked, "png", folder / "asked.png"), text(asked))
    take(page, output / "question.png")
    stated = first(data / "nlvr2/test")
    sides = (picture(stated, f"{s}.png", folder / f"{s}.png") for s in ("left", "right"))
    walked.state(page, *sides, text(stated))
    take(page, output / "statement.png")
    wrong = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    walked.upload_to_words(page, wrong, SEARCHED).wait_for()
    take(page, output / "refused.png")


def take(page: Page, place: Path) -> None:
    """Photograph the page from its top to the end of what is on it, in few colours."""
    page.mouse.move(0, 0)
    end = page.evaluate("document.querySelector('main').getBoundingClientRect().bottom + scrollY")
    area = {"x": 0, "y": 0, "width": WIDTH, "height": round(end) + 16}
    shot = Image.open(BytesIO(page.screenshot(full_page=True, clip=area))).convert("RGB")
    palette = shot.quantize(256, method=Image.Quantize.MEDIANCUT)
    shot.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(place, optimize=True)
    assert place.stat().st_size < MOST_BYTES, f"{place}: {place.stat().st_size} bytes"


def unpack(shards: Path, folder: Path) -> None:
    """Write the pictures of shards as files."""
    folder.mkdir()
    found = ShardSet(str(shards))
    for place in range(len(found)):
        picture(found.read(place), "png", folder / f"scene-{place:03d}.png")


def first(shards: Path) -> Sample:
    return ShardSet(str(shards)).read(0)


def text(sample: Sample) -> str:
    return sample.columns["txt"].decode()


def picture(sample: Sample, column: str, place: Path) -> Path:
    place.write_bytes(sample.columns[column])
    return place


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/demo-tasks")
    parser.add_argument("--data", type=Path, default=ROOT / "data/scenes")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results/page")
    return parser


if __name__ == "__main__":
    main()
