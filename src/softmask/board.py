"""What TensorBoard shows beside curves: the run as a table, its settings, what to look at first."""

from collections.abc import Iterable, Mapping
from typing import Any

LOSSES = "loss|itc|itm|mlm|soft|class|answer|caption|assignment"
"""Of all tasks."""
LAYOUT = {
    "At a glance": {
        "losses": ["Multiline", [rf"train/({LOSSES})$"]],
        "validation": ["Multiline", [r"val/[^/]+$", r"val/it[cm]/mean$"]],
        "told apart": ["Multiline", [r"train/accuracy"]],
        "temperature": ["Multiline", [r"train/temperature$"]],
        "soft masks": ["Multiline", [r"train/(mask_mean|empty_maps)$"]],
        "norms": ["Multiline", [r"train/(grad|update)_norm$"]],
        "learning rates": ["Multiline", [r"lr/"]],
        "samples a second": ["Multiline", [r"perf/samples_per_second$"]],
        "shares of time and peak": ["Multiline", [r"perf/(data_wait|mfu)$"]],
        "memory": ["Multiline", [r"perf/memory_gib$"]],
        "dropped samples": ["Multiline", [r"data/dropped/"]],
    }
}
"""The custom-scalars screen: charts and the tags in each, as regular expressions."""

Plain = bool | int | float | str


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Plain]:
    """A run's model, data and trainer as names with plain values, to compare runs by.

    Args:
        settings: of config.yaml.

    Returns:
        By dotted name, without `init_args`; what is null is left out, lists are one text.
    """
    parts = {name: settings.get(name) for name in ("model", "data", "trainer")}
    trainer = parts["trainer"]
    if isinstance(trainer, Mapping):  # where it runs and writes is no setting to compare
        parts["trainer"] = {k: v for k, v in trainer.items() if k not in ("logger", "callbacks")}
    return dict(_walk(parts, ""))


def _walk(value: object, name: str) -> Iterable[tuple[str, Plain]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    elif isinstance(value, bool | int | float | str):
        yield name, value
    elif value is not None:
        yield name, str(value)


def markdown_table(facts: Mapping[str, str]) -> str:
    """Facts as TensorBoard's text tab wants a table."""
    rows = [("fact", "value"), ("---", "---"), *facts.items()]
    return "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows)


def markdown_code(text: str) -> str:
    """Text as it is."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
