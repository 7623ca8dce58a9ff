"""What can be wrong with a definition, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from common.limits import limits
from common.sources.text_source import max_levels

#: What PostgreSQL keeps in no text: U+0000, and halves of surrogate pairs.
_LARGEST_NUMBER = 10**300
_LONGEST_NAME = 500  # characters; faults repeat the names that lead to them
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Fault(BaseModel):
    """One thing that is wrong with a definition, and where (RFC 6901 pointer); in files also the file and the line."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    code: str
    detail: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return the place, then what is wrong."""
        line = "" if self.line is None else f" line {self.line}"
        return f"{'' if self.file is None else f'{self.file}{line}: '}{self.pointer}: {self.detail}"


class DefinitionError(Exception):
    """A definition that cannot be run; `faults` names everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


def character_faults(value: object, *where: str | int) -> Iterator[Fault]:
    """Yield the texts, anywhere in plain data, with characters that no database keeps and no provider is sent."""
    if isinstance(value, str) and UNSTORABLE.search(value):
        detail = "U+0000 and halves of surrogate pairs cannot be kept."
        yield Fault(pointer=pointer(*where), code="characters", detail=detail)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from character_faults(inner, *where, storable(str(name)))
            yield from character_faults(name, *where, storable(str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from character_faults(inner, *where, index)


def bound_faults(source: object) -> Iterator[Fault]:
    """Yield what in plain data is too deep, too much, or a number that JSON does not have, without recursion."""
    level: list[tuple[tuple[str | int, ...], object]] = [((), source)]
    count = 0
    for _ in range(max_levels() + 1):
        for path, value in level:
            if isinstance(value, int | float) and not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:  # nor is NaN
                detail = "A number is finite, and has at most 300 digits."
                yield Fault(pointer=pointer(*path), code="number_out_of_range", detail=detail)
            if path and isinstance(path[-1], str) and len(path[-1]) > _LONGEST_NAME:
                cut = (*path[:-1], f"{path[-1][:_LONGEST_NAME]}…")
                detail = f"A name has at most {_LONGEST_NAME} characters."
                yield Fault(pointer=pointer(*cut), code="name_too_long", detail=detail)
        count += len(level)
        if count > limits().definition_bytes:
            detail = f"It has more than {limits().definition_bytes:,} values (MAX_DEFINITION_BYTES)."
            yield Fault(pointer="", code="too_large", detail=detail)
            return
        level = [((*path, name), inner) for path, value in level for name, inner in _inside(value)]
        if not level:
            return
    detail = f"Values lie more than {max_levels()} levels deep within each other."
    yield Fault(pointer=pointer(*(storable(str(name)) for name in level[0][0])), code="too_deep", detail=detail)


def _inside(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def storable(text: str) -> str:
    """Return a text that somebody else wrote, with what no database keeps replaced by U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)


def pointer(*parts: str | int) -> str:
    """Return the RFC 6901 JSON Pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts_of(path: str) -> list[str]:
    """Return the parts of an RFC 6901 JSON Pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
