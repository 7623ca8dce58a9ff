"""Limits of the work for one document of the rehearsal, and the position of a value in it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pydantic import JsonValue

from executions.llm.rehearsal.unwritable import Exhausted
from workflows.json_schema.collections import Alternative
from workflows.json_schema.subschemas import Subschema

MAX_DEPTH = 24  # levels of nesting
_MAX_VALUES = 10_000  # values that are tried
_MAX_CHARACTERS = 1_000_000  # characters of all texts that are tried
_MAX_SECONDS = 10.0  # processor time in the generating thread


class Effort:
    """The remaining work for one document."""

    def __init__(self) -> None:
        self._values, self._characters = _MAX_VALUES, _MAX_CHARACTERS
        self._until = time.thread_time() + _MAX_SECONDS

    def spend(self, pointer_of: str, value: JsonValue) -> None:
        """Count a value that is tried for the schema part at this path.

        Raises:
            Exhausted: a limit was exceeded.
        """
        self._values -= 1
        self._characters -= len(value) if isinstance(value, str) else 1
        if self._values < 0 or self._characters < 0 or time.thread_time() > self._until:
            raise Exhausted(pointer_of, "generating the document exceeds the rehearsal's limits")


@dataclass(frozen=True, slots=True)
class Spot:
    """The position of a value in the document, and the enclosing schemas, by identity."""

    path: tuple[str, ...] = ()
    within: frozenset[int] = frozenset()
    depth: int = 0

    def into(self, way: Alternative, name: str | None = None) -> Spot:
        """Return the position of a child value that is generated for an alternative; list items have no name."""
        path = self.path if name is None else (*self.path, name)
        return Spot(path, self.within | {id(place.schema) for place in way}, self.depth + 1)

    def is_within(self, place: Subschema) -> bool:
        """Return whether this position is inside a value for the same schema."""
        return id(place.schema) in self.within
