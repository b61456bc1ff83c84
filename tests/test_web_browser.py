"""`softmask demo` in a real Chromium: searched, clicked, typed at, given bad files."""

import os
from pathlib import Path

import browser
import photograph
import pytest
import walked
from asked import ANSWERS, write_model, write_pictures
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

pytestmark = browser.NEEDED


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "them"
    write_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def address(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    models = {
        "model": write_model(folder / "model"),
        "vqa": write_model(folder / "vqa", 3, answers=ANSWERS),
        "nlvr2": write_model(folder / "nlvr2", 3, truth=True),
    }
    flags = [f"--{name}={path}" for name, path in models.items()]
    with browser.served([*flags, f"--images={pictures}", "--upload_mb=1"], folder / "out") as at:
        yield at


@pytest.fixture
def page(chromium, address):
    """A page that complains of anything that it cannot load, and of what is not ours."""
    context = chromium.new_context(base_url=address)
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong, asked = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Policy" in said.text else None)
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Where screenshots go: $SCREENSHOTS keeps them."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def loaded(image):
    image.scroll_into_view_if_needed()
    return image.evaluate("i => i.decode().then(() => i.naturalWidth)")


def test_the_page_loads_and_a_query_shows_pictures(page, photos):
    page.goto("/")
    assert page.title() == "Search - softmask"
    assert page.get_by_role("heading", level=1).inner_text() == "Search"
    hits = walked.search(page, "a red square")
    assert hits.count() == 10
    assert all(loaded(hits.nth(n)) == 48 for n in range(10))
    assert hits.first.get_attribute("alt").startswith("Hit 1: ")
    browser.photograph(page, photos, "search")


def test_a_click_on_a_word_shows_its_map(page, photos):
    walked.search(page, "a red square")
    shown = walked.open_hit(page, 1)
    assert shown.locator("figcaption").inner_text().startswith("whole sentence")
    maps = {}
    for word in ("red", "square"):
        shown = walked.choose(page, word)
        assert shown.count() == 1
        assert shown.locator("figcaption b").inner_text() == word
        image = shown.get_by_role("img")
        assert f"“{word}” is found most at" in image.get_attribute("alt")
        assert loaded(image) > 0
        assert "/picture/f" in image.evaluate("i => getComputedStyle(i).backgroundImage")
        assert image.bounding_box()["width"] > 200
        maps[word] = image.screenshot()
    assert maps["red"] != maps["square"]
    for width in browser.WIDTHS.values():
        page.set_viewport_size({"width": width, "height": 900})
        label = page.locator(".words label").last.bounding_box()
        assert label["height"] < 50
        assert image.bounding_box()["y"] >= label["y"] + label["height"]
    page.set_viewport_size({"width": 1600, "height": 500})
    assert image.bounding_box()["height"] < 400  # with the words in one window
    browser.photograph(page, photos, "words")
    walked.map_by(page, "where it looks in the sentence")
    shown = walked.choose(page, "red")
    image = shown.get_by_role("img")
    assert "“red” looks most at" in image.get_attribute("alt")
    assert page.get_by_role("radio", name="Grad-CAM").is_checked()
    page.set_viewport_size({"width": 1600, "height": 500})
    assert image.screenshot() != maps["red"]


def test_words_are_chosen_by_keys_alone(page):
    walked.search(page, "a red square")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('figure') !== null"):
            break
    page.keyboard.press("Enter")
    page.locator(".words").wait_for()
    for name in ("by", "word"):
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.name") == name:
                break
        assert page.evaluate("document.activeElement.checked")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".words figure:visible b").inner_text() == "red"
    outline = "getComputedStyle(document.activeElement.nextElementSibling).outlineStyle"
    assert page.evaluate(outline) == "solid"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"no picture", "not a picture that can be read"), (bytes(3_000_000), "may have 1 MiB")],
    ids=["another type", "too large"],
)
def test_a_bad_upload_shows_a_clear_message(page, photos, data, words):
    chosen = {"name": "mine.png", "mimeType": "image/png", "buffer": data}
    alert = walked.upload_to_words(page, chosen, "a red square")
    assert words in alert.inner_text()
    assert page.title() == "Refused: Words - softmask"
    assert alert.bounding_box()["y"] < 900  # seen without scrolling
    browser.photograph(page, photos, f"refused-{len(data)}")


def test_a_question_and_then_another_about_the_same_picture(page, pictures, photos):
    answers = walked.ask(page, pictures / "03.png", "What color is it?")
    assert answers.count() == 5
    bars = [answers.nth(n).locator("meter") for n in range(5)]
    assert len({bar.bounding_box()["x"] for bar in bars}) == 1  # lengths can be compared
    said = [answers.nth(n).locator("span").inner_text() for n in range(5)]
    assert [bar.get_attribute("aria-label") for bar in bars] == said
    assert set(answers.all_inner_texts()[0].split()) & set(ANSWERS.listed)
    page.get_by_label("Question").fill("Is it red?")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("heading", name="Is it red?").wait_for()
    assert loaded(page.get_by_alt_text("The picture chosen before")) == 48
    browser.photograph(page, photos, "question")


def test_a_statement_about_two_pictures(page, pictures, photos):
    walked.state(page, pictures / "00.png", pictures / "05.png", "both pictures are red")
    browser.photograph(page, photos, "statement")


def test_pictures_for_readme_are_of_these_steps(page, corpus_of, tmp_path):
    """`make page-pictures`, with models and data that mean nothing."""
    for name in ("vqa", "nlvr2"):
        (tmp_path / name).symlink_to(corpus_of(name))
    page.set_viewport_size({"width": photograph.WIDTH, "height": photograph.HEIGHT})
    photograph.walk(page, tmp_path, tmp_path, tmp_path)
    assert page.get_by_role("alert").is_visible()
    for name in ("search", "words", "question", "statement", "refused"):
        with Image.open(tmp_path / f"{name}.png") as taken:
            assert taken.width == photograph.WIDTH
            assert taken.convert("RGB").getcolors(2) is None  # not blank


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    ["/search", "/search?text=red", "/words?of=f1&text=a+red+square", "/question", "/statement",
     "/words?of=f99&text=a", "/none"],
)  # fmt: skip
def test_no_rule_of_accessibility_is_broken(page, path, scheme):
    """By axe-core: labels, alternative texts, contrast, names of regions."""
    page.emulate_media(color_scheme=scheme)
    page.goto(path)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
