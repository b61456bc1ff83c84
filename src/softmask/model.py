"""`SoftMask`: a trained model to share and to ask, without Lightning and without data modules.

I images, R texts, E embedding width, V word pieces.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor

from softmask.answering import Answered, answered
from softmask.backbone import CONTRAST
from softmask.batch import ENTAILMENT
from softmask.batches import batches
from softmask.captions import listed_texts
from softmask.card import Facts, write_card
from softmask.config import ModelConfig
from softmask.errors import InputError, check_count
from softmask.explain import By, Explanation
from softmask.explaining import explained
from softmask.judged import Entailed, Judged, as_many, join
from softmask.network import Network, untuned
from softmask.pictures import Picture, listed_pictures
from softmask.placing import checked_device, checked_dtype
from softmask.runs import is_run, read_run
from softmask.sharing import Parts, fetch, read_folder, write_folder
from softmask.tokenizer import PreTrainedTokenizerBase
from softmask.weights import compare


class SoftMask(
    Network,
    PyTorchModelHubMixin,
    library_name="softmask",
    tags=["vision-language", "image-text-retrieval"],
):
    """A backbone with its heads: of matching and words if pretrained, else of its fine-tuned task.

    Methods take pictures as paths, PIL images or arrays (see `softmask.pictures`), and give float32
    tensors on the model's device. `from_pretrained` gives the model in eval mode; keep it so.

    Args:
        config: sizes and options.
        tokenizer: BERT base uncased's unless given.
        card: README.md of the folder that `save_pretrained` writes; a plain one unless given.
    """

    def __init__(
        self,
        config: ModelConfig,
        tokenizer: PreTrainedTokenizerBase | None = None,
        card: str | None = None,
    ) -> None:
        super().__init__(config, tokenizer)
        self.card = card or write_card(Facts("SoftMask"))

    @classmethod
    def of_parts(cls, parts: Parts) -> Self:
        """Build a model and fill it, in eval mode.

        Raises:
            InputError: the weights are not wholly those of this model.
        """
        model = cls(parts.config, parts.tokenizer, parts.card)
        report = compare(model, parts.state, parts.source)
        unread = () if parts.config.matcher else CONTRAST
        missing = [name for name in report.missing if not name.startswith(unread)]
        if missing or report.unexpected or report.misshapen:
            report = replace(report, missing=missing)
            raise InputError(f"These are not whole weights of a softmask model. {report.summary()}")
        model.load_state_dict(parts.state, strict=False)  # what is unread may be missing
        return model.eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]  # fewer options, and they are typed
        cls,
        source: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        checkpoint: str = "best",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load a model.

        Args:
            source: folder that `save_pretrained` wrote, folder of a run, or ORGANISATION/NAME on
                the Hugging Face hub.
            device: to put it on.
            dtype: of its weights; float32, or float16 or bfloat16 where the device is quick at it.
            checkpoint: of a run: "best", "last", or a file's name in its checkpoints.
            revision: of a model on the hub: branch, tag or commit.
            token: for a private model on the hub.
            cache_dir: of the hub's files.
            local_files_only: ask the cache alone.

        Returns:
            The model, in eval mode.

        Raises:
            InputError: the source is not there, or holds something else; there is no such device
                or type of weights.
        """
        place, kind = checked_device(device), checked_dtype(dtype)
        folder = Path(source)
        if is_run(folder):
            parts = read_run(folder, checkpoint)
        else:
            if not folder.is_dir():
                folder = fetch(str(source), revision, token, cache_dir, local_files_only)
            parts = read_folder(folder)
        return cls.of_parts(parts).to(device=place, dtype=kind)

    def _save_pretrained(self, save_directory: Path) -> None:
        """What `save_pretrained` and `push_to_hub` write: weights, sizes, tokenizer, card."""
        parts = Parts(
            str(save_directory), self.config, self.state_dict(), self.captions.tokenizer, self.card
        )
        write_folder(save_directory, parts)

    @torch.no_grad()
    def embed_images(self, images: Picture | Sequence[Picture], batch_size: int = 32) -> Tensor:
        """Unit features in the shared space, (I, E); their products are cosine similarities."""
        self.matching()
        pictures = listed_pictures(images)
        parts = [
            self.backbone.encode_image(self.pixels(part))[1]
            for part in batches(pictures, batch_size)
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def embed_texts(self, texts: str | Sequence[str], batch_size: int = 256) -> Tensor:
        """Unit features in the shared space, (R, E)."""
        self.matching()
        parts = [
            self.backbone.encode_text(*self.tokens(part))[1]
            for part in batches(listed_texts(texts), batch_size)
        ]
        return torch.cat(parts)

    def score(
        self,
        images: Picture | Sequence[Picture],
        texts: str | Sequence[str],
        batch_size: int = 32,
    ) -> Tensor:
        """Probability that a text belongs to an image, (pairs,); see `judge`."""
        return self.judge(images, texts, batch_size).match

    @torch.no_grad()
    def judge(
        self,
        images: Picture | Sequence[Picture],
        texts: str | Sequence[str],
        batch_size: int = 32,
    ) -> Judged:
        """Judge pairs twice, by the matching head and by their cosine, encoding them once.

        Args:
            images: as many as texts, or one for all.
            texts: as many as images, or one for all.
            batch_size: pairs judged at once.

        Raises:
            InputError: neither as many, nor one.
        """
        self.matching()
        pictures = listed_pictures(images)
        captions = as_many(listed_texts(texts), len(pictures))
        seen = self.seen([(picture,) for picture in pictures], captions, batch_size)
        return join(map(self.judged, seen))

    @torch.no_grad()
    def answer(
        self,
        images: Picture | Sequence[Picture],
        questions: str | Sequence[str],
        top: int = 1,
        batch_size: int = 32,
    ) -> Answered:
        """Answer questions about images, if the model was fine-tuned for that (VQA).

        Args:
            images: as many as questions, or one for all.
            questions: as many as images, or one for all.
            top: likeliest answers to name of each question.
            batch_size: questions answered at once.

        Returns:
            Answers of the model's list and their probabilities: among those that a decoder judged
            whole, or of each on its own where answers are classes.

        Raises:
            InputError: the model answers no questions, or counts do not fit.
        """
        answers = self.config.answers
        if answers is None:
            raise untuned("answers no questions", "VqaTask or VqaClassTask")
        check_count("top", top)
        pictures = listed_pictures(images)
        asked = as_many(listed_texts(questions), len(pictures), "questions")
        seen = self.seen([(picture,) for picture in pictures], asked, batch_size)
        return answered((self.ranked(one, answers) for one in seen), answers.listed, top)

    @torch.no_grad()
    def verify(
        self,
        left: Picture | Sequence[Picture],
        right: Picture | Sequence[Picture],
        statements: str | Sequence[str],
        batch_size: int = 32,
    ) -> Tensor:
        """Probability that a statement is true of two images, (pairs,), if fine-tuned (NLVR2).

        Args:
            left: the first image of each pair; as many as statements, or one for all.
            right: the second, as many as the first.
            statements: as many as pairs, or one for all.
            batch_size: statements judged at once.

        Raises:
            InputError: the model judges no statements, or counts do not fit.
        """
        if not self.config.truth:
            raise untuned("judges no statements about two images", "Nlvr2Task")
        sides = listed_pictures(left), listed_pictures(right)
        if len(sides[0]) != len(sides[1]):
            raise InputError(
                f"{len(sides[0])} left images are given with {len(sides[1])} right ones: give as "
                f"many of each."
            )
        pairs = list(zip(*sides, strict=True))
        said = as_many(listed_texts(statements), len(pairs), "statements")
        return torch.cat([self.truth(seen) for seen in self.seen(pairs, said, batch_size)])

    @torch.no_grad()
    def entail(
        self,
        images: Picture | Sequence[Picture],
        sentences: str | Sequence[str],
        batch_size: int = 32,
    ) -> Entailed:
        """Judge whether images entail sentences, if the model was fine-tuned for that (SNLI-VE).

        Args:
            images: as many as sentences, or one for all.
            sentences: as many as images, or one for all.
            batch_size: pairs judged at once.

        Raises:
            InputError: the model judges no entailment, or counts do not fit.
        """
        if not self.config.entailment:
            raise untuned("judges no entailment", "EntailmentTask")
        pictures = listed_pictures(images)
        said = as_many(listed_texts(sentences), len(pictures), "sentences")
        seen = self.seen([(picture,) for picture in pictures], said, batch_size)
        probability = torch.cat([self.entailed(one) for one in seen])
        return Entailed([ENTAILMENT[n] for n in probability.argmax(dim=1).tolist()], probability)

    def explain(
        self, image: Picture, text: str, layer: int | None = None, by: By = "looking"
    ) -> Explanation:
        """Show where each word of a text is in a picture.

        Args:
            image: one picture.
            text: one caption; a word of several word pieces has the mean of their maps.
            layer: fusion layer to map; the one of the training's soft masks unless given.
            by: "looking" is Grad-CAM of the matching score, as in training: where a word looks in
                its sentence. "hiding" asks what hiding a place costs a word without the rest of its
                sentence ("a red heart" for heart, see `phrase_to`): where the model finds what it
                names, at a pass of the fusion encoder for each word and patch.

        Returns:
            The words that the model read, their maps, and the match with and without what they saw.

        Raises:
            InputError: there is no such layer or way, or the text has no word.
        """
        return explained(self, image, text, layer, by)
