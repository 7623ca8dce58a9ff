"""Errors of workflow definitions, checks of plain data, and JSON pointers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from common.errors import FieldError, Gone, Invalid
from common.json_pointer import pointer
from common.limits import limits
from common.sources.text_source import max_levels

_MAX_NUMBER = 10**300
_MAX_NAME = 500  # characters; errors repeat the names in their pointers
#: Characters that PostgreSQL cannot store: U+0000, and lone surrogates.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class FieldErrorInFile(FieldError):
    """An error in a file of a definition."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        """Return the file, the line if it is known, the place and the text."""
        line = "" if self.line is None else f" line {self.line}"
        return f"{self.file}{line}: {super().__str__()}"


class FieldErrorInText(FieldError):
    """An error in a long text of a definition, with its line."""

    line: int | None

    def __str__(self) -> str:
        """Return the place, the line and the text."""
        line = "" if self.line is None else f"line {self.line}: "
        return f"{self.pointer}: {line}{self.detail}"


class DefinitionError(Invalid):
    """An invalid definition; `errors` lists all errors."""

    code = "invalid-definition"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(str(field_error) for field_error in errors), errors)


class WorkflowRetired(Gone):
    """The workflow is retired: its executions go on, and new ones do not start."""

    code = "workflow-retired"

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"The workflow {workflow_id!r} is retired; an author can bring it back.")


def character_errors(value: object, *where: str | int) -> Iterator[FieldError]:
    """Yield the texts in plain data with characters that PostgreSQL cannot store."""
    if isinstance(value, str) and UNSTORABLE.search(value):
        detail = "U+0000 and lone surrogates cannot be stored."
        yield FieldError(pointer=pointer(*where), code="characters", detail=detail)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from character_errors(inner, *where, storable(str(name)))
            yield from character_errors(name, *where, storable(str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from character_errors(inner, *where, index)


def bound_errors(source: object) -> Iterator[FieldError]:
    """Yield excessive depth, size and numbers in plain data, without recursion."""
    level: list[tuple[tuple[str | int, ...], object]] = [((), source)]
    count = 0
    for _ in range(max_levels() + 1):
        for path, value in level:
            if isinstance(value, int | float) and not -_MAX_NUMBER <= value <= _MAX_NUMBER:  # also true for NaN
                detail = "Numbers must be finite, with at most 300 digits."
                yield FieldError(pointer=pointer(*path), code="number_out_of_range", detail=detail)
            if path and isinstance(path[-1], str) and len(path[-1]) > _MAX_NAME:
                cut = (*path[:-1], f"{path[-1][:_MAX_NAME]}…")
                detail = f"Names may have at most {_MAX_NAME} characters."
                yield FieldError(pointer=pointer(*cut), code="name_too_long", detail=detail)
        count += len(level)
        if count > limits().definition_values:
            detail = f"It has more than {limits().definition_values:,} values (MAX_DEFINITION_VALUES)."
            yield FieldError(pointer="", code="too_large", detail=detail)
            return
        level = [((*path, name), inner) for path, value in level for name, inner in _inside(value)]
        if not level:
            return
    detail = f"Values are nested more than {max_levels()} levels deep."
    yield FieldError(pointer=pointer(*(storable(str(name)) for name in level[0][0])), code="too_deep", detail=detail)


def _inside(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def storable(text: str) -> str:
    """Return an external text with characters that PostgreSQL cannot store replaced by U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)


def parts_of(path: str) -> list[str]:
    """Return the parts of an RFC 6901 JSON Pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
