"""How much work goes into one document of the rehearsal, and where in it the work is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pydantic import JsonValue

from executions.llm.rehearsal.unwritable import Exhausted
from workflows.json_schema.collections import Alternative
from workflows.json_schema.subschemas import Subschema

MAX_DEPTH = 24  # levels of nesting
_MOST_VALUES = 10_000  # that are tried
_MOST_CHARACTERS = 1_000_000  # of all texts that are tried
_MOST_SECONDS = 10.0  # of the processor, in the thread that writes


class Effort:
    """What is left of the work for one document."""

    def __init__(self) -> None:
        self._values, self._characters = _MOST_VALUES, _MOST_CHARACTERS
        self._until = time.thread_time() + _MOST_SECONDS

    def spend(self, pointer_of: str, value: JsonValue) -> None:
        """Count a value that is tried for the place in the schema that `where` leads to.

        Raises:
            Exhausted: there were too many.
        """
        self._values -= 1
        self._characters -= len(value) if isinstance(value, str) else 1
        if self._values < 0 or self._characters < 0 or time.thread_time() > self._until:
            raise Exhausted(pointer_of, "generating the document exceeds the rehearsal's limits")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value stands in the document, and within which schemas, by identity."""

    path: tuple[str, ...] = ()
    within: frozenset[int] = frozenset()
    depth: int = 0

    def into(self, way: Alternative, name: str | None = None) -> Spot:
        """Return where a part of a value stands that is written for a way; the items of a list have no name."""
        path = self.path if name is None else (*self.path, name)
        return Spot(path, self.within | {id(place.schema) for place in way}, self.depth + 1)

    def is_within(self, place: Subschema) -> bool:
        """Return whether this lies within a value for the same schema."""
        return id(place.schema) in self.within
