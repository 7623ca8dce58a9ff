"""Assembly of streamed tool calls, in OpenAI's format and in the deviations of compatible servers.

Some servers repeat the name with each piece, or all arguments so far. Some omit the index, or give each piece an id of
its own. Some send the arguments as an object. Some start with an empty object, which the arguments replace later.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field

_MAX_EMPTY = 20  # characters of an empty object with white space


@dataclass
class StreamedCall:
    """One tool call, as received so far."""

    number: int
    id: str = ""
    name: str = ""
    _pieces: list[str] = field(default_factory=list)  # pieces of the arguments, as received
    _merged: list[str] = field(default_factory=list)  # without repetitions
    _length: int = 0  # characters in `_merged`
    emitted: list[str] = field(default_factory=list)  # the pieces of arguments that were passed on

    def add_name(self, name: str) -> str:
        """Add a piece of the name, and return its new part."""
        new = "" if name == self.name else name.removeprefix(self.name) if name.startswith(self.name) else name
        self.name += new
        return new

    def add(self, arguments: object) -> str:
        """Add a piece of the arguments, and return its new part; an empty object is held back."""
        if self.is_empty and (not isinstance(arguments, str) or arguments.lstrip().startswith("{")):
            self._pieces, self._merged, self._length = [], [], 0
        if isinstance(arguments, str):
            text, repeated = arguments, "".join(self._merged) if 0 < self._length <= len(arguments) else None
        else:  # an object contains all arguments
            text, repeated = json.dumps(arguments, ensure_ascii=False) if arguments else "", None
        if repeated is not None and text.startswith(repeated):
            new, self._merged, self._length = text[len(repeated) :], [text], 0
        elif isinstance(arguments, str):
            new = text
            self._merged.append(text)
        else:
            new, self._merged, self._length = "" if self._length else text, [text], 0
        self._length += len(text)
        self._pieces.append(text)
        new = "" if self.is_empty else new
        self.emitted.append(new)
        return new

    @property
    def is_empty(self) -> bool:
        """Whether the arguments are an empty object so far. Another object with the same index replaces it."""
        return self._length <= _MAX_EMPTY and "".join("".join(self._merged).split()) == "{}"

    @property
    def arguments(self) -> str:
        """The complete arguments: all pieces joined, or if that is not JSON, without repetitions."""
        joined, merged = "".join(self._pieces), "".join(self._merged)
        return joined if joined == merged or is_object(joined) else merged

    def is_followed_by(self, arguments: object) -> bool:
        """Return whether a piece belongs to a new call: this call is complete, and another object begins."""
        if not isinstance(arguments, str) or not arguments.lstrip().startswith("{"):
            return False
        if not self._merged or not self._merged[-1].rstrip().endswith("}"):
            return False
        merged = "".join(self._merged)
        return not arguments.startswith(merged) and not self.is_empty and is_object(merged)


class StreamedCalls:
    """The tool calls of one reply."""

    def __init__(self) -> None:
        self.all: list[StreamedCall] = []
        self._by_index: dict[Hashable, StreamedCall] = {}

    def of(self, index: Hashable | None, *, name: str, arguments: object) -> StreamedCall:
        """Return the call to which a piece belongs."""
        latest = self.all[-1] if self.all else None
        call = latest if index is None else self._by_index.get(index)
        may_differ_by_name = index is None or (call is not None and call.is_empty)
        if call is None or call.is_followed_by(arguments) or (may_differ_by_name and _is_other_tool(call, name)):
            call = StreamedCall(number=len(self.all))
            self.all.append(call)
        if index is not None:
            self._by_index[index] = call
        return call


def _is_other_tool(call: StreamedCall, name: str) -> bool:
    """Return whether a name after complete arguments belongs to another tool."""
    return bool(name) and not name.startswith(call.name) and not call.name.endswith(name) and is_object(call.arguments)


def is_object(text: str) -> bool:
    """Return whether the text is exactly one complete JSON object."""
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except (ValueError, RecursionError):
        return False
