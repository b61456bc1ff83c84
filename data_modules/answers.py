"""`softmask data answers`: the commonest answers of data sets, for tasks that choose of them."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.answered import answers_of
from data_modules.contents import meta
from data_modules.reasons import BadSample
from data_modules.shards import ShardSet
from softmask.errors import InputError
from softmask.metrics.answers import normalise_answer


def write_answers(
    path: str | list[str],
    output: Path = Path("answers.json"),
    count: int = 3129,
    least: int = 1,
) -> None:
    """Write the commonest answers of data sets as a JSON list, the commonest first.

    Answers are normalised as VQA scores them; those of which nothing is left do not count. Each
    person's answer counts once; equal counts stand in alphabetical order.

    Args:
        path: shards with questions: a folder, an index.json, a .tar, or a pattern; or a list of
            several, which are counted together.
        output: the list.
        count: answers to keep; the field's number for VQA v2.
        least: answers given fewer times are left out.

    Raises:
        InputError: if a number cannot be used, no answer is left, or the output is there.
    """
    if count < 1 or least < 1:
        raise InputError(f"count is {count} and least {least}: give 1 or more.")
    if output.exists():
        raise InputError(f"{output} is there already: delete it or choose another name.")
    paths = [path] if isinstance(path, str) else path
    counts, questions = _count(paths)
    ranked = sorted(counts, key=lambda text: (-counts[text], text))[:count]
    listed = [text for text in ranked if counts[text] >= least]
    if not listed:
        raise InputError(
            f"No answer in {', '.join(paths)} was given {least} times or more: give shards whose "
            "json has answers."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(listed, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    given, known = sum(counts[text] for text in listed), set(listed)
    reached = sum(bool(answers & known) for answers in questions)
    print(
        f"{output}: {len(listed)} of {len(counts)} answers; {given / counts.total():.1%} of all "
        f"that was said, an answer to {reached / len(questions):.1%} of {len(questions)} questions"
    )


def _count(paths: Sequence[str]) -> tuple[Counter[str], list[set[str]]]:
    """Count answers, and give those of each question."""
    counts: Counter[str] = Counter()
    questions: list[set[str]] = []
    for path in paths:
        shards, bad = ShardSet(path), 0
        for position in tqdm(range(len(shards)), desc=path, unit="question"):
            try:
                said = answers_of(meta(shards.read(position)))
            except BadSample:
                bad += 1
                continue
            kept = [text for text in map(normalise_answer, said) if text]
            counts.update(kept)
            if kept:
                questions.append(set(kept))
        if bad:
            print(f"{path}: {bad} bad samples are left out; `softmask data check` names them")
    return counts, questions
