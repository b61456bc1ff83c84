"""The page that maps words: by hiding or by Grad-CAM, each honestly named."""

import re
from html import unescape

import pytest
from asked import write_model, write_pictures
from uploaded import file, png
from werkzeug.test import Client

from softmask import SoftMask
from softmask.ask.explained import place
from softmask.web import views
from softmask.web.app import application
from softmask.web.asked import UPLOAD, Asked
from softmask.web.uploads import Upload

TEXT = "a red square"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return Asked(SoftMask.from_pretrained(write_model(tmp_path_factory.mktemp("shared") / "model")))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "them"
    write_pictures(folder)
    return png(folder, "03.png")


@pytest.fixture(scope="module")
def ref(asked, data):
    return UPLOAD + asked.shelf.put(Upload("mine.png", data))


@pytest.fixture
def client(asked):
    return Client(application(asked))


def buttons(page):
    """Ways to map, and whether each is chosen."""
    found = re.findall(r'<input type="radio" name="by" value="(\w+)"( checked)?>', page.text)
    return {value: bool(chosen) for value, chosen in found}


@pytest.mark.parametrize(
    ("by", "heading", "red", "does"),
    [
        ("hiding", "Where the model finds words in", "hiding the picture costs a word", "is found"),
        ("looking", "Where words look in", "a word looks (Grad-CAM of the matching", "looks"),
    ],
)
def test_each_word_has_the_map_that_was_asked_for(client, asked, ref, by, heading, red, does):
    page = client.get("/words", query_string={"of": ref, "text": TEXT, "by": by})
    words = re.findall(r'<label for="w(\d)">([^<]*)</label><figure><img class="map"', page.text)
    assert words == [("0", "whole sentence"), ("1", "a"), ("2", "red"), ("3", "square")]
    found = asked.matching.explain(asked.picture(ref).pixels, TEXT, by=by)
    assert f"probability {found.match:.3f}" in page.text
    assert f"<h2>{heading} mine.png</h2>" in page.text
    assert f"Red is where {red}" in page.text
    said = [unescape(alt) for alt in re.findall(r'alt="([^"]*; masked[^"]*)"', page.text)]
    assert said == [
        f"“{word}” {does} most at {place(patches)}; masked: match {masked:.3f}"
        for word, patches, masked in zip(found.words, found.maps, found.masked, strict=True)
    ]
    assert f"url(/picture/{ref})" in page.text
    maps = re.findall(r'src="data:image/png;base64,([^"]+)"', page.text)
    assert len(set(maps)) == 4
    assert f'name="of" value="{ref}"' in page.text  # another text needs no other picture
    assert buttons(page) == {"hiding": by == "hiding", "looking": by == "looking"}


def test_hiding_is_the_first_choice_and_the_form_sends_it(client, data, ref):
    assert buttons(client.get("/words")) == {"hiding": True, "looking": False}
    plain = client.get("/words", query_string={"of": ref, "text": TEXT})
    assert plain.text == client.get(f"/words?of={ref}&text={TEXT}&by=hiding").text
    given = {"of_file": file(data), "text": TEXT, "by": "looking"}
    sent = client.post("/words", data=given)
    assert buttons(client.get(sent.location)) == {"hiding": False, "looking": True}
    refused = client.post("/words", data={"text": TEXT, "by": "looking"})
    assert refused.status_code == 400
    assert buttons(refused) == {"hiding": False, "looking": True}


def test_where_hiding_takes_long_it_is_said_and_has_to_be_chosen(client, ref, monkeypatch):
    assert "slow here" not in client.get("/words").text
    monkeypatch.setattr(views, "MOST_PATCHES", 15)
    page = client.get("/words")
    assert buttons(page) == {"hiding": False, "looking": True}
    assert "slow here: a pass for each word and each of 16 patches" in page.text
    plain = client.get("/words", query_string={"of": ref, "text": TEXT})
    assert "Grad-CAM of the matching score" in plain.text


def test_a_way_that_there_is_not_is_named(client, ref):
    page = client.get("/words", query_string={"of": ref, "text": TEXT, "by": "<seeing>"})
    assert page.status_code == 400
    assert "by is &#x27;&lt;seeing&gt;&#x27;: give &#x27;looking&#x27; or" in page.text
    assert sum(buttons(page).values()) == 1


def test_other_pages_have_no_such_choice(tmp_path):
    model = SoftMask.from_pretrained(write_model(tmp_path / "nlvr2", 3, truth=True))
    page = Client(application(Asked(judging=model))).get("/statement")
    assert page.status_code == 200
    assert buttons(page) == {}
