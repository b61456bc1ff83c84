"""Pages that commands write, in a real Chromium: narrow and wide, light and dark, by keys."""

import browser
import pytest
from asked import write_model, write_pictures, write_table
from axe_playwright_python.sync_playwright import Axe
from program import here

pytestmark = browser.NEEDED

PAGES = {
    "report": "report.html",
    "stats": "stats/stats.html",
    "explained": "explained/index.html",
    "hits": "hits.html",
    "texts": "texts.html",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory, fitted, corpus):
    """A page of each command that writes some."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "report.html").symlink_to(fitted / "report.html")
    model, pictures = write_model(folder / "model"), folder / "pictures"
    names = write_pictures(pictures)
    table = write_table(folder / "pairs.csv", [(names[0], "a red square"), (names[1], "a thing")])
    ask, index = ["--model", str(model)], str(folder / "features")
    rows = ["--images", str(pictures), "--csv", str(table)]
    for command in (
        ["data", "stats", "--path", str(corpus / "train"), "--output", str(folder / "stats")],
        ["explain", *ask, *rows, "--one_page", "true", "--output", str(folder / "explained")],
        ["embed", *ask, *rows, "--output", index],
        ["search", "--index", index, "--text", "a red square", "--html", str(folder / "hits.html")],
        ["search", "--index", index, "--image", str(pictures / names[0]), "--html",
         str(folder / "texts.html")],
    ):  # fmt: skip
        ended = here(command)
        assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def page(chromium):
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def opened(page, written, name, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((written / PAGES[name]).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", browser.WIDTHS.values())
def test_pages_can_be_read_by_all(page, written, name, width, scheme):
    """No rule of axe-core is broken, and nothing is wider than the window."""
    page.emulate_media(color_scheme=scheme)
    opened(page, written, name, width)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert not browser.overflows(page)


@pytest.mark.parametrize("width", browser.WIDTHS.values())
def test_letters_in_a_reports_panels_are_not_shrunk_away(page, written, width):
    opened(page, written, "report", width)
    images = page.locator(".pictures img")
    assert images.count() > 2
    for image in images.all():
        image.scroll_into_view_if_needed()
        image.evaluate("i => i.decode()")
        assert image.evaluate("i => i.width / i.naturalWidth") > 0.8


def test_a_narrow_reports_panels_scroll_by_keys(page, written):
    opened(page, written, "report", browser.WIDTHS["narrow"])
    panel = page.locator(".pictures [role=region]").first
    # Room to scroll is there before a picture that is loaded late has come.
    assert panel.evaluate("e => e.scrollWidth > e.clientWidth")
    panel.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("e => e.scrollLeft > 0", arg=panel.element_handle())
