"""`softmask data answers`: the list of answers that VQA chooses from."""

import json
from collections import Counter
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.answered import answers_of
from data_modules.contents import meta, source
from data_modules.reasons import BadSample
from data_modules.shards import ShardSet
from softmask.errors import InputError
from softmask.metrics import normalise_answer


def write_answers(path: str | list[str], output: Path, count: int = 3129, least: int = 1) -> None:
    """Write the most frequent answers of shards as a JSON list, the most frequent first.

    Each person's answer counts once. Answers are compared as VQA's accuracy compares them; what
    that leaves nothing of is left out. Equally frequent ones stand in alphabetical order.

    Args:
        path: shards with answers, or a list of several that are counted together.
        output: file to write.
        count: answers to list; 3,129 in the field.
        least: answers given fewer times are left out; 9 in the field.

    Raises:
        InputError: if there is no answer, or a number cannot be used.
    """
    if count < 1 or least < 1:
        raise InputError(f"count is {count} and least {least}: give 1 or more.")
    paths = [path] if isinstance(path, str) else path
    found = count_answers(paths)
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = [answer for answer, times in ranked[:count] if times >= least]
    if not listed:
        raise InputError(
            f"{', '.join(paths)} holds no answer that was given {least} times or more: give shards "
            f"whose json has answers."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(listed, ensure_ascii=False) + "\n", encoding="utf-8")
    covered = sum(found[answer] for answer in listed) / found.total()
    print(f"{output}: {len(listed)} of {len(found)} answers, {covered:.1%} of what people said")


def count_answers(paths: list[str]) -> Counter[str]:
    """Count what people answered, over all samples of some shard sets.

    Raises:
        InputError: if a sample's json or its answers cannot be read.
    """
    found: Counter[str] = Counter()
    for path in paths:
        shards = ShardSet(path)
        for position in tqdm(range(len(shards)), desc=path, unit="sample"):
            sample = shards.read(position)
            try:
                answers = answers_of(meta(sample))
            except BadSample as bad:
                raise InputError(
                    f"The {source(sample)} {bad.detail}: mend it or leave it out."
                ) from bad
            found.update(normalise_answer(text) for text in answers)
    del found[""]
    return found
