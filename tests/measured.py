"""Made-up lines of the ablation: the form of real ones, figures that tests choose."""

WAYS = ("i2t", "t2i")


def line(row: str, seed: int, recall: float, **given) -> dict:
    """A line whose re-ranked recalls are all alike, and contrastive ones half of them."""
    metrics = {
        f"{score}/{way}/r{k}": recall * share
        for score, share in {"itc": 0.5, "itm": 1.0}.items()
        for way in WAYS
        for k in (1, 5, 10)
    }
    made = {
        "data": "emoji",
        "row": row,
        "seed": seed,
        "steps": 100,
        "preset": "tiny",
        "device": "cpu",
        "budget": "steps",
        "metrics": metrics,
        "probe": {"maps/entropy": 0.8, "contrast/temperature": 0.05},
        "train": {},
        "curve": {"50": {"recall": recall / 2}, "100": {"recall": recall}},
        "seconds_per_step": 0.5,
        "jobs": 2,
        "machine": "a machine",
        "torch": "2.0",
        "commit": "abc",
    }
    assert given.keys() <= made.keys()
    return made | given


def row(name: str, recalls: list[float], **given) -> list[dict]:
    """Lines of seeds 0, 1, and so on."""
    return [line(name, seed, recall, **given) for seed, recall in enumerate(recalls)]
