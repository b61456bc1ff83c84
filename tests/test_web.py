"""The page of `softmask demo` without a browser: what it answers, refuses and keeps."""

import re
import socket
from html import unescape
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from asked import ANSWERS, TEXTS, write_model, write_pictures
from PIL import Image
from program import here
from uploaded import big, file, png
from werkzeug.test import Client

from softmask import SoftMask
from softmask.ask.embed import embed
from softmask.ask.index import load, open_index
from softmask.web import command
from softmask.web.app import application
from softmask.web.asked import Asked, Library, brief


@pytest.fixture(scope="module")
def asked(shared, folder, tmp_path_factory):
    """All four pages."""
    output = tmp_path_factory.mktemp("index") / "features"
    embed(str(shared), folder, output=output)
    index = open_index(output)
    tuned = {"vqa": {"answers": ANSWERS}, "nlvr2": {"truth": True}}
    vqa, nlvr2 = (
        SoftMask.from_pretrained(write_model(output.parent / name, 3, **options))
        for name, options in tuned.items()
    )
    library = Library(index, load(index, "images"))
    return Asked(SoftMask.from_pretrained(shared), library, vqa, nlvr2, top=4)


@pytest.fixture
def client(asked):
    return Client(application(asked, upload_mb=1))


def sent(client, path, **fields):
    """A form as a browser sends it, and what it is led to."""
    answer = client.post(path, data=fields)
    assert answer.status_code == 303, answer.text
    return answer.location, client.get(answer.location)


def said(answer):
    """The message of a page."""
    found = re.search(r'<p class="error" role="alert">(.*?)</p>', answer.text, re.DOTALL)
    return unescape(found[1]) if found else None


def test_it_begins_with_what_the_models_can_do(client, asked):
    assert client.get("/").location == "/search"
    page = client.get("/search")
    assert page.status_code == 200
    names = re.findall(r'<li><a href="/(\w+)"', page.text)
    assert names == ["search", "words", "question", "statement"]
    assert page.text.count('aria-current="page"') == 1
    alone = Client(application(Asked(answering=asked.answering)))
    assert alone.get("/").location == "/question"
    assert re.findall(r'<li><a href="/(\w+)"', alone.get("/question").text) == ["question"]
    assert alone.get("/search?text=a").status_code == 404
    assert "There is no such page" in alone.get("/search").text


def test_a_query_shows_the_hits_of_search(client, asked):
    page = client.get("/search", query_string={"text": TEXTS[3]})
    hits = re.findall(r'alt="Hit (\d): ([^"]*)\. Show', page.text)
    library = asked.library
    text = asked.matching.embed_texts(TEXTS[3])[0]
    rows, _ = library.features.nearest(text, 16)
    pictures = [library.index.picture(library.features.keys[r], r) for r in rows]
    match = asked.matching.score(pictures, TEXTS[3])
    best = [library.features.keys[rows[place]] for place in match.argsort(descending=True)]
    assert [name for _, name in hits] == best[:4]
    assert [rank for rank, _ in hits] == ["1", "2", "3", "4"]
    source = re.search(r'<img src="(/picture/f\d+)"', page.text)[1]
    picture = client.get(source)
    assert picture.mimetype == "image/jpeg"
    assert Image.open(BytesIO(picture.data)).size == Image.open(
        asked.library.index.plan.held["images"].root + "/" + best[0]
    ).size  # fmt: skip


def test_an_uploaded_picture_is_asked_and_asked_again(client, asked, folder):
    where, page = sent(client, "/question", of_file=file(png(folder)), text="What color is it?")
    values = parse_qs(urlsplit(where).query)
    expected = asked.answering.answer(folder / "00.png", "What color is it?", top=5)
    items = re.findall(r"<li><span>([^<]*)</span> <meter[^>]*></meter> ([\d.]+)&nbsp;%", page.text)
    assert [text for text, _ in items] == expected.answers[0]
    assert [float(share) for _, share in items] == pytest.approx(
        (100 * expected.probability[0]).tolist(), abs=0.06
    )
    (ref,) = values["of"]
    _, again = sent(client, "/question", of=ref, text="where is it?")
    other = asked.answering.answer(folder / "00.png", "where is it?", top=5)
    assert re.findall(r"<li><span>([^<]*)</span> <meter", again.text) == other.answers[0]
    _, another = sent(client, "/question", of=ref, of_file=file(png(folder, "05.png")), text="x")
    assert ref not in another.text
    assert client.get(f"/picture/{ref}").mimetype == "image/jpeg"


