"""`softmask data answers`: the commonest answers of a data set, for tasks that choose of them."""

import json
from collections import Counter
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.answered import answers_of
from data_modules.contents import meta
from data_modules.reasons import BadSample
from data_modules.shards import ShardSet
from softmask.errors import InputError
from softmask.metrics.answers import normalise_answer


def write_answers(path: str, output: Path = Path("answers.json"), count: int = 3129) -> None:
    """Write the commonest answers of a data set as a JSON list, the commonest first.

    Answers are normalised as VQA scores them. Each person's answer counts once; equal counts stand
    in alphabetical order.

    Args:
        path: shards with questions: a folder, an index.json, a .tar, or a pattern.
        output: the list.
        count: answers to keep; the field's number for VQA v2.

    Raises:
        InputError: if a number cannot be used, there are no answers, or the output is there.
    """
    if count < 1:
        raise InputError(f"count is {count}: give 1 or more.")
    if output.exists():
        raise InputError(f"{output} is there already: delete it or choose another name.")
    counts, questions = _count(path)
    if not counts:
        raise InputError(f"No sample of {path} has answers in its json: give shards with answers.")
    ranked = sorted(counts, key=lambda text: (-counts[text], text))[:count]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(ranked, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    listed = set(ranked)
    reached = sum(bool(answers & listed) for answers in questions)
    given = sum(counts[text] for text in ranked)
    print(
        f"{output}: {len(ranked)} of {len(counts)} answers; {given / counts.total():.1%} of all "
        f"that was said, an answer to {reached / len(questions):.1%} of {len(questions)} questions"
    )


def _count(path: str) -> tuple[Counter[str], list[set[str]]]:
    """Count answers, and give those of each question."""
    shards = ShardSet(path)
    counts: Counter[str] = Counter()
    questions: list[set[str]] = []
    bad = 0
    for position in tqdm(range(len(shards)), desc=path, unit="question"):
        try:
            texts = [normalise_answer(text) for text in answers_of(meta(shards.read(position)))]
        except BadSample:
            bad += 1
            continue
        kept = [text for text in texts if text]  # of some nothing is left: "the"
        counts.update(kept)
        if kept:
            questions.append(set(kept))
    if bad:
        print(f"{path}: {bad} bad samples are left out; `softmask data check` names them")
    return counts, questions
