"""Zero-shot classification: which class, said in words, is the picture most like?

B images, C classes, P prompts a class, N image tokens, L words, D width, E embedding width.
"""

from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from softmask.backbone import Backbone
from softmask.batch import IGNORE, GivesPrompts, ImageBatch
from softmask.errors import InputError, refuse_outside
from softmask.losses import similarity
from softmask.metrics import rank_of_correct, top_k_report
from softmask.nn import Matcher
from softmask.retrieval import below_judged, judge, shortlist
from softmask.rows import Rows
from softmask.tables import top_k_table
from softmask.tasks.evaluated import EvaluatedTask

SHOWN = 5
"""Classes that a prediction names."""


@dataclass(frozen=True)
class ClassRerank:
    """How the matching head judges the classes that contrast likes best.

    Args:
        k_test: classes an image; 0 judges none.
        similarity: how much cosine similarity is added to the matching logit.
        chunk: most text rows fused at once.
    """

    k_test: int = 0
    similarity: float = 0.0
    chunk: int = 256

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        refuse_outside("rerank", vars(self), {"k_test": (0, inf), "chunk": (1, inf)})


class Classes(NamedTuple):
    """The classes as the text encoder sees them."""

    names: list[str]
    text: Tensor  # (C, E) unit mean of the unit features of all prompts
    states: Tensor  # (C, L, D) of the first prompt, which matching reads
    mask: Tensor  # (C, L)


class ZeroShotTask(EvaluatedTask):
    """Classifies with weights that never saw a label; nothing is learnt.

    A class is the mean of its prompts' unit features, made unit again (CLIP, arXiv 2103.00020,
    section 3.1.4); `rerank` lets the matching head choose among the best, by the first prompt.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        rerank: judging by the matching head.
        init_from: weights; see `TaskModule`.
    """

    def __init__(
        self, backbone: Backbone, rerank: ClassRerank | None = None, init_from: str | None = None
    ) -> None:
        super().__init__(backbone, None, init_from)
        self.rerank = rerank or ClassRerank()
        self.matcher = Matcher(backbone.text.width)
        self._classes: Classes | None = None

    def setup(self, stage: str) -> None:
        """Load the weights, and refuse to learn.

        Raises:
            InputError: the run is to fit, or its data names no classes.
        """
        if stage == "fit":
            raise InputError(
                "Zero-shot classification learns nothing: use softmask test (or validate, predict) "
                "with --model.init_args.init_from FILE."
            )
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, GivesPrompts):
            raise InputError(
                f"Zero-shot classification needs classes, which {type(data).__name__} does not "
                f"name: use data_modules.ClassData."
            )
        super().setup(stage)

    def compute_loss(self, batch: ImageBatch) -> Tensor:
        """Every task has to; `setup` refuses before it could be called."""
        raise AssertionError

    def forget(self) -> None:
        """Forget what was collected, and encode the classes."""
        super().forget()
        self._classes = self.encode_classes()

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Keep the place of the right class in the order of all."""
        scores, label = self.scores(batch), batch["label"]
        ranks = {name: _rank(found, label) for name, found in scores.items()}
        self.rows.add(batch["position"], {"label": label, **ranks})

    def on_predict_epoch_start(self) -> None:
        """As in validation."""
        self.forget()

    def predict_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Any]:
        """The best classes of each image with their cosines, by the last judgement."""
        scores = self.scores(batch)
        best = list(scores.values())[-1].topk(min(SHOWN, scores["itc"].shape[1]), dim=1).indices
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "classes": [[self.classes.names[c] for c in row] for row in best.tolist()],
            "similarity": scores["itc"].gather(1, best).tolist(),
        }

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Refuse, on the host, to score pictures without a label.

        Raises:
            InputError: names the samples.
        """
        unknown = batch["label"] == IGNORE
        if unknown.any() and not self.trainer.predicting:
            keys = [k for k, u in zip(batch["key"], unknown.tolist(), strict=True) if u]
            raise InputError(
                f"The samples {', '.join(keys[:5])} have no label, without which nothing can be "
                f'scored: write it as "label" into their json, or use softmask predict.'
            )
        return batch

    @property
    def classes(self) -> Classes:
        """The classes of this evaluation."""
        assert self._classes is not None
        return self._classes

    @torch.no_grad()
    def encode_classes(self) -> Classes:
        """Encode every prompt once, a few at a time."""
        prompts = self.trainer.datamodule.prompts()  # type: ignore[attr-defined]
        count, each, _ = prompts["input_ids"].shape
        ids, mask = (prompts[name].flatten(0, 1) for name in ("input_ids", "attention_mask"))
        texts, states = [], []
        for places in torch.split(torch.arange(len(ids)), self.rerank.chunk):
            found, text = self.backbone.encode_text(
                ids[places].to(self.device), mask[places].to(self.device)
            )
            texts.append(text)
            states.append(found[(places % each == 0).to(self.device)])
        mean = torch.cat(texts).view(count, each, -1).mean(dim=1)
        first = prompts["attention_mask"][:, 0].to(self.device)
        return Classes(prompts["names"], F.normalize(mean, dim=-1), torch.cat(states), first)

    def scores(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Cosines with all classes and, when asked, the judgement of the best, each (B, C)."""
        classes, rerank = self.classes, self.rerank
        tokens, image = self.backbone.encode_image(batch["image"])
        itc = similarity(image, classes.text, image.new_ones(()))
        if not rerank.k_test:
            return {"itc": itc}
        wanted = shortlist(itc, rerank.k_test)
        logits = judge(
            self.backbone,
            lambda first: self.matcher(first)[:, 1],
            dict(enumerate(tokens)),
            classes.states,
            classes.mask,
            wanted,
            chunk=rerank.chunk,
        )
        return {"itc": itc, "itm": below_judged(logits + rerank.similarity * itc, wanted, itc)}

    def summary(self, corpus: str) -> str:
        """The accuracies of the last test in percent, beside chance."""
        return top_k_table(self.report, corpus)

    def evaluate(self, stage: str) -> None:
        """Top-1 and top-5 of all ranks together."""
        rows = self.rows.gather(self.gather)
        names, label = self.classes.names, rows.pop("label")
        self.report = {
            "test_size": len(label),
            "classes": len(names),
            "chance_top1": 1 / len(names),
            **{
                score: top_k_report(rank, label, names)
                for score, rank in rows.items()
                if score != "position"
            },
        }
        flat = {
            f"{stage}/{score}/{k}": self.report[score][k]
            for score in ("itc", "itm")
            if score in self.report
            for k in ("top1", "top5")
        }
        self.log_dict(flat)
        self.rows = Rows()


def _rank(scores: Tensor, label: Tensor) -> Tensor:
    """How many classes stand before the right one, (B, C) and (B,) to (B,); ties count against."""
    right = F.one_hot(label, scores.shape[1]).bool()
    return rank_of_correct(scores, right)
