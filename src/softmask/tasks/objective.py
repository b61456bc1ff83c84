"""The constants of SoftMask++'s objective, each a switch. docs/method.md says which are known.

Defaults marked (ours) are not public: they are this project's choice.
"""

from dataclasses import dataclass
from math import inf

from softmask.errors import InputError, refuse_outside

NOT_NEGATIVE = (0.0, inf)
TAUGHT = {"alpha": (0.0, 1.0), "alpha_steps": NOT_NEGATIVE, "momentum": (0.0, 1.0)}


@dataclass(frozen=True)
class Distillation:
    """Momentum twins that teach (ALBEF, section 3.4).

    Args:
        alpha: share of the twins' beliefs in the targets; ALBEF's 0.4. 0 asks them nothing.
        alpha_steps: steps over which alpha rises from 0; an epoch in ALBEF.
        momentum: of the twins; ALBEF's 0.995, made for 200,000 steps: short runs need less.
        twins_bf16: they see and speak in bfloat16 whatever the training's precision is (ours).
            Where that is float32 it saves time on devices with such instructions; their weights
            stay float32.
    """

    alpha: float = 0.4
    alpha_steps: int = 0
    momentum: float = 0.995
    twins_bf16: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        refuse_outside("distillation", vars(self), TAUGHT)


@dataclass(frozen=True)
class Contrast(Distillation):
    """Focal image-text contrast with momentum twins.

    Args:
        alpha: share of the twins' beliefs in the targets of ITC and MLM; ALBEF's 0.4.
        alpha_steps: steps over which alpha rises from 0; an epoch in ALBEF.
        momentum: of the twins; ALBEF's 0.995, made for 200,000 steps: short runs need less.
        twins_bf16: they see and speak in bfloat16 whatever the training's precision is (ours).
            Where that is float32 it saves time on devices with such instructions; their weights
            stay float32.
        gamma: focusing power (ours); 0 is ALBEF's ITC exactly.
        per_row: one focal factor a query instead of one a candidate (ours).
        detach: no gradient through the focal factor.
        queue_size: pairs in the queue, divisible by the global batch; ALBEF's 65,536.
        match_ids: candidates with the query's image or caption are positives too, wherever they
            stand; False is ALBEF's pretraining, where only the pair itself is.
        match_captions: equal captions count beside equal images, in `match_ids` and in the draw
            of negatives; False is ALBEF's fine-tuning, which knows images alone.
        hard_steps: steps over which ITM's negatives go from evenly drawn to hard (ours); 0 is
            ALBEF, whose fusion layers start from BERT's. Fresh ones learn nothing from negatives
            that are hard from the first step.
    """

    gamma: float = 2.0
    per_row: bool = False
    detach: bool = False
    queue_size: int = 65536
    match_ids: bool = True
    match_captions: bool = True
    hard_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        own = dict.fromkeys(("gamma", "queue_size", "hard_steps"), NOT_NEGATIVE)
        refuse_outside("contrast", vars(self), TAUGHT | own)


@dataclass(frozen=True)
class SoftMasking:
    """Soft-masked matching: which words, and how many, the data module draws.

    Args:
        weight: of its matching term (ours: 1); 0 switches soft masks off.
        layer: fusion layer whose cross-attention is mapped, from 0; 2 of 6 is BERT block 8. Not
            the last: matching reads the first token alone, so other words' maps count before it.
        negatives: hard texts are matched under the same masks too (ours); without them the mask
            itself tells that a pair matches.
        hard_images: texts are matched with hard images too, under the masks of those (ours): pairs
            are a third of what is masked then, as of what is not.
        by_max: divide maps by their largest value instead of min-max.
    """

    weight: float = 1.0
    layer: int = 2
    negatives: bool = True
    hard_images: bool = False
    by_max: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        ranges = {
            "weight": NOT_NEGATIVE,
        }
        refuse_outside("soft_mask", vars(self), ranges)


@dataclass(frozen=True)
class Weights:
    """Weights of the losses that ALBEF sums; all 1 there.

    Args:
        itc: image-text contrast.
        itm: image-text matching.
        mlm: masked language modelling.
    """

    itc: float = 1.0
    itm: float = 1.0
    mlm: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        ranges = {
            "itc": NOT_NEGATIVE,
            "itm": NOT_NEGATIVE,
            "mlm": NOT_NEGATIVE,
        }
        refuse_outside("weights", vars(self), ranges)


@dataclass(frozen=True)
class Evaluation:
    """Retrieval evaluation.

    Args:
        k_test: candidates a query that the matching head judges again; 256 for COCO, 128 for
            Flickr30K in ALBEF. 0 judges none.
        similarity: how much cosine similarity is added to the matching logit: 0 is ALBEF, 1 is
            LAVIS.
        chunk: most text rows fused at once; it changes memory and speed, not the scores.
        half_tokens: keep image tokens in bfloat16 until they are judged: 4.4 instead of 8.9 GB
            on the host for COCO's 5,000 test images at base size and 384 pixels.
        equal_captions: a caption with the words of one of the image's is right too; False is the
            field's protocol.
    """

    k_test: int = 128
    similarity: float = 0.0
    chunk: int = 256
    half_tokens: bool = False
    equal_captions: bool = True

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        ranges = {
            "k_test": NOT_NEGATIVE,
            "chunk": (1, inf),
        }
        refuse_outside("evaluation", vars(self), ranges)


@dataclass(frozen=True)
class Pointing:
    """How grounding's maps are judged.

    Args:
        tolerance: pixels of the original picture by which the largest value may miss the box. The
            pointing game's first paper takes 15, for pictures of some 500 pixels.
        power: a candidate's score is its sum over its area to this power; ALBEF's 0.5.
        hidden: map by hiding each patch from matching, with so many rows and columns around it;
            None maps by Grad-CAM of the words, as ALBEF. The text is then read up to the last word
            that is mapped.
        attended: add to such a map where the mapped words look in the last fusion layer, both
            brought to 0..1 before. Hiding one of two alike changes little, and attention tells of
            both.
    """

    tolerance: float = 0.0
    power: float = 0.5
    hidden: int | None = None
    attended: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        ranges = {
            "tolerance": NOT_NEGATIVE,
            "power": NOT_NEGATIVE,
        }
        if self.hidden is not None:
            ranges["hidden"] = NOT_NEGATIVE
        elif self.attended:
            raise InputError(
                "pointing.attended true adds attention to the maps of pointing.hidden, which is "
                "null: set it, 1 for example, or leave attended false for Grad-CAM."
            )
        refuse_outside("pointing", vars(self), ranges)


@dataclass(frozen=True)
class Ranking:
    """How answers of a list are ranked (ALBEF, section 4.2).

    Args:
        k_test: answers that are judged whole, those whose first word pieces are likeliest; 128 in
            ALBEF.
        double_first: count the first word piece twice, as ALBEF's code does: once by itself and
            once in the whole answer. False is the probability of the answer.
        chunk: most answers judged at once.
    """

    k_test: int = 128
    double_first: bool = False
    chunk: int = 2048

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        refuse_outside("ranking", vars(self), {"k_test": (1, inf), "chunk": (1, inf)})
