"""What happened to each name when weights were loaded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SHOWN = 8
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LoadReport:
    """What happened to each name when weights were loaded.

    Args:
        source: where they came from.
        matched: names of the module that were filled.
        missing: names of the module that the source lacks.
        unexpected: names of the source that the module has no place for.
        misshapen: names whose shapes differ, with both shapes.
        resampled: positions among the matched that were brought to another size, with both shapes.
        shapes: of what is missing and unexpected, by name.
        note: what to know of the source.
    """

    source: str
    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str] = field(default_factory=list)
    resampled: list[str] = field(default_factory=list)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    note: str = ""

    def summary(self, shown: int = SHOWN) -> str:
        """A line of counts and a line for each list that is not empty.

        Args:
            shown: names of each list, at most.
        """
        lines = [f"{self.source}: {len(self.matched)} tensors loaded"]
        for title in ("missing", "unexpected", "misshapen", "resampled"):
            names: list[str] = getattr(self, title)
            if names:
                listed = ", ".join(self._with_shape(name) for name in names[:shown])
                more = ", ..." if len(names) > shown else ""
                lines.append(f"  {len(names)} {title}: {listed}{more}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    def unfilled(self) -> list[str]:
        """Parts of the module of which nothing at all was filled, such as `backbone.fusion`."""
        filled = set(_parts(self.matched))
        wanting = [*self.missing, *(name.split(" ")[0] for name in self.misshapen)]
        return [part for part in _parts(wanting) if part not in filled]

    def _with_shape(self, name: str) -> str:
        return f"{name} {self.shapes[name]}" if name in self.shapes else name


def _parts(names: Iterable[str]) -> list[str]:
    """The modules that names belong to, in order: one level inside the backbone, else the top."""
    split = (name.split(".") for name in names)
    return list(dict.fromkeys(".".join(w[: 1 + (w[0] == "backbone")]) for w in split))
