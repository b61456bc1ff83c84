"""What a long look at data has found so far, on disk: it survives a kill."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_modules.ledger import as_line, sync
from softmask.whole import write_text_whole


class Progress:
    """A line of JSON for each part that is done, until the report of all is written.

    Args:
        report: the report; what is done lies beside it. None keeps nothing.
        arguments: on which results depend; what was done with others is done again.
    """

    def __init__(self, report: Path | None, arguments: Mapping[str, object]) -> None:
        self.file = report and report.with_name(f".{report.name}.progress")
        self.done: dict[str, Any] = {}
        if self.file is None:
            return
        first = as_line({"arguments": arguments})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file.is_file():
            self.done = _read(self.file, first)
        # Written anew: a kill may have cut the last line in two. And a report that cannot be
        # written is found out before the work.
        write_text_whole(self.file, "".join([first, *map(as_line, self.done.items())]))

    def add(self, part: str, result: object) -> None:
        """Note a part that is done.

        Args:
            part: its name.
            result: what JSON can hold.
        """
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(as_line((part, result)))
                sync(file)

    def delete(self) -> None:
        """Forget all: the report is written."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def _read(file: Path, first: str) -> dict[str, Any]:
    try:
        begun, *rest = file.read_text(encoding="utf-8").split("\n")[:-1]  # whole lines only
        return dict(map(json.loads, rest)) if f"{begun}\n" == first else {}
    except ValueError:
        return {}
