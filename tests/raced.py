"""The step benchmark's rivals at a size that takes no time."""

from benchmarks import presets, rivals
from benchmarks.sizes import StepSize

TINY = StepSize(
    4, width=16, layers=1, text_layers=1, fusion_layers=3, image=32, tokens=8, queue=8, embed=8
)
MODES = dict(presets.plans("cpu-small")[0].rows)


def ours(name: str = "albef") -> rivals.Ours:
    made = MODES[name].build(TINY, None, "cpu")
    assert isinstance(made, rivals.Ours)
    return made


def tiny_plan(*names: str) -> list[presets.Plan]:
    return [presets.Plan(TINY, {name: MODES[name] for name in names}, rounds=1)]
