"""No text gives its answer away, and what meets in evaluation is new: by counting."""

from collections import Counter, defaultdict
from itertools import combinations

import pytest
from scene_expressions import describes
from scene_oracle import seen

from data_modules.scenes.held_out import HeldOut
from data_modules.scenes.vocabulary import find_level, read_things
from data_modules.scenes.write import Options, make_world, places, tasks_at

SPLITS = ("train", "val", "test")
OPTIONS = Options(480, 240, 1, 96, 0)
CHANCE = {"vqa": 0.4 * 1 / 2 + 0.1 * 1 / 2 + 0.3 * 1 / 4 + 0.2 * 1 / 20, "nlvr2": 1 / 2}
CHANCE |= {"snli_ve": 1 / 3}

COMMON = {"is", "there", "a", "the", "what", "how", "many", "in", "of", "both", "no", "neither"}


@pytest.fixture(scope="module")
def corpus():
    """Samples by task and split, each whole, composed group by group."""
    found, things = {}, read_things(find_level(1))
    for split in SPLITS:
        world = make_world(OPTIONS, split, things)
        for name, task in tasks_at(OPTIONS.level).items():
            groups = sorted({place.group for place in places(task, split, OPTIONS)})
            found[name, split] = [s for g in groups for s in task.compose(world, g, 0)]
    return found


def label(sample):
    return str(sample.notes.get("label", sample.notes.get("answers", [""])[0]))


def labels_of(samples, key):
    found = defaultdict(Counter)
    for sample in samples:
        found[key(sample)][label(sample)] += 1
    return found


def text(sample):
    return sample.texts[0]


def template(sample):
    """The text without its nouns, colours and places."""
    return " ".join(word if word in COMMON else "*" for word in text(sample).split())


@pytest.mark.parametrize("task", CHANCE)
@pytest.mark.parametrize("key", [text, template])
def test_the_training_majority_of_a_text_is_no_better_than_chance(corpus, task, key):
    majority = {
        each: counts.most_common(1)[0][0]
        for each, counts in labels_of(corpus[task, "train"], key).items()
    }
    test = corpus[task, "test"]
    right = sum(majority.get(key(sample)) == label(sample) for sample in test)
    assert right / len(test) <= CHANCE[task] + 0.03


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("task", "labels"), [("nlvr2", 2), ("snli_ve", 3)])
def test_each_text_has_all_labels_equally_often(corpus, task, labels, split):
    for sentence, counts in labels_of(corpus[task, split], text).items():
        assert len(counts) == labels, sentence
        assert len(set(counts.values())) == 1, sentence


@pytest.mark.parametrize("split", SPLITS)
def test_answers_of_each_question_are_balanced(corpus, split):
    samples = corpus["vqa", split]
    for question, counts in labels_of(samples, text).items():
        kind = next(s.notes["question_type"] for s in samples if text(s) == question)
        if kind != "what":
            assert len(set(counts.values())) == 1, (question, counts)
        wanted = {"colour": 4, "where": 4, "what": 4}.get(kind, 2)
        assert len(counts) >= wanted, (question, counts)
    yes_no = [label(sample) for sample in samples if label(sample) in ("yes", "no")]
    assert len(yes_no) == 0.4 * len(samples)


def test_groups_of_a_statement_are_of_four_pairs():
    sizes = Counter(
        (place.split, place.group)
        for split in ("train", "test")
        for place in places(tasks_at(OPTIONS.level)["nlvr2"], split, OPTIONS)
    )
    assert set(sizes.values()) == {4}


def test_all_things_are_asked_for_equally_often(corpus):
    asked = [s for s in corpus["vqa", "train"] if s.notes["question_type"] == "where"]
    uses = Counter(text(s).split(" the ")[1] for s in asked)
    assert len(uses) == 24
    assert max(uses.values()) - min(uses.values()) <= 4


def test_a_curtain_alone_does_not_tell_the_label(corpus):
    hung = Counter((s.scenes[0].curtain is not None, label(s)) for s in corpus["snli_ve", "train"])
    best = sum(
        max(count for (is_hung, _), count in hung.items() if is_hung is curtain)
        for curtain in (True, False)
    )
    assert best / hung.total() < 0.58


def scenes(corpus, split):
    for task in tasks_at(OPTIONS.level):
        for sample in corpus[task, split]:
            yield from sample.scenes


def pairs(scene):
    names = sorted({each.thing.name for each in scene.objects})
    return {frozenset(pair) for pair in combinations(names, 2)}


def test_pairs_of_evaluation_are_new_in_every_picture(corpus):
    met = {
        split: [pairs(scene) for scene in scenes(corpus, split)]
        for split in ("train", "val", "test")
    }
    known = set().union(*met["train"])
    held_out = HeldOut([thing.name for thing in read_things(find_level(1))], 0)
    for split, other in (("val", "test"), ("test", "val")):
        own = {pair for pair in set().union(*met[split]) if held_out.split(*pair) == split}
        assert len(own) == 48
        assert not own & known
        assert all(each & own for each in met[split])
        assert not own & set().union(*met[other])


def test_every_thing_is_in_training(corpus):
    for task in tasks_at(OPTIONS.level):
        uses = Counter(
            each.thing.name
            for sample in corpus[task, "train"]
            for scene in sample.scenes
            for each in scene.objects
        )
        assert len(uses) == 24
        assert min(uses.values()) > 0.33 * max(uses.values())


@pytest.mark.parametrize("count", [6, 24, 25, 150, 1000])
def test_held_out_partners(count):
    names = [f"n{number}" for number in range(count)]
    held_out = HeldOut(names, 1)
    for split in ("val", "test"):
        sizes = set()
        for name in names:
            partners = held_out.partners(name, split)
            sizes.add(len(set(partners)))
            assert len(set(partners)) == len(partners)
            assert {held_out.split(name, other) for other in partners} == {split}
            assert all(name in held_out.partners(other, split) for other in partners)
        assert len(sizes) == 1
    alone = sum(held_out.split(names[0], other) == "train" for other in names[1:])
    assert alone >= count / 6
    assert HeldOut(names, 2).partners("n0", "val") != held_out.partners("n0", "val")


def test_captions_tell_the_pictures_of_a_gallery_apart(corpus):
    samples = corpus["pairs", "test"][:120]
    gallery = [(seen(sample.scenes[0]), sample.texts[0]) for sample in samples]
    fits = [describes(view, caption) for view, _ in gallery for _, caption in gallery]
    also_true = sum(fits) - len(gallery)
    assert also_true < 0.15 * len(gallery)
