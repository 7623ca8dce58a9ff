"""Calls of tools as a stream brings them, piece by piece: as OpenAI defines it, and as compatible servers are known to.

Some repeat the name with each piece, or all of the arguments so far. Some leave out the index, or give each piece an id
of its own. Some send the arguments as an object. Some begin with an empty object, which the arguments then replace.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field

_LONGEST_EMPTY = 20  # characters of an empty object, with its blanks


@dataclass
class StreamedCall:
    """One call, as far as it has come."""

    number: int
    id: str = ""
    name: str = ""
    _pieces: list[str] = field(default_factory=list)  # of the arguments, as they came
    _grown: list[str] = field(default_factory=list)  # without what was said again
    _length: int = 0  # characters in `_grown`
    sent_on: list[str] = field(default_factory=list)  # what was told of the arguments while they came

    def named(self, name: str) -> str:
        """Take a piece of the name, and return what is new in it."""
        new = "" if name == self.name else name.removeprefix(self.name) if name.startswith(self.name) else name
        self.name += new
        return new

    def add(self, arguments: object) -> str:
        """Take a piece of the arguments, and return what is new in it; an empty object is held back."""
        if self.is_empty and (not isinstance(arguments, str) or arguments.lstrip().startswith("{")):
            self._pieces, self._grown, self._length = [], [], 0
        if isinstance(arguments, str):
            text, so_far = arguments, "".join(self._grown) if 0 < self._length <= len(arguments) else None
        else:  # an object is all of them
            text, so_far = json.dumps(arguments, ensure_ascii=False) if arguments else "", None
        if so_far is not None and text.startswith(so_far):
            new, self._grown, self._length = text[len(so_far) :], [text], 0
        elif isinstance(arguments, str):
            new = text
            self._grown.append(text)
        else:
            new, self._grown, self._length = "" if self._length else text, [text], 0
        self._length += len(text)
        self._pieces.append(text)
        new = "" if self.is_empty else new
        self.sent_on.append(new)
        return new

    @property
    def is_empty(self) -> bool:
        """Whether the arguments are an empty object so far: another one under the same index replaces it."""
        return self._length <= _LONGEST_EMPTY and "".join("".join(self._grown).split()) == "{}"

    @property
    def arguments(self) -> str:
        """All of the arguments: its pieces one after the other, or where these are no JSON, each thing once."""
        added, grown = "".join(self._pieces), "".join(self._grown)
        return added if added == grown or is_object(added) else grown

    def is_followed_by(self, arguments: object) -> bool:
        """Whether a piece of arguments cannot belong to this call: it is complete, and another object begins."""
        if not isinstance(arguments, str) or not arguments.lstrip().startswith("{"):
            return False
        if not self._grown or not self._grown[-1].rstrip().endswith("}"):
            return False
        grown = "".join(self._grown)
        return not arguments.startswith(grown) and not self.is_empty and is_object(grown)


class StreamedCalls:
    """The calls of one answer."""

    def __init__(self) -> None:
        self.all: list[StreamedCall] = []
        self._by_index: dict[Hashable, StreamedCall] = {}

    def of(self, index: Hashable | None, *, name: str, arguments: object) -> StreamedCall:
        """Return the call that a piece belongs to."""
        latest = self.all[-1] if self.all else None
        call = latest if index is None else self._by_index.get(index)
        by_name = index is None or (call is not None and call.is_empty)
        if call is None or call.is_followed_by(arguments) or (by_name and _is_another(call, name)):
            call = StreamedCall(number=len(self.all))
            self.all.append(call)
        if index is not None:
            self._by_index[index] = call
        return call


def _is_another(call: StreamedCall, name: str) -> bool:
    """Whether a name that comes after complete arguments is that of another tool."""
    return bool(name) and not name.startswith(call.name) and not call.name.endswith(name) and is_object(call.arguments)


def is_object(text: str) -> bool:
    """Return whether a text is one complete JSON object, and nothing else."""
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except (ValueError, RecursionError):
        return False