def test_a_statement_is_judged_of_both_pictures_in_their_order(client, asked, folder):
    files = {"left_file": png(folder), "right_file": png(folder, "03.png")}
    given = {name: file(data) for name, data in files.items()}
    _, page = sent(client, "/statement", **given, text="both are red")
    share = float(asked.judging.verify(folder / "00.png", folder / "03.png", "both are red")[0])
    turned = float(asked.judging.verify(folder / "03.png", folder / "00.png", "both are red")[0])
    assert abs(share - turned) > 0.002
    assert f"{100 * share:.1f}&nbsp;%" in page.text
    assert (">True:" if share >= 0.5 else ">False:") in page.text


@pytest.mark.parametrize(
    ("make", "words", "code"),
    [
        (lambda f: b"no picture at all", "is not a picture that can be read", 400),
        (lambda f: b"", "is not a picture that can be read", 400),
        (lambda f: png(f)[:-60], "is broken and cannot be read to its end", 400),
        (lambda f: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "JPEG, PNG, WebP or GIF", 400),
        (lambda f: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "JPEG, PNG", 400),
        (big, "8000 x 6000 pixels, more than the 40,000,000", 400),
        (lambda f: bytes(2 * 1024 * 1024), "may have 1 MiB in all", 413),
    ],
)
def test_a_bad_upload_is_refused_in_words(client, folder, tmp_path, make, words, code):
    data = make(tmp_path if make is big else folder)
    given = {"of_file": file(data, '<b>"x".png'), "text": "what & why?"}
    answer = client.post("/words", data=given)
    assert answer.status_code == code
    assert words in said(answer)
    assert "<b>" not in answer.text.split("<main>")[1].replace("<b>whole", "")
    if code == 400:  # what is too large is not read at all
        assert 'value="what &amp; why?"' in answer.text
    assert '<form action="/words"' in answer.text


def test_what_is_missing_or_made_up_is_said(client, folder):
    for fields, words in (
        ({"text": "a"}, "Picture: no file was chosen"),
        ({"of_file": file(png(folder))}, "Text: there is no text"),
    ):
        answer = client.post("/words", data=fields)
        assert answer.status_code == 400
        assert words in said(answer)
    for ref in ("u0123456789abcdef", "f99", "f-1", "f²", "x1", "f" + "9" * 30, "../../etc"):
        answer = client.get("/words", query_string={"of": ref, "text": "a"})
        assert answer.status_code == 400, ref
        assert said(answer)
        assert 'type="hidden"' not in answer.text
        assert client.get(f"/picture/{ref}").status_code in (400, 404)
    answer = client.get("/search", query_string={"text": "\u200b"})
    assert "has no token" in said(answer)
    assert client.get("/search?text=").status_code == 200
    long = client.get("/search", query_string={"text": "red " * 5000})
    assert long.status_code == 200


def test_a_picture_that_is_gone_is_named(client, asked, monkeypatch):
    monkeypatch.setitem(asked.library.names, 2, "gone.png")
    answer = client.get("/words", query_string={"of": "f2", "text": "a"})
    assert answer.status_code == 400
    assert "gone.png" in said(answer)


def test_text_cannot_become_html(client, folder):
    evil = "<script>alert(1)</script>\"'"
    for answer in (
        client.get("/search", query_string={"text": evil}),
        client.get("/words", query_string={"of": "f1", "text": evil}),
        sent(client, "/question", of_file=file(png(folder), evil), text=evil)[1],
    ):
        assert answer.status_code == 200
        assert "<script" not in answer.text


def test_pages_run_nothing_and_load_nothing_from_elsewhere(client):
    for where in ("/search?text=red", "/words?of=f1&text=red", "/question", "/picture/f1", "/no"):
        answer = client.get(where)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "private" in answer.headers["Cache-Control"]
        if answer.mimetype == "text/html":
            assert "://" not in answer.text
            assert "<script" not in answer.text


