"""`SoftMask`: a trained model to share and to ask, without Lightning and without data modules.

I images, R texts, E embedding width, V word pieces.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from numpy import stack
from torch import Tensor, nn

from softmask.batches import batches
from softmask.captions import Captions, listed_texts
from softmask.card import Facts, write_card
from softmask.config import ModelConfig
from softmask.errors import InputError
from softmask.explain import Explanation, check_layer, explain_words
from softmask.judged import Judged, join
from softmask.nn import ImageKeys, Matcher, WordHead
from softmask.pictures import Picture, listed_pictures, read_picture, resize
from softmask.runs import is_run, read_run
from softmask.sharing import Parts, fetch, read_folder, write_folder
from softmask.tokenizer import SHIPPED, PreTrainedTokenizerBase, load_tokenizer
from softmask.weights import compare


class SoftMask(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="softmask",
    tags=["vision-language", "image-text-retrieval"],
):
    """A backbone, its matching head and, if it was pretrained, its word head.

    Methods take pictures as paths, PIL images or arrays (see `softmask.pictures`), and give float32
    tensors on the model's device. `from_pretrained` gives the model in eval mode; keep it so.

    Args:
        config: sizes and options.
        tokenizer: BERT base uncased's unless given.
        card: README.md of the folder that `save_pretrained` writes; a plain one unless given.
    """

    words: WordHead | None

    def __init__(
        self,
        config: ModelConfig,
        tokenizer: PreTrainedTokenizerBase | None = None,
        card: str | None = None,
    ) -> None:
        super().__init__()
        self.config, self.card = config, card or write_card(Facts("SoftMask"))
        self.backbone = config.build()
        self.matcher = Matcher(config.text.width)
        self.words = WordHead(config.text.width, config.text.vocab_size) if config.words else None
        self.captions = Captions(tokenizer or load_tokenizer(SHIPPED), config.captions)
        self.captions.check(config.text.vocab_size, config.text.max_positions)

    @classmethod
    def of_parts(cls, parts: Parts) -> Self:
        """Build a model and fill it, in eval mode.

        Raises:
            InputError: the weights are not wholly those of this model.
        """
        model = cls(parts.config, parts.tokenizer, parts.card)
        report = compare(model, parts.state, parts.source)
        if report.missing or report.unexpected or report.misshapen:
            raise InputError(f"These are not whole weights of a softmask model. {report.summary()}")
        model.load_state_dict(parts.state)
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
            InputError: the source is not there, or holds something else.
        """
        folder = Path(source)
        if is_run(folder):
            parts = read_run(folder, checkpoint)
        else:
            if not folder.is_dir():
                folder = fetch(str(source), revision, token, cache_dir, local_files_only)
            parts = read_folder(folder)
        return cls.of_parts(parts).to(device=device, dtype=dtype)

    def _save_pretrained(self, save_directory: Path) -> None:
        """What `save_pretrained` and `push_to_hub` write: weights, sizes, tokenizer, card."""
        parts = Parts(
            str(save_directory), self.config, self.state_dict(), self.captions.tokenizer, self.card
        )
        write_folder(save_directory, parts)

    @torch.no_grad()
    def embed_images(self, images: Picture | Sequence[Picture], batch_size: int = 32) -> Tensor:
        """Unit features in the shared space, (I, E); their products are cosine similarities."""
        pictures = listed_pictures(images)
        parts = [
            self.backbone.encode_image(self._pixels(part))[1]
            for part in batches(pictures, batch_size)
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def embed_texts(self, texts: str | Sequence[str], batch_size: int = 256) -> Tensor:
        """Unit features in the shared space, (R, E)."""
        parts = [
            self.backbone.encode_text(*self._tokens(part))[1]
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
        pictures, captions = listed_pictures(images), listed_texts(texts)
        if len(captions) == 1:
            captions = captions * len(pictures)
        if len(pictures) not in (1, len(captions)):
            raise InputError(
                f"{len(pictures)} images are given with {len(captions)} texts: give as many of "
                f"each, or one of either."
            )
        if len(pictures) == 1:
            return join(self._judge_one(pictures[0], captions, batch_size))
        pairs = list(zip(pictures, captions, strict=True))
        return join(self._judge(part) for part in batches(pairs, batch_size))

    def explain(self, image: Picture, text: str, layer: int | None = None) -> Explanation:
        """Show where each word of a text looks: Grad-CAM of the matching score, as in training.

        Args:
            image: one picture.
            text: one caption; a word of several word pieces has the mean of their maps.
            layer: fusion layer to map; the one of the training's soft masks unless given.

        Returns:
            The words that the model read, their maps, and the match with and without what they saw.

        Raises:
            InputError: there is no such layer, or the text has no word.
        """
        layer = self.config.mask_layer if layer is None else layer
        check_layer(layer, self.config.fusion.layers)
        ids, mask = self._tokens([text])
        words = self.captions.words(text)
        places = torch.arange(ids.shape[1], device=ids.device)
        pieces = torch.stack([(places >= w.start) & (places < w.stop) for w in words])
        found = explain_words(
            self.backbone,
            self.matcher,
            layer,
            image=self._pixels([image]),
            input_ids=ids,
            mask=mask,
            pieces=pieces[None],
            by_max=self.config.by_max,
        )
        maps = torch.unflatten(found.maps[0], 1, self.backbone.image.grid)
        return Explanation([w.text for w in words], maps, float(found.plain[0]), found.masked[0])

    def _judge_one(
        self, picture: Picture, texts: Sequence[str], batch_size: int
    ) -> Iterator[Judged]:
        """One picture is encoded and projected once."""
        tokens, feature = self.backbone.encode_image(self._pixels([picture]))
        keys = self.backbone.project(tokens)
        for part in batches(texts, batch_size):
            yield self._compare(part, keys, feature)

    def _judge(self, pairs: Sequence[tuple[Picture, str]]) -> Judged:
        tokens, features = self.backbone.encode_image(self._pixels([image for image, _ in pairs]))
        return self._compare([text for _, text in pairs], self.backbone.project(tokens), features)

    def _compare(self, texts: Sequence[str], keys: ImageKeys, image: Tensor) -> Judged:
        ids, mask = self._tokens(texts)
        states, text = self.backbone.encode_text(ids, mask)
        logits: Tensor = self.matcher(self.backbone.match_state(states, mask, keys))
        return Judged(logits.softmax(dim=1)[:, 1], (image * text).sum(dim=1))

    def _pixels(self, pictures: Sequence[Picture]) -> Tensor:
        """Resize as evaluation does and stack, (I, 3, H, W) uint8."""
        size = self.config.image.image_size
        squares = stack([resize(read_picture(picture), size) for picture in pictures])
        return torch.from_numpy(squares).permute(0, 3, 1, 2).to(self._device)

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask, both (R, L)."""
        ids, mask = self.captions.encode(texts)
        return ids.to(self._device), mask.to(self._device)

    @property
    def _device(self) -> torch.device:
        return self.backbone.temperature.device
