"""Visual question answering: pictures with a question and what people answered."""

from dataclasses import replace

from data_modules.answered import MakeAnswered, MakeQuestions
from data_modules.decode import MAX_PIXELS
from data_modules.image import Distortion
from data_modules.mixture import Source
from data_modules.pictured import FINE_TUNING, PicturedData, Reader
from data_modules.sizes import check_sizes
from data_modules.store import StoreOptions
from data_modules.text import Text, TextOptions


class VqaData(PicturedData):
    """Samples of a picture, a question as txt, and a json.

    {"question_id": 1, "answers": ["red", "red", "dark red"], "dataset": "vqa",
    "question_type": "what color", "answer_type": "other", "answer_weight": 1.0}: answers as people
    gave them, ten in VQA v2, one elsewhere; all but the answers may be missing, and in evaluation
    the answers too: there is nothing to score then. In training each different answer is learnt
    with its share among all of the question's, times answer_weight, which is 0.5 for the dataset
    "vg" unless given.

    Longer questions are cut, to text.max_words and text.max_tokens in training, to eval_words and
    eval_tokens in evaluation; `softmask data check` counts them.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern, here or at an address
            such as s3://bucket/train; or sources with weights, [{path: ..., weight: ...}, ...].
        val: shards to validate.
        test: shards to test.
        predict: shards to predict.
        image_size: side of the square pictures in pixels.
        batch_size: training samples a step on each device.
        eval_batch_size: evaluation samples a step on each device; None takes batch_size.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        seed: of the order and of the augmentation.
        window: samples shuffled together; less keeps reading near fewer shards.
        text: how questions are tokenised; masking is pretraining's alone, and answers keep their
            signs whatever text.punctuation says.
        distortion: how training pictures are distorted.
        val_limit: validate the first samples only.
        max_pixels: larger pictures are not decoded but dropped.
        store: how shards of addresses are fetched and kept.
        max_drop_rate: share of bad training samples that others replace before the run stops.
        eval_words: words kept of a question in evaluation; ALBEF's 50.
        eval_tokens: tokens kept of it, at most the backbone's text.max_positions.
        answer_tokens: tokens kept of an answer to learn, [CLS] and [SEP] counted.
    """

    def __init__(
        self,
        train: str | list[Source] | None = None,
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        image_size: int = 384,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        workers: int = 4,
        seed: int = 0,
        window: int = 10_000,
        text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
        distortion: Distortion = FINE_TUNING,
        val_limit: int | None = None,
        max_pixels: int = MAX_PIXELS,
        store: StoreOptions = StoreOptions(),  # noqa: B008 (frozen)
        max_drop_rate: float = 0.01,
        eval_words: int = 50,
        eval_tokens: int = 512,
        answer_tokens: int = 32,
    ) -> None:
        super().__init__(
            train,
            val,
            test,
            predict,
            image_size,
            batch_size,
            eval_batch_size,
            workers,
            seed,
            window,
            text,
            distortion,
            val_limit,
            max_pixels,
            store,
            max_drop_rate,
        )
        check_sizes({"eval_words": eval_words}, least=1)
        check_sizes({"eval_tokens": eval_tokens, "answer_tokens": answer_tokens}, least=3)
        self.eval_words, self.eval_tokens = eval_words, eval_tokens
        self.answer_tokens = answer_tokens

    @property
    def plain_text(self) -> TextOptions:
        """Questions of evaluation are hardly cut."""
        return replace(self.text, max_words=self.eval_words, max_tokens=self.eval_tokens)

    def make_train(self) -> MakeAnswered:
        """Give the maker of training batches."""
        # A word has one piece at least: no answer loses a word that would have fitted. Signs stay,
        # as in ALBEF, whatever happens to questions': those of the list that is ranked keep them.
        most = self.answer_tokens
        options = replace(
            self.text,
            max_words=most,
            max_tokens=most,
            sep=True,
            pad_to_max=False,
            punctuation="kept",
        )
        return MakeAnswered(self.distorted(), Reader(Text(options), self.image_size))

    def make_evaluation(self) -> MakeQuestions:
        """Give the maker of evaluation batches."""
        return MakeQuestions(self.plain())
