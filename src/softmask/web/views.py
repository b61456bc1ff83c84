"""The pages of `softmask demo`: search a folder, see words, ask a question, judge a statement."""

from html import escape
from typing import cast

from PIL import Image

from softmask.ask.explained import Explained, Tile, tiles
from softmask.ask.finding import Hit, Query, find
from softmask.ask.html import data_uri, fitted
from softmask.explain import By
from softmask.model import SoftMask
from softmask.panels import glow
from softmask.web.asked import FOLDER, Asked, Values, brief
from softmask.web.frame import TEXT, Choice, PictureField, View, address, picture_address

OF, LEFT, RIGHT = "of", "left", "right"
"""Names of the pictures of forms."""
BY = "by"
"""Name of the choice of how words are mapped."""
MOST_PATCHES = 100
"""Up to which a CPU hides places unasked. A base-size model took it 25 s for seven words on 256
patches (one thread), and demo models of 64 a blink."""
ANSWERS = 5
"""Answers shown of a question."""
SIDE, MAP_SIDE = 720, 160
"""Pixels of the longer side of a picture, and of a map that the browser spreads over it."""


def views(asked: Asked) -> list[View]:
    """The pages that the models at hand can answer."""
    words = WORDS if asked.matching is None else WORDS._replace(choice=ways(asked.matching))
    have = {
        SEARCH: asked.library is not None,
        words: asked.matching is not None,
        QUESTION: asked.answering is not None,
        STATEMENT: asked.judging is not None,
    }
    return [view for view, there in have.items() if there]


def ways(model: SoftMask) -> Choice:
    """How words are mapped: by hiding, which finds things best, unless it takes long."""
    rows, columns = model.backbone.image.grid
    patches = rows * columns
    slow = patches > MOST_PATCHES and model.backbone.temperature.device.type == "cpu"
    price = f"; slow here: a pass for each word and each of {patches} patches" if slow else ""
    options: tuple[tuple[By, str], ...] = (
        ("hiding", f"where the model finds it (by hiding{price})"),
        ("looking", "where it looks in the sentence (Grad-CAM)"),
    )
    return Choice(BY, "Show for each word", options, "looking" if slow else "hiding")


def found(asked: Asked, values: Values) -> str:
    """Pictures for a text."""
    assert asked.library is not None
    assert asked.matching is not None
    query = Query(values[TEXT], None)
    with asked.lock:
        hits = find(
            asked.matching,
            asked.library.index,
            asked.library.features,
            query,
            asked.top,
            asked.candidates,
        )
    items = "".join(_hit(hit, values[TEXT]) for hit in hits)
    return f"<h2>Pictures for “{escape(values[TEXT])}”</h2><ol class='grid hits'>{items}</ol>"


def explained(asked: Asked, values: Values) -> str:
    """A map for each word, of which one is chosen."""
    assert asked.matching is not None
    shown = asked.picture(values[OF])
    by = cast(By, values[BY])  # or an InputError
    with asked.lock:
        maps = asked.matching.explain(shown.pixels, values[TEXT], by=by)
    layer = None if by == "hiding" else asked.matching.config.mask_layer
    picture = fitted(Image.fromarray(shown.pixels), SIDE)
    pair = Explained(shown.name, values[TEXT], picture, layer, maps)
    words = "".join(_word(pair, number, tile) for number, tile in enumerate(tiles(pair)))
    return (
        f"<h2>{pair.heading} in {escape(brief(shown.name))}</h2>"
        f"<p>“{escape(values[TEXT])}” matches with probability {maps.match:.3f}.</p>"
        f'<fieldset class="words" style="--picture: url({picture_address(shown.ref)})">'
        f"<legend>Choose a word to see its map. Red is where {escape(pair.red)}; “masked” is the "
        f"match with what is red faded.</legend>{words}</fieldset>"
    )


def answered(asked: Asked, values: Values) -> str:
    """The likeliest answers to a question."""
    assert asked.answering is not None
    shown = asked.picture(values[OF])
    with asked.lock:
        said = asked.answering.answer(shown.pixels, values[TEXT], top=ANSWERS)
    rows = zip(said.answers[0], said.probability[0].tolist(), strict=True)
    items = "".join(
        f"<li><span>{escape(text)}</span> {_meter(share, text)}</li>" for text, share in rows
    )
    return f"<div class='answer'><h2>{escape(values[TEXT])}</h2><ol>{items}</ol></div>"


def judged(asked: Asked, values: Values) -> str:
    """Whether a statement is true of two pictures."""
    assert asked.judging is not None
    left, right = (asked.picture(values[side]).pixels for side in (LEFT, RIGHT))
    with asked.lock:
        share = float(asked.judging.verify(left, right, values[TEXT])[0])
    verdict = "True" if share >= 0.5 else "False"
    return (
        f"<div class='answer'><h2>{verdict}: “{escape(values[TEXT])}”</h2>"
        f"<p>True with probability {_meter(share, 'True')}</p></div>"
    )


def _hit(hit: Hit, text: str) -> str:
    ref = f"{FOLDER}{hit.at}"
    match = "" if hit.match is None else f"match {hit.match:.3f}, "
    link = escape(address(WORDS.path, {OF: ref, TEXT: text}), quote=True)
    name = escape(brief(hit.key), quote=True)
    return (
        f'<li><figure class="hit"><a href="{link}"><img src="{picture_address(ref)}" '
        f'alt="Hit {hit.rank}: {name}. Show where the words look." loading="lazy"></a>'
        f"<figcaption>{hit.rank}. {name}<br>{match}cosine {hit.cosine:.3f}</figcaption></figure>"
        f"</li>"
    )


def _word(pair: Explained, number: int, tile: Tile) -> str:
    """A word to choose, and its map, which is shown while it is chosen."""
    title, size = escape(tile.title), pair.picture.size
    scale = MAP_SIDE / max(size)
    small = max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
    alt = escape(pair.alternative(tile), quote=True)
    chosen = " checked" if number == 0 else ""
    return (
        f'<input type="radio" name="word" id="w{number}"{chosen}><label for="w{number}">{title}'
        f'</label><figure><img class="map" width="{size[0]}" height="{size[1]}" alt="{alt}" '
        f'style="--ratio: {size[0] / size[1]:.3f}" '
        f'src="{data_uri(glow(tile.patches, small), "png")}"><figcaption><b>{title}</b>, '
        f"{escape(tile.note)}</figcaption></figure>"
    )


def _meter(share: float, of: str) -> str:
    return (
        f'<meter value="{share:.4f}" min="0" max="1" aria-label="{escape(of, quote=True)}"></meter>'
        f" {100 * share:.1f}&nbsp;%"
    )


ONE = (PictureField(OF, "Picture"),)
SEARCH = View(
    "/search",
    "Search",
    "Describe a picture of the folder. The matching head orders the nearest; choose a hit to see "
    "where the words look in it.",
    (),
    "Description",
    "a cat on a red sofa",
    "Search",
    found,
)
WORDS = View(
    "/words",
    "Words",
    "See where each word of a text is in a picture.",
    ONE,
    "Text",
    "a cat on a red sofa",
    "Show",
    explained,
)
QUESTION = View(
    "/question",
    "Question",
    "Ask about a picture. The answer is one of the model's list.",
    ONE,
    "Question",
    "what colour is the sofa?",
    "Ask",
    answered,
)
STATEMENT = View(
    "/statement",
    "Two pictures",
    "Is a statement true of two pictures?",
    (PictureField(LEFT, "Left picture"), PictureField(RIGHT, "Right picture")),
    "Statement",
    "both pictures show a cat",
    "Judge",
    judged,
)
