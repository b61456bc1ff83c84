"""Who may import whom: the arrows of the architecture, read from the syntax trees."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
ROOTS = (REPO / "src", REPO / "data_modules")

CONTRACT = ("softmask.batch", "softmask.errors")
PURE = ("torch", "torchmetrics", *CONTRACT)

# Modules on the left take from outside the standard library and their own folder only the right.
# `*` stands for any ending, so that `softmask.nn*` is the folder and all in it.
MAY_IMPORT = {
    "softmask.losses*": PURE,
    "softmask.metrics*": PURE,
    "softmask.saliency": PURE,
    "softmask.queue": PURE,
    "softmask.positions": PURE,
    "softmask.renames": PURE,
}

# What is on the left is imported only by modules on the right.
ONLY_IN = {
    "timm": ("softmask.nn*", "softmask.weights", "softmask.tokenizer"),
    "transformers": ("softmask.nn*", "softmask.weights", "softmask.tokenizer"),
    "lightning": (
        *("softmask.tasks*", "softmask.callbacks*", "softmask.cli", "data_modules*"),
        "softmask.ask.together",  # embeds on several devices; the command asks for it by need
        "softmask.dry_run",  # takes a few steps with a trainer of its own
        "softmask.strategy",  # is Lightning's for sharded parameters, but for checkpoints
    ),
    "pytorch_lightning": (),
    "huggingface_hub": ("softmask.model", "softmask.sharing"),
    "albumentations": ("data_modules.pipeline",),
    "werkzeug": ("softmask.web*",),
    "webdataset": ("data_modules.shards", "data_modules.tar", "data_modules.write"),
    # The program knows them by name; features are made of their shards too.
    "data_modules": ("data_modules*", "softmask.cli", "softmask.program", "softmask.ask.shards"),
}

# All that data modules see of the other package.
# Addresses are hidden alike in messages on data and in model cards.
# Drops are what data modules report and callbacks write. Captions and pictures are what evaluation
# and inference make of them alike, and inference must do without data modules. Answers are counted
# as they are scored. A job in parts is the same for shards and for features, and pages of data and
# of runs look alike.
DATA_SEES = (
    *CONTRACT,
    "softmask.addresses",
    "softmask.captions",
    "softmask.drops",
    "softmask.metrics.answers",
    "softmask.pages",
    "softmask.parts",
    "softmask.pictures",
    "softmask.stop_words",
    "softmask.tokenizer",
    "softmask.whole",
)


def fits(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def imported(source: str, package: str) -> Iterator[str]:
    """Full dotted names; `from a import b` gives a.b, relative ones are resolved in `package`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(above if node.level else []), *([node.module] if node.module else [])]
            )
            yield from (f"{base}.{alias.name}" for alias in node.names)


def wrong_arrows(module: str, source: str, *, is_package: bool = False) -> list[str]:
    package = module if is_package else module.rpartition(".")[0]
    wrong = []
    for name in imported(source, package):
        top = name.split(".")[0]
        kept = top not in ONLY_IN or fits(module, ONLY_IN[top])
        for pattern, allowed in MAY_IMPORT.items():
            own = pattern.removesuffix("*")
            if fits(module, (pattern,)):
                kept &= top in sys.stdlib_module_names or within(name, (own, *allowed))
        if fits(module, ("data_modules*",)) and top == "softmask":
            kept &= within(name, DATA_SEES)
        if not kept:
            wrong.append(f"{module} imports {name}")
    return wrong


def sources() -> Iterator[tuple[str, Path]]:
    for root, base in zip(ROOTS, (ROOTS[0], REPO), strict=True):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__"), path


def test_no_arrow_is_wrong():
    found = list(sources())
    assert {"softmask", "softmask.losses", "data_modules"} <= {module for module, _ in found}
    wrong = [
        arrow
        for module, path in found
        for arrow in wrong_arrows(module, path.read_text(), is_package=path.stem == "__init__")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("softmask.losses.matching", "import lightning"),
        ("softmask.losses.matching", "from softmask.backbone import Backbone"),
        ("softmask.losses.matching", "from ..nn import heads"),
        ("softmask.metrics.retrieval", "import numpy as np"),
        ("softmask.saliency", "from transformers import BertModel"),
        ("softmask.queue", "def push():\n    from lightning import LightningModule"),
        ("softmask.backbone", "import timm"),
        ("softmask.nn.text", "from lightning.pytorch import Trainer"),
        ("softmask.weights", "import lightning.pytorch as pl"),
        ("softmask.tasks.base", "import pytorch_lightning"),
        ("softmask.tasks.base", "from data_modules import PretrainData"),
        ("softmask.cli", "import webdataset"),
        ("softmask.captions", "import data_modules.text"),
        ("softmask.ask.embed", "from data_modules.shards import ShardSet"),
        ("softmask.ask.commands", "import lightning"),
        ("softmask.nn.sharded", "from lightning.pytorch.strategies import Strategy"),
        ("softmask.ask.commands", "from werkzeug import Request"),
        ("softmask.weights", "import huggingface_hub"),
        ("data_modules.text", "from albumentations import Compose"),
        ("data_modules.base", "import webdataset as wds"),
        ("data_modules.base", "from softmask.nn import heads"),
        ("data_modules.base", "import softmask"),
        ("data_modules.base", "from softmask import tasks"),
        ("data_modules.base", "import transformers"),
    ],
)
def test_wrong_arrow_is_found(module, source):
    assert len(wrong_arrows(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("softmask.losses.matching", "import math\nimport torch.nn.functional as F"),
        ("softmask.losses.matching", "from .contrastive import itc"),
        ("softmask.metrics.retrieval", "from softmask.errors import InputError"),
        ("softmask.nn.image", "import timm"),
        ("softmask.weights", "from transformers import BertModel"),
        ("softmask.callbacks", "from lightning.pytorch.callbacks import Callback"),
        ("softmask.cli", "import data_modules"),
        ("data_modules.pipeline", "import albumentations as A"),
        (
            "data_modules.base",
            "from softmask import batch\nfrom softmask.tokenizer import Tokenizer",
        ),
        ("data_modules.base", "from data_modules.shards import read"),
    ],
)
def test_right_arrow_passes(module, source):
    assert wrong_arrows(module, source) == []


def test_relative_import_of_a_package_resolves():
    assert list(imported("from .contrastive import itc", "softmask.losses")) == [
        "softmask.losses.contrastive.itc"
    ]
    assert wrong_arrows("softmask.losses", "from ..backbone import x", is_package=True) != []
