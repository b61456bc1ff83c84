"""Steps on the page of `softmask demo`, for the browser test and for README's pictures."""

from pathlib import Path

from playwright.sync_api import FilePayload, Locator, Page


def search(page: Page, text: str) -> Locator:
    """The pictures of the hits."""
    page.goto("/")
    page.get_by_label("Description").fill(text)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=f"Pictures for “{text}”").wait_for()
    return page.get_by_role("listitem").get_by_role("img")


def open_hit(page: Page, number: int) -> Locator:
    """Click a hit, from 1, and see the one map that is shown at first."""
    page.get_by_role("listitem").get_by_role("link").nth(number - 1 + links(page)).click()
    page.locator(".words").wait_for()
    return page.locator(".words figure:visible")


def map_by(page: Page, way: str) -> Locator:
    """Ask again for the same picture and text with maps made another way, by its label."""
    page.get_by_role("radio", name=way).check()
    page.get_by_role("button", name="Show").click()
    page.locator(".words").wait_for()
    return page.locator(".words figure:visible")


def links(page: Page) -> int:
    """Links of the navigation, which stand in a list, too."""
    return page.get_by_role("navigation").get_by_role("link").count()


def choose(page: Page, word: str) -> Locator:
    """Click a word and see its map."""
    page.get_by_text(word, exact=True).first.click()
    return page.locator(".words figure:visible")


def upload_to_words(page: Page, file: FilePayload, text: str) -> Locator:
    """Send a file that is refused, and see the message."""
    page.goto("/words")
    page.get_by_label("Text").fill(text)
    page.get_by_label("Picture", exact=True).set_input_files(file)
    page.get_by_role("button", name="Show").click()
    return page.get_by_role("alert")


def ask(page: Page, picture: Path, question: str) -> Locator:
    """Answers, the likeliest first."""
    page.goto("/question")
    page.get_by_label("Picture", exact=True).set_input_files(picture)
    page.get_by_label("Question").fill(question)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=question).wait_for()
    return page.locator(".answer li")


def state(page: Page, left: Path, right: Path, statement: str) -> Locator:
    """What is said of a statement about two pictures."""
    page.goto("/statement")
    page.get_by_label("Left picture").set_input_files(left)
    page.get_by_label("Right picture").set_input_files(right)
    page.get_by_label("Statement").fill(statement)
    page.keyboard.press("Enter")
    page.get_by_text("True with probability").wait_for()
    return page.locator(".answer")
