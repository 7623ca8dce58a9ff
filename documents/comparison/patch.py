"""Applies a JSON Patch (RFC 6902), with bounds on its operations and on the size of the document meanwhile.

`jsonpatch` and other libraries do not bound what `copy` makes of a document, and name no place in the patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from documents.comparison.values import (
    ABSENT,
    INDEX,
    InvalidPointer,
    MaybeValue,
    Parts,
    copy_of,
    depth_of,
    is_equal,
    parts_of,
    resolve,
    text_bytes,
)

_MAX_COUNTS = 20  # times that a whole document is measured while one patch is applied
_MAX_SHOWN = 200  # characters of a pointer in a text

_MEMBERS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("from", "path"),
    "copy": ("from", "path"),
    "test": ("path", "value"),
}


class PatchError(ValueError):
    """A patch that cannot be applied. The pointer of `error` is a place in the patch, such as `/3/path`."""

    def __init__(self, place: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.error = FieldError(pointer=place, code=code, detail=detail)


def apply_patch(
    document: JsonValue,
    operations: object,
    *,
    max_bytes: int,
    max_operations: int | None = None,
    max_depth: int | None = None,
) -> JsonValue:
    """Return the document that a patch makes of a document, which stays as it is. All operations apply, or none.

    Args:
        document: The document.
        operations: The patch as it was received.
        max_bytes: How large the document may be after each operation, as JSON text without spaces, in UTF-8.
        max_operations: How many operations the patch may have; None: `MAX_PATCH_OPERATIONS`.
        max_depth: How many levels of lists and objects an operation may make; None: `MAX_REQUEST_DEPTH`.

    Raises:
        PatchError: the patch is invalid, too large, or does not fit the document.
    """
    if not isinstance(operations, list):
        raise PatchError("", "not_a_list", "A patch is a list of operations.")
    max_operations = limits().patch_operations if max_operations is None else max_operations
    max_depth = limits().request_depth if max_depth is None else max_depth
    if len(operations) > max_operations:
        detail = f"A patch may have at most {max_operations:,} operations; this one has {len(operations):,}."
        raise PatchError("", "too_many_operations", detail)
    target = _Target(document, _Bounds(document, max_bytes=max_bytes, max_depth=max_depth))
    for number, operation in enumerate(operations):
        target.apply(_parsed(operation, pointer(number)))
    return target.root


class _Operation(NamedTuple):
    """A valid operation. `place` is its pointer in the patch."""

    place: str
    name: str
    path: Parts
    source: Parts
    value: JsonValue

    def fail(self, member: str, code: str, detail: str) -> PatchError:
        return PatchError(f"{self.place}/{member}", code, detail)


def _parsed(operation: object, place: str) -> _Operation:
    if not isinstance(operation, Mapping):
        raise PatchError(place, "not_an_object", "An operation is an object.")
    name = operation.get("op")
    if not isinstance(name, str) or name not in _MEMBERS:
        code = "unknown_operation" if "op" in operation else "required"
        raise PatchError(f"{place}/op" if "op" in operation else place, code, f"`op` is one of {', '.join(_MEMBERS)}.")
    for member in _MEMBERS[name]:
        if member not in operation:
            raise PatchError(place, "required", f"The operation `{name}` needs the member `{member}`.")
    source = _pointer(operation["from"], f"{place}/from") if "from" in _MEMBERS[name] else ()
    return _Operation(place, name, _pointer(operation["path"], f"{place}/path"), source, operation.get("value"))


def _pointer(value: object, place: str) -> Parts:
    if not isinstance(value, str):
        raise PatchError(place, "invalid_pointer", "A JSON Pointer is a text.")
    try:
        return parts_of(value)
    except InvalidPointer as error:
        raise PatchError(place, "invalid_pointer", str(error)) from error


class _Slot(NamedTuple):
    """Where a value is put: a name of an object, an index of a list, or in place of the whole document (no parent)."""

    parent: MaybeValue
    key: str
    replaces: MaybeValue  # ABSENT: the value is added

    @property
    def overhead(self) -> int:
        """Bytes that a new value takes besides its own."""
        if self.replaces is not ABSENT or not isinstance(self.parent, dict | list):
            return 0
        comma = 1 if self.parent else 0
        return comma + (text_bytes(self.key) + 1 if isinstance(self.parent, dict) else 0)


class _Bounds:
    """Bounds of a document while operations change it.

    What operations add is summed up; what they remove is not. Only when the sum exceeds the maximum is the document
    measured. So the time is that of measuring it `_MAX_COUNTS` times, whatever the operations are.
    """

    def __init__(self, document: JsonValue, *, max_bytes: int, max_depth: int) -> None:
        self._bytes, self._depth = text_bytes(document), depth_of(document)  # from now on upper bounds
        self._max_bytes, self._max_depth = max_bytes, max(max_depth, self._depth)
        self._counts = 0

    def deepen(self, operation: _Operation, value: JsonValue) -> None:
        """Count the levels of a value, before the operation puts it into the document.

        Raises:
            PatchError: the document would be too deep.
        """
        depth = self._depth - len(operation.source) if operation.source else depth_of(value)
        if operation.source and len(operation.path) + depth > self._max_depth:
            self._count(operation)
            depth = depth_of(value)
        depth += len(operation.path)
        if depth > self._max_depth:
            detail = f"The document would have {depth:,} levels of lists and objects; {self._max_depth:,} are allowed."
            raise operation.fail("path", "too_deep", detail)
        self._depth = max(self._depth, depth)

    def enlarge(self, operation: _Operation, root: JsonValue, size: int, *, replaces: MaybeValue = ABSENT) -> None:
        """Count bytes, before the operation adds them to the document.

        Raises:
            PatchError: the document would be too large.
        """
        if self._bytes + size > self._max_bytes:
            self._count(operation)
            self._bytes = text_bytes(root) - (0 if replaces is ABSENT else text_bytes(replaces))
        self._bytes += size
        if self._bytes > self._max_bytes:
            detail = f"The document would have {self._bytes:,} bytes; {self._max_bytes:,} are allowed."
            raise operation.fail("path", "too_large", detail)

    def _count(self, operation: _Operation) -> None:
        self._counts += 1
        if self._counts > _MAX_COUNTS:
            detail = "The patch brings the document to its limit too often. Use fewer operations."
            raise operation.fail("path", "too_large", detail)


class _Target:
    """A copy of a document to which operations are applied."""

    def __init__(self, document: JsonValue, bounds: _Bounds) -> None:
        self.root = copy_of(document)
        self._bounds = bounds

    def apply(self, operation: _Operation) -> None:
        """Apply one operation.

        Raises:
            PatchError: it does not fit the document, or a bound is exceeded.
        """
        match operation.name:
            case "add" | "replace":
                self._put(operation, operation.value)
            case "copy":
                self._put(operation, self._value(operation, operation.source, "from"))
            case "move":
                self._move(operation)
            case "remove":
                self._remove(operation, operation.path, "path")
            case _:
                if not is_equal(self._value(operation, operation.path, "path"), operation.value):
                    detail = f"The value at {_shown(operation.path)} is another one."
                    raise operation.fail("value", "test_failed", detail)

    def _put(self, operation: _Operation, value: JsonValue) -> None:
        slot = self._slot(operation)
        self._bounds.deepen(operation, value)
        self._bounds.enlarge(operation, self.root, slot.overhead + text_bytes(value), replaces=slot.replaces)
        self._set(slot, copy_of(value))

    def _move(self, operation: _Operation) -> None:
        source, path = operation.source, operation.path
        value = self._value(operation, source, "from")
        if source == path:
            return
        if path[: len(source)] == source:
            raise operation.fail("path", "own_child", "A value cannot be moved into itself.")
        self._bounds.deepen(operation, value)
        self._bounds.enlarge(operation, self.root, text_bytes(path[-1]) + 2 if path else 0)
        self._remove(operation, source, "from")
        self._set(self._slot(operation), value)

    def _value(self, operation: _Operation, path: Parts, member: str) -> JsonValue:
        value = resolve(self.root, path)
        if value is ABSENT:
            parent = resolve(self.root, path[:-1])
            if isinstance(parent, list) and path[-1] != "-" and not INDEX.fullmatch(path[-1]):
                raise operation.fail(member, "invalid_index", _no_index(path))
            raise operation.fail(member, "not_found", f"There is no value at {_shown(path)}.")
        return value

    def _slot(self, operation: _Operation) -> _Slot:
        """Return where an operation puts its value: over an existing one, or at a place that can have one more."""
        path = operation.path
        if not path:
            return _Slot(None, "", self.root)
        if operation.name == "replace":
            value = self._value(operation, path, "path")
            return _Slot(resolve(self.root, path[:-1]), path[-1], value)
        parent, key = self._value(operation, path[:-1], "path"), path[-1]
        if isinstance(parent, dict):
            return _Slot(parent, key, parent.get(key, ABSENT))
        if not isinstance(parent, list):
            raise operation.fail("path", "not_found", f"The value at {_shown(path[:-1])} is no list and no object.")
        key = str(len(parent)) if key == "-" else key
        if not INDEX.fullmatch(key):
            raise operation.fail("path", "invalid_index", _no_index(path))
        if int(key) > len(parent):
            detail = f"The list at {_shown(path[:-1])} has {len(parent):,} items; an item cannot be added at {key}."
            raise operation.fail("path", "not_found", detail)
        return _Slot(parent, key, ABSENT)

    def _set(self, slot: _Slot, value: JsonValue) -> None:
        if isinstance(slot.parent, dict):
            slot.parent[slot.key] = value
        elif not isinstance(slot.parent, list):
            self.root = value
        elif slot.replaces is ABSENT:
            slot.parent.insert(int(slot.key), value)
        else:
            slot.parent[int(slot.key)] = value

    def _remove(self, operation: _Operation, path: Parts, member: str) -> None:
        if not path:
            raise operation.fail(member, "whole_document", "The whole document cannot be removed; replace it.")
        self._value(operation, path, member)
        parent = resolve(self.root, path[:-1])
        if isinstance(parent, dict):
            del parent[path[-1]]
        elif isinstance(parent, list):
            del parent[int(path[-1])]


def _no_index(path: Parts) -> str:
    return f"The list at {_shown(path[:-1])} needs an index there: digits without leading zeros."


def _shown(path: Parts) -> str:
    text = pointer(*path)
    return f"`{text[:_MAX_SHOWN]}…`" if len(text) > _MAX_SHOWN else f"`{text}`" if text else "the top"