def test_other_names_and_other_sites_are_refused(client, asked, folder):
    for host, code in (
        ("127.0.0.1:7860", 200),
        ("localhost", 200),
        ("[::1]:7860", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
    ):
        answer = client.get("/words?of=f1&text=red", headers={"Host": host})
        assert answer.status_code == code, host
    given = {"of_file": file(png(folder)), "text": "a"}
    answer = client.post("/words", data=given, headers={"Sec-Fetch-Site": "cross-site"})
    assert "another site" in said(answer)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        many = {"of_file": (BytesIO(bytes(2**20)), "a.png"), "text": "a"}  # more than is read
        assert client.post("/words", data=many, headers=headers).status_code == 400
    for sort, code in (("document", 200), ("image", 400), ("iframe", 400), (None, 400)):
        headers = {"Sec-Fetch-Site": "same-site", **({"Sec-Fetch-Dest": sort} if sort else {})}
        answer = client.get("/words?of=f1&text=red", headers=headers)
        assert answer.status_code == code, sort
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    anywhere = Client(application(asked, hosts=()))
    assert anywhere.get("/search", headers={"Host": "box.lan"}).status_code == 200


def test_of_a_long_name_the_end_is_shown():
    assert brief("deep/last.jpg") == "deep/last.jpg"
    key = "/home/me/some/where/data/scenes/pairs/test/00000.tar/pairs-test-000068"
    assert brief(key) == "…/pairs/test/00000.tar/pairs-test-000068"
    assert brief("x" * 50) == "…" + "x" * 40


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "nothing to ask: give --model"),
        (("--images", "x"), "give --model too"),
        (("--model", "{shared}", "--host", "256.0.0.1"), "cannot be served at 256.0.0.1"),
        (("--model", "{shared}", "--port", "{taken}"), "cannot be served at 127.0.0.1, port"),
        (("--model", "{shared}", "--port", "99999"), "port 99999"),
        (("--model", "{shared}", "--index", "{folder}", "--port", "0"), "holds no features"),
        (("--model", "{shared}", "--images", "no/such", "--port", "0"), "no folder 'no/such'"),
        (("--vqa", "{shared}", "--port", "0"), "was not fine-tuned for vqa"),
        (("--nlvr2", "{shared}", "--port", "0"), "was not fine-tuned for nlvr2"),
        (("--model", "{shared}", "--top", "0"), "top is 0"),
    ],
)
def test_what_cannot_be_served_is_named_in_one_paragraph(shared, folder, args, words):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"shared": shared, "folder": folder, "taken": taken.getsockname()[1]}
        ended = here(["demo", *(arg.format(**names) for arg in args)])
    assert ended.code == 1
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("softmask: ") == 1


def test_pictures_that_were_moved_are_shown_from_their_new_place(shared, tmp_path, monkeypatch):
    served = []
    monkeypatch.setattr(command, "serve", lambda listener, app, host: served.append(app))
    old, new, index = tmp_path / "old", tmp_path / "new", tmp_path / "features"
    write_pictures(old, 3)
    args = ["demo", "--model", str(shared), "--index", str(index), "--port", "0"]
    assert here([*args, "--images", str(old)]).code == 0
    before = {path.name: path.read_bytes() for path in index.iterdir()}
    old.rename(new)
    assert here(args).code == 0
    assert "name their place with --images" in Client(served[-1]).get("/picture/f0").text
    ended = here([*args, "--images", str(new)])
    assert ended.code == 0, ended.err
    assert Client(served[-1]).get("/picture/f0").status_code == 200
    assert {path.name: path.read_bytes() for path in index.iterdir()} == before
    (new / "00.png").rename(new / "07.png")  # others, not moved ones
    assert here([*args, "--images", str(new)]).code == 1
    write_pictures(tmp_path / "other", 3)  # of the same names
    ended = here([*args, "--images", str(tmp_path / "other")])
    assert ended.code == 1
    assert "but other sizes or times" in ended.err
