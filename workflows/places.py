"""Files and lines of the errors of a definition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from common.errors import FieldError
from common.sources.places import Path, lines_of
from workflows.errors import FieldErrorInFile, FieldErrorInText, parts_of

YAML = frozenset({".yaml", ".yml"})
_JSON = ".json"


@dataclass(slots=True)
class Sources:
    """The files of a definition: the main one, the texts by file, and the included files by pointer."""

    main: str
    texts: dict[str, str] = field(default_factory=dict)
    included: dict[str, str] = field(default_factory=dict)

    def located(self, errors: Sequence[FieldError]) -> list[FieldErrorInFile]:
        """Return the errors with their files, and with lines where the files are text."""
        places = [self._place(each) for each in errors]
        wanted: dict[str, set[Path]] = defaultdict(set)
        for error, (file, path) in zip(errors, places, strict=True):
            if _line_within(error, file) is None:
                wanted[file].add(path)
        lines = {file: self._lines(file, paths) for file, paths in wanted.items()}
        return [
            FieldErrorInFile(
                pointer=error.pointer,
                code=error.code,
                detail=error.detail,
                file=file,
                line=_line_within(error, file) or lines.get(file, {}).get(path),
            )
            for error, (file, path) in zip(errors, places, strict=True)
        ]

    def _place(self, error: FieldError) -> tuple[str, Path]:
        """Return the file of an error, and the path in that file."""
        if isinstance(error, FieldErrorInFile):
            return error.file, ()
        parts = tuple(parts_of(error.pointer))
        ends = [error.pointer, *_ends(error.pointer)]
        for size, end in zip(range(len(parts), -1, -1), ends, strict=False):
            if end in self.included:
                return self.included[end], parts[size:]
        return self.main, parts

    def _lines(self, file: str, paths: set[Path]) -> dict[Path, int]:
        text, suffix = self.texts.get(file), PurePath(file).suffix.lower()
        if text is None:
            return {}
        if suffix == _JSON or suffix in YAML:
            return lines_of(text, paths, is_json=suffix == _JSON)
        return dict.fromkeys(paths, 1)


def _ends(pointer: str) -> list[str]:
    """Return the pointers to all values around a value, from the innermost one."""
    found = []
    while pointer:
        pointer = pointer.rpartition("/")[0]
        found.append(pointer)
    return found


def _line_within(error: FieldError, file: str) -> int | None:
    """Return the line that an error knows. In a text within YAML or JSON it counts from the start of the text."""
    if isinstance(error, FieldErrorInFile):
        return error.line
    is_text = PurePath(file).suffix.lower() not in {_JSON, *YAML}
    return error.line if isinstance(error, FieldErrorInText) and is_text else None
