"""The model card: what is known of a model that is shared."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from softmask.config import ModelConfig

LICENSE = "apache-2.0"

HEAD = """\
---
license: {license}
library_name: softmask
tags:
- vision-language
- {tag}
- albef
- softmask
---

# {title}

A vision-language model of [SoftMask++](https://arxiv.org/abs/2304.00719) on an
[ALBEF](https://arxiv.org/abs/2107.07651) backbone: it {does}.
"""

USE = """\
## Use

```python
from softmask import SoftMask

model = SoftMask.from_pretrained("this folder, or ORGANISATION/NAME")
{use}
```
"""


@dataclass(frozen=True)
class Ability:
    """What a model can be asked.

    Args:
        tag: of it on the hub.
        does: ends the sentence "it ...".
        use: lines of Python that ask it.
    """

    tag: str
    does: str
    use: str


MATCHES = Ability(
    "image-text-retrieval",
    "embeds pictures and texts in one space,\njudges whether they match, and shows where each word "
    "looks",
    """\
model.score("picture.jpg", ["a red car", "a blue car"])  # match probabilities
model.embed_images(["picture.jpg"]) @ model.embed_texts(["a red car"]).T
model.explain("picture.jpg", "a red car").maps  # where each word looks""",
)
ANSWERS = Ability(
    "visual-question-answering",
    "answers questions about a\npicture from a list of answers",
    'model.answer("picture.jpg", ["what colour is the car?"]).best',
)
VERIFIES = Ability(
    "visual-reasoning",
    "judges whether a statement is\ntrue of two pictures",
    'model.verify("left.jpg", "right.jpg", "both show a car")  # probability that it is true',
)
ENTAILS = Ability(
    "visual-entailment",
    "judges whether a picture\nentails a sentence, contradicts it, or neither",
    'model.entail("picture.jpg", ["a car is red"]).labels',
)


def ability_of(config: ModelConfig) -> Ability:
    """What a model of these options can be asked."""
    if config.matcher:
        return MATCHES
    if config.entailment:
        return ENTAILS
    return ANSWERS if config.answers else VERIFIES


CITATION = """\
## Citation

```bibtex
@inproceedings{park2023softmask,
  title = {Multi-Modal Representation Learning with Text-Driven Soft Masks},
  author = {Park, Jaeyoo and Han, Bohyung},
  booktitle = {CVPR},
  year = {2023}
}
@inproceedings{li2021albef,
  title = {Align before Fuse: Vision and Language Representation Learning with Momentum
           Distillation},
  author = {Li, Junnan and Selvaraju, Ramprasaath R. and Gotmare, Akhilesh Deepak and Joty, Shafiq
            and Xiong, Caiming and Hoi, Steven},
  booktitle = {NeurIPS},
  year = {2021}
}
```
"""


@dataclass(frozen=True)
class Facts:
    """What a card says of one model.

    Args:
        title: its name.
        table: facts by name: task, steps, hash of the training data.
        metrics: of its test, by name; empty when there was none.
        tested_on: the data of the test, or why there are no metrics.
        settings: the run's, as YAML; empty when it was not trained here.
        license: of the weights, as the hub names it.
        ability: what it can be asked.
    """

    title: str
    table: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tested_on: str = "This model was not tested yet."
    settings: str = ""
    license: str = LICENSE
    ability: Ability = MATCHES


def write_card(facts: Facts) -> str:
    """The card as Markdown with the hub's header."""
    can = facts.ability
    parts = [HEAD.format(license=facts.license, title=facts.title, tag=can.tag, does=can.does)]
    if facts.table:
        parts.append(_table(("fact", "value"), facts.table))
    parts += [USE.format(use=can.use), f"## Metrics\n\n{facts.tested_on}\n"]
    if facts.metrics:
        values = {name: f"{value:.4g}" for name, value in facts.metrics.items()}
        parts.append(_table(("metric", "value"), values))
    if facts.settings:
        parts.append(
            "## How it was trained\n\n`softmask fit -c config.yaml` with this file; paths are cut "
            f"to their last part:\n\n```yaml\n{facts.settings.rstrip()}\n```\n"
        )
    parts.append(
        f"## Licence\n\n{facts.license}. The data a model was trained on may set terms of its own."
        "\n"
    )
    return "\n".join([*parts, CITATION])


def _table(titles: tuple[str, str], rows: Mapping[str, str]) -> str:
    lines = [titles, ("---", "---"), *rows.items()]
    return "\n".join(f"| {name} | {value} |" for name, value in lines) + "\n"
