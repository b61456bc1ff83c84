"""Visual question answering by a decoder (ALBEF, section 4.2).

B questions of this rank, A answers of all of them, L question tokens, T answer tokens, V word
pieces.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import IGNORE, AnsweredBatch, QuestionBatch
from softmask.losses import next_words
from softmask.nn import AnswerDecoder
from softmask.optim import Optim
from softmask.ranking import AnswerTokens, Ranked, rank_answers, tokenise
from softmask.renames import State, start_decoder
from softmask.tasks.objective import Distillation, Ranking
from softmask.tasks.question import QuestionTask
from softmask.tokenizer import SHIPPED, load_tokenizer


class VqaTask(QuestionTask):
    """VQA as ALBEF does it: answers are written by a decoder, and in evaluation ranked by it.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        answers: JSON file with the list of answers that are ranked; training does not need to
            know them.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        ranking: of the list.
        init_from: weights to start from; the decoder starts from fusion layers, embeddings and
            word head of a pretrained file.
        tokenizer: of the answers; the data's.
    """

    decoder: AnswerDecoder
    answer_ids: Tensor
    answer_mask: Tensor

    def __init__(
        self,
        backbone: Backbone,
        answers: str,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        ranking: Ranking | None = None,
        init_from: str | None = None,
        tokenizer: str = SHIPPED,
    ) -> None:
        decoder = AnswerDecoder.like(backbone.text, backbone.fusion)
        heads: Mapping[str, nn.Module] = {"decoder": decoder}
        super().__init__(backbone, answers, optim, distillation, init_from, heads)
        self.ranking = ranking or Ranking()
        listed = tokenise(self.answers, load_tokenizer(tokenizer))
        self.register_buffer("answer_ids", listed.ids, persistent=False)
        self.register_buffer("answer_mask", listed.mask, persistent=False)

    def adapt(self, state: State) -> State:
        """Make the decoder of a pretrained file's fusion layers, embeddings and word head."""
        return start_decoder(state)

    def compute_loss(self, batch: AnsweredBatch) -> Tensor:
        """Write the answers, partly as the twins would.

        Args:
            batch: questions with their answers.

        Returns:
            The loss, (): summed over an answer's tokens, weighted, a question.
        """
        logits = self.answer_logits(self.backbone, self.decoder, batch)
        taught = self.teach(batch) if self.distillation.alpha else None
        loss = next_words(
            logits,
            batch["answer_ids"].masked_fill(~batch["answer_mask"], IGNORE)[:, 1:],
            batch["answer_weight"],
            len(batch["key"]),
            taught,
            self.alpha,
        )
        self.log("train/alpha", self.alpha, batch_size=len(batch["key"]))
        return self.total({"answer": loss}, batch["key"])

    def teach(self, batch: AnsweredBatch) -> Tensor:
        """The momentum twins' logits, (A, T - 1, V)."""
        with self.teaching():
            return self.answer_logits(self.teacher, self.momentum.twin["decoder"], batch)

    def answer_logits(self, backbone: Backbone, decoder: nn.Module, batch: AnsweredBatch) -> Tensor:
        """Logits of each answer's tokens but the first, (A, T - 1, V)."""
        assert isinstance(decoder, AnswerDecoder)
        rows, mask = batch["question_row"], batch["attention_mask"]
        # Keys are projected once a question, then handed to each of its answers.
        keys = decoder.project(self.fused(backbone, batch)).pick(rows)
        ids, real = batch["answer_ids"][:, :-1], batch["answer_mask"][:, :-1]
        return decoder.logits(decoder(ids, real, keys, mask[rows]))

    @torch.no_grad()
    def rank(self, batch: QuestionBatch) -> Ranked:
        """Find the best of the listed answers to each question."""
        keys = self.decoder.project(self.fused(self.backbone, batch))
        options = self.ranking
        return rank_answers(
            self.decoder,
            keys,
            batch["attention_mask"],
            AnswerTokens(self.answer_ids, self.answer_mask),
            k=options.k_test,
            double_first=options.double_first,
            chunk=options.chunk,
        )
