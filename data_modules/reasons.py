"""Why samples are dropped, mended or refused: a closed vocabulary.

Reports, logs and TensorBoard tags use these words; a new fault gets a word here.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Faults. Those of a whole shard end a run by name; those of a sample drop the sample."""

    # of a shard
    MISSING_SHARD = "missing_shard"  # in the index, not on the disk
    WRONG_COUNT = "wrong_count"  # the index says another number of samples
    CHANGED_SHARD = "changed_shard"  # the index says another hash
    NOT_A_TAR = "not_a_tar"
    TRUNCATED_TAR = "truncated_tar"
    EMPTY_SHARD = "empty_shard"
    UNSAFE_PATH = "unsafe_path"  # absolute, or through ..
    LINK = "link"  # symbolic or hard
    SPECIAL_FILE = "special_file"  # device, pipe or sparse file
    REPEATED_MEMBER = "repeated_member"  # one column twice in a sample
    # of a picture
    MISSING_PICTURE = "missing_picture"
    MANY_PICTURES = "many_pictures"
    EMPTY_PICTURE = "empty_picture"  # no bytes
    UNKNOWN_PICTURE = "unknown_picture"  # no JPEG, PNG, WebP or GIF
    CORRUPT_PICTURE = "corrupt_picture"
    TOO_MANY_PIXELS = "too_many_pixels"
    # of a caption
    MISSING_CAPTION = "missing_caption"
    EMPTY_CAPTION = "empty_caption"
    LONG_CAPTION = "long_caption"  # more bytes than any caption has
    BAD_UTF8 = "bad_utf8"
    BAD_JSON = "bad_json"
    # of what a task wants to be told
    BAD_LABEL = "bad_label"  # none of the classes
    BAD_ANSWERS = "bad_answers"  # none, or not texts
    BAD_BOX = "bad_box"  # outside the picture, or without an area
    # of names
    DOTTED_KEY = "dotted_key"  # a.v2.jpg: the key ends at the first dot
    DUPLICATE_KEY = "duplicate_key"  # seen by `softmask data check` alone
    DUPLICATE_ID = "duplicate_id"  # likewise; an evaluation refuses all of its data
    PICKLE_COLUMN = "pickle_column"  # never read; seen by `softmask data check` alone


class Mend(StrEnum):
    """What is put right without a loss; `softmask data check` counts these too."""

    ROTATED = "exif_rotation"
    CMYK = "cmyk"
    GRAY = "gray"
    DEEP = "16_bit"
    ALPHA = "alpha"
    PALETTE = "palette"
    ANIMATED = "animated"
    CUT_CAPTION = "cut_caption"
    CONTROL_CHARACTERS = "control_characters"


class BadSample(Exception):  # noqa: N818 (no error of anybody here)
    """A sample that cannot be used: an event to count, not a user's mistake.

    Args:
        reason: from the vocabulary.
        detail: what was found, as the end of a sentence about the sample.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
