"""Uploads of the page: what is read of them, and which are kept."""

import pytest
from asked import write_pictures
from PIL import Image
from uploaded import big, file, odd_exif, png
from werkzeug.test import Client

from softmask import SoftMask
from softmask.errors import InputError
from softmask.web import uploads
from softmask.web.app import application
from softmask.web.asked import Asked
from softmask.web.uploads import Shelf, Upload, decoded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "them"
    write_pictures(path)
    return path


def test_formats_that_pillow_would_read_too_are_not_asked(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match="choose a JPEG"):
        decoded(Upload("a.tiff", (tmp_path / "a.tiff").read_bytes()))
    for kind in ("jpeg", "png", "webp", "gif"):
        Image.new("RGB", (5, 4), "red").save(tmp_path / f"a.{kind}")
        assert decoded(Upload("a", (tmp_path / f"a.{kind}").read_bytes())).shape == (4, 5, 3)


def test_exif_that_pillow_cannot_write_again_is_no_fault(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (5, 4)).save(path, exif=odd_exif())
    assert decoded(Upload("a.jpg", path.read_bytes())).shape == (5, 4, 3)


def test_the_shelf_keeps_the_last_used(folder):
    shelf = Shelf(kept=2)
    one, two, three = (
        shelf.put(Upload(name, png(folder, name))) for name in ("00.png", "01.png", "02.png")
    )
    with pytest.raises(InputError, match="no longer kept"):
        shelf.get(one)
    assert shelf.get(two).name == "01.png"
    shelf.put(Upload("00.png", png(folder)))
    with pytest.raises(InputError, match="no longer kept"):
        shelf.get(three)
    assert shelf.put(Upload("again", png(folder, "01.png"))) == two


def test_pixels_are_counted_before_they_are_decoded(monkeypatch, tmp_path):
    monkeypatch.setattr(uploads, "read_picture", pytest.fail)
    with pytest.raises(InputError, match="more than the"):
        decoded(Upload("a", big(tmp_path)))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/picture/f99", {"GET", "HEAD"}),
        ("PUT", "/picture/f99", {"GET", "HEAD"}),
        ("PUT", "/words?of=f99&text=a", {"GET", "HEAD", "POST"}),
    ],
)
def test_what_is_sent_where_nothing_is_taken_is_refused_unread(shared, method, path, allowed):
    client = Client(application(Asked(SoftMask.from_pretrained(shared)), upload_mb=1))
    answer = client.open(path, method=method, data={"of_file": file(bytes(2 * 1024 * 1024))})
    assert answer.status_code == 405
    assert {*answer.allow} == allowed
    assert "not allowed" in answer.text
    for reading in ("GET", "HEAD"):
        assert client.open(path, method=reading).status_code == 400  # there is no such picture
    assert client.post("/none", data={"of_file": file(b"")}).status_code == 404
