"""The annotation formats of the field, written field by field as their own tools write them."""

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
from fake import draw

COLOURS = ("red", "green", "blue", "yellow", "black", "white")


def picture(number: int, size: int = 40, extension: str = ".jpg") -> bytes:
    """A picture that differs from its neighbours, in BGR as OpenCV reads it back."""
    colour, ground = COLOURS[number % 6], COLOURS[(number + 1 + number // 6) % 6]
    pixels = draw(colour, "circle", "left", ground, size + number)
    return cv2.imencode(extension, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def captions(number: int, count: int = 2) -> list[str]:
    return [f"picture {number} said in way {way}" for way in range(count)]


def write_pictures(folder: Path, names: Sequence[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(number, extension=Path(name).suffix))
    return folder


def write_csv(file: Path, names: Sequence[str], count: int = 2) -> Path:
    rows = [(name, text) for n, name in enumerate(names) for text in captions(n, count)]
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([("image", "caption"), *rows])
    return file


def write_coco(file: Path, names: Sequence[str], silent: Sequence[str] = ()) -> Path:
    """Keys and their order as in captions_val2017.json; annotations are not sorted by picture."""
    images = [
        {
            "license": 4,
            "file_name": name,
            "coco_url": f"http://images.cocodataset.org/val2017/{name}",
            "height": 427,
            "width": 640,
            "date_captured": "2013-11-14 17:02:52",
            "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da26cf2c9e_z.jpg",
            "id": 1000 + number,
        }
        for number, name in enumerate([*names, *silent])
    ]
    annotations = [
        {"image_id": 1000 + n, "id": 10 * n + way, "caption": captions(n)[way]}
        for way in range(2)
        for n in reversed(range(len(names)))
    ]
    annotations += annotations[:1]  # the same once more is said once
    info = {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org", "version": "1.0"}
    licenses = [{"url": "http://creativecommons.org/", "id": 4, "name": "Attribution License"}]
    tree = {"info": info, "licenses": licenses, "images": images, "annotations": annotations}
    file.write_text(json.dumps(tree))
    return file


def write_karpathy(
    file: Path, names: Sequence[str], splits: Sequence[str], filepath: str | None
) -> Path:
    """dataset_coco.json with a filepath, dataset_flickr30k.json without."""
    images = []
    for number, (name, split) in enumerate(zip(names, splits, strict=True)):
        sentences = [
            {
                "tokens": text.split(),
                "raw": text + "\n" * way,  # some of COCO's end so
                "imgid": number,
                "sentid": 10 * number + way,
            }
            for way, text in enumerate(captions(number))
        ]
        image = {
            "sentids": [sentence["sentid"] for sentence in sentences],
            "filename": name,
            "imgid": number,
            "split": split,
            "sentences": sentences,
        }
        coco = {"filepath": filepath, "cocoid": 391895 + number} if filepath else {}
        images.append({**coco, **image})
    dataset = "coco" if filepath else "flickr30k"
    file.write_text(json.dumps({"images": images, "dataset": dataset}))
    return file


def write_albef_train(file: Path, names: Sequence[str]) -> Path:
    """coco_train.json: a row for each caption."""
    rows = [
        {"caption": text, "image": name, "image_id": f"coco_{5000 + n}"}
        for n, name in enumerate(names)
        for text in captions(n)
    ]
    file.write_text(json.dumps(rows))
    return file


def write_albef_test(file: Path, names: Sequence[str]) -> Path:
    """coco_test.json: a row for each picture."""
    rows = [{"image": name, "caption": captions(n)} for n, name in enumerate(names)]
    file.write_text(json.dumps(rows))
    return file


def img2dataset_samples(shards: int, each: int) -> Mapping[str, Mapping[str, bytes]]:
    """File contents by name by shard; the caption of the last sample is empty, as theirs may be."""
    found: dict[str, dict[str, bytes]] = {}
    for shard in range(shards):
        files = found.setdefault(f"{shard:05d}", {})
        for place in range(each):
            number, key = shard * each + place, f"{shard:05d}{place:04d}"
            text = "" if number == shards * each - 1 else captions(number)[0]
            files[f"{key}.jpg"] = picture(number)
            files[f"{key}.txt"] = text.encode()
            meta = {
                "caption": text,
                "url": f"http://example.org/{number}.jpg",
                "key": key,
                "status": "success",
                "error_message": None,
                "width": 256,
                "height": 256,
                "original_width": 640,
                "original_height": 640,
                "exif": '{"Image Orientation": "Horizontal"}',
                "sha256": "ab" * 32,
            }
            files[f"{key}.json"] = json.dumps(meta, indent=4).encode()
    return found


def write_img2dataset(folder: Path, output: str, shards: int = 2, each: int = 4) -> Path:
    """Its output_format "webdataset" or "files"; the parquet beside each shard is left out."""
    folder.mkdir(parents=True)
    for shard, files in img2dataset_samples(shards, each).items():
        stats = {
            "count": each + 3,
            "successes": each,
            "failed_to_download": 2,
            "failed_to_resize": 1,
            "duration": 1.5,
            "start_time": 1700000000.0,
            "end_time": 1700000001.5,
            "status_dict": {"success": each, "HTTP Error 404: Not Found": 2, "broken": 1},
        }
        (folder / f"{shard}_stats.json").write_text(json.dumps(stats, indent=4))
        write_files(folder, output, files, shard)
    return folder


def write_files(folder: Path, output: str, files: Mapping[str, bytes], shard: str = "0") -> Path:
    """The files of one shard, as `write_img2dataset` has them."""
    if output == "webdataset":
        write_tar(folder / f"{shard}.tar", files)
    else:
        (folder / shard).mkdir()
        for name, data in files.items():
            (folder / shard / name).write_bytes(data)
    return folder


def write_tar(file: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file
