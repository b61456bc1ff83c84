"""The wheel carries both source roots whole, and setup.cfg's hand-kept list is complete."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

REPO = Path(__file__).parent.parent
ROOTS = {"softmask": REPO / "src" / "softmask", "data_modules": REPO / "data_modules"}
DATA = {"softmask/vocab.txt", "softmask/py.typed", "data_modules/py.typed"}
BUILT_FROM = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(REPO / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy: a build folder left in the tree would bring back files since deleted."""
    tree = tmp_path_factory.mktemp("tree")
    for name in BUILT_FROM:
        shutil.copy(REPO / name, tree)
    for root in ROOTS.values():
        copy = tree / root.relative_to(REPO)
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("__pycache__"))
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    done = subprocess.run([*build, "-w", tree, tree], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tree.glob("*.whl")
    return zipfile.ZipFile(path)


def modules() -> set[str]:
    return {
        (package / path.relative_to(root)).as_posix()
        for package, root in ((PurePosixPath(name), root) for name, root in ROOTS.items())
        for path in root.rglob("*.py")
    }


def test_list_of_packages_is_the_folders(config):
    listed = config["options"]["packages"].split()
    folders = [PurePosixPath(name).parent for name in modules() if name.endswith("/__init__.py")]
    assert sorted(listed) == sorted(".".join(folder.parts) for folder in folders)


def test_every_folder_of_modules_is_a_package():
    folders = {str(PurePosixPath(name).parent) for name in modules()}
    assert {f"{folder}/__init__.py" for folder in folders} <= modules()


def test_wheel_carries_all_modules_and_data_and_nothing_else(wheel):
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == modules() | DATA


def test_wheel_carries_licence_notice_and_program(wheel):
    inside = {name.split(".dist-info/")[-1]: name for name in wheel.namelist()}
    for name in ("LICENSE", "NOTICE"):
        assert wheel.read(inside[f"licenses/{name}"]) == (REPO / name).read_bytes()
    assert "softmask = softmask.program:main" in wheel.read(inside["entry_points.txt"]).decode()
