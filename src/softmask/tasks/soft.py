"""Tasks that match again where a word's map fades the image (SoftMask++, section 4.1).

B pairs of this rank, L words, S soft masks a pair, N = 1 + P image tokens, D width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import ImageTextBatch, WordBatch
from softmask.errors import InputError
from softmask.explain import Explained, explain_words, match_maps
from softmask.losses import itm, match_accuracy, match_labels
from softmask.nn import ImageKeys, SeveralKeys, interleave, regroup
from softmask.optim import Optim
from softmask.saliency import WordMaps, choose_words, empty_share, normalise_map, soft_mask
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.objective import Contrast, Evaluation, SoftMasking


class SoftMaskTask(ContrastTask):
    """Base of pretraining and of grounding: contrast, and matching under soft masks.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        contrast: focal ITC, twins and queue.
        soft_mask: soft-masked matching.
        evaluation: retrieval on validation and test data.
        init_from: weights to start from; see `TaskModule`.
        bert: name or folder of a BERT to start from; see `PretrainTask`.
        heads: modules beside the backbone that have momentum twins too, by attribute name.

    Raises:
        InputError: there is no map in the layer that is to be mapped.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        contrast: Contrast | None = None,
        soft_mask: SoftMasking | None = None,
        evaluation: Evaluation | None = None,
        init_from: str | None = None,
        bert: str | None = None,
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__(backbone, optim, contrast, evaluation, init_from, bert, heads)
        self.soft_mask = soft_mask or SoftMasking()
        self.check_layer(words=self.soft_mask.weight > 0)

    def soft_step(
        self, seen: Seen, early: Tensor, keys: ImageKeys, negatives: Negatives, batch: WordBatch
    ) -> Tensor:
        """Match pairs, and hard negatives, with images whose features the chosen words fade.

        Args:
            seen: what the encoders make of the batch.
            early: of pairs, input of the mapped layer, (B, L, D).
            keys: of the B images.
            negatives: hard texts of the images, and hard images of the texts.
            batch: pairs and their chosen words.

        Returns:
            Logits of the S B pairs, then of as many hard texts and of as many hard images where
            they are asked for, (S B to 3 S B, 2).
        """
        mask, words = batch["attention_mask"], batch["words"]
        maps = choose_words(self.word_maps(early, mask, keys).cam, words)
        keep = soft_mask(normalise_map(maps, self.soft_mask.by_max))
        self._log_masks(maps, keep)
        times = words.shape[1]
        keys = self.backbone.fusion.soften(keys.repeat(times), keep.flatten(0, 1))
        chosen = torch.arange(len(mask), device=mask.device).repeat_interleave(times)
        texts = [chosen]
        if self.soft_mask.negatives:
            texts.append(negatives.text.repeat_interleave(times))
        index, looked = interleave(texts), [keys]
        if self.soft_mask.hard_images:
            word = torch.arange(times, device=mask.device).repeat(len(mask))
            looked.append(keys.pick(negatives.image[chosen] * times + word))
            index = torch.cat([index, chosen])
        both = SeveralKeys(tuple(looked), (len(texts) * len(chosen), len(chosen))[: len(looked)])
        logits = self.matcher(self.backbone.match_state(seen.states[index], mask[index], both))
        own = regroup(logits[: len(texts) * len(chosen)], len(texts)).transpose(0, 1).flatten(0, 1)
        return torch.cat([own, logits[len(own) :]])

    def soft_loss(self, logits: Tensor) -> Tensor:
        """Weighted matching loss of `soft_step`'s logits, ()."""
        kinds = 1 + self.soft_mask.negatives + self.soft_mask.hard_images
        labels = match_labels(logits, kinds)
        self._log_soft_accuracy(logits, labels, len(logits) // kinds)
        return self.soft_mask.weight * itm(logits, labels)

    def word_maps(self, early: Tensor, mask: Tensor, keys: ImageKeys) -> WordMaps:
        """Grad-CAM of the matching logit for each word, from the mapped layer's input.

        Args:
            early: of matched pairs, (B, L, D).
            mask: True on words, (B, L).
            keys: of the B images.
        """
        return match_maps(self.backbone, self.matcher, early, mask, keys, self.soft_mask.layer)

    def explain(self, batch: ImageTextBatch, pieces: Tensor) -> Explained:
        """Map words of a batch, and match with and without what they saw.

        Args:
            batch: B pairs.
            pieces: True on the tokens of each chosen word, (B, S, L).
        """
        return explain_words(
            self.backbone,
            self.matcher,
            self.soft_mask.layer,
            image=batch["image"],
            input_ids=batch["input_ids"],
            mask=batch["attention_mask"],
            pieces=pieces,
            by_max=self.soft_mask.by_max,
        )

    def check_layer(self, *, words: bool) -> None:
        """Refuse a layer that has no map.

        Args:
            words: whether words are mapped, and not the first token alone.

        Raises:
            InputError: names the layers that would do.
        """
        layers = len(self.backbone.fusion.layers)
        # Matching reads the first token: in the last layer no other word's map reaches it.
        top = layers - 2 if words else layers - 1
        unmapped = "soft_mask.weight to 0 and, in grounding, pointing.hidden to 0"
        if not 0 <= self.soft_mask.layer <= top:
            raise InputError(
                f"soft_mask.layer={self.soft_mask.layer} cannot be mapped with {layers} fusion "
                f"layers{', the last of which gives words no map' * words}: set "
                f"model.init_args.soft_mask.layer to 0..{max(top, 0)}"
                f"{f' and add a fusion layer, or {unmapped}' * (top < 0)}."
            )

    def _log_masks(self, maps: Tensor, keep: Tensor) -> None:
        masked = {
            "train/mask_mean": 1 - keep[..., 1:].mean(),
            "train/empty_maps": empty_share(maps),
        }
        self.log_dict(masked, batch_size=len(maps))

    def _log_soft_accuracy(self, logits: Tensor, labels: Tensor, pairs: int) -> None:
        for name, rows in (("pairs", slice(pairs)), ("negatives", slice(pairs, None))):
            part = logits[rows]
            if len(part):
                accuracy = match_accuracy(part, labels[rows])
                self.log(f"train/accuracy/masked_{name}", accuracy, batch_size=len(part))
