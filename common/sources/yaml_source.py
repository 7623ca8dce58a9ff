"""YAML files written by people, parsed to JSON values: YAML 1.2 scalars, unique names, limited expansion of aliases.

Merge keys (`<<`) are supported, although YAML 1.2 has none: a mapping's own names override merged names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import JsonValue

from common.limits import limits
from common.sources.text_source import FileError, SourceError, max_levels, too_deep, too_many_values
from common.sources.yaml_scalars import TEXT_TAGS, plain_value, tagged_value, unreadable_tag

#: libyaml if PyYAML was built with it: ten times as fast, with the same events.
PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COLLECTION_TAGS = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_COMMENT = re.compile(r"[ \t]+#")
_MERGE = "<<"
_QUOTED_LENGTH = 60  # characters of a name in a message


@dataclass(frozen=True, slots=True)
class TruncatedText:
    """An unquoted text that ends at ` #`, where YAML begins a comment."""

    path: tuple[str | int, ...]
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class YamlSource:
    """The value of a YAML text, and the texts that a comment may have truncated by mistake."""

    value: JsonValue
    truncated: tuple[TruncatedText, ...]
    values: int = 0  # number of values in it


def read_yaml(text: str) -> YamlSource:
    """Parse a YAML text.

    Raises:
        SourceError: the text is not YAML, has a value that JSON cannot express, a duplicate name, is nested too deep,
            or is too large with its aliases expanded.
    """
    builder = _Builder(text)
    try:
        for event in yaml.parse(text, Loader=PARSER):
            builder.process(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(str(each) for each in (error.context, error.problem) if each)
        line = None if mark is None else mark.line + 1
        raise SourceError(FileError(f"It is not valid YAML: {reason[:200]}.", line=line)) from error
    except yaml.YAMLError as error:
        raise SourceError(_character_error(text)) from error
    if builder.errors:
        raise SourceError(*builder.errors)
    return YamlSource(builder.value, tuple(builder.truncated), builder.values)


def _character_error(text: str) -> FileError:
    """Return the error of a text with a character that YAML does not have: the only one that has no mark."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return FileError("It is not valid YAML.")
    detail = f"It is not valid YAML: the character U+{ord(found[0]):04X} is not allowed."
    return FileError(detail, line=text.count("\n", 0, found.start()) + 1)


@dataclass(slots=True)
class _CompleteValue:
    """A complete value, with its size after alias expansion and its number of levels."""

    value: JsonValue
    size: int = 1
    levels: int = 0


@dataclass(slots=True)
class _OpenCollection:
    """A mapping or sequence that is being parsed."""

    values: dict[str, Any] | list[Any]
    anchor: str | None
    size: int = 1
    levels: int = 1
    name: str | None = None  # name of the next value
    is_merge: bool = False
    names: set[str] = field(default_factory=set)
    merged: list[dict[str, Any]] = field(default_factory=list)

    def result(self) -> Any:
        if not self.merged or isinstance(self.values, list):
            return self.values
        combined: dict[str, Any] = {}
        for each in (*reversed(self.merged), self.values):  # the first merged mapping has priority
            combined.update(each)
        return combined


class _Builder:
    """Builds values from parser events, without recursion."""

    def __init__(self, text: str) -> None:
        self.value: JsonValue = None
        self.errors: list[FileError] = []
        self.truncated: list[TruncatedText] = []
        self._text = text
        self._open: list[_OpenCollection] = []
        self._anchors: dict[str, _CompleteValue] = {}
        self._documents = 0
        self.values = 0

    def process(self, event: yaml.Event) -> None:
        """Process the next event."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _error(event, "A second document begins (`---`); a file has only one.")
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.CollectionStartEvent():
                self._start(event)
            case yaml.CollectionEndEvent():
                closed = self._open.pop()
                known = _CompleteValue(closed.result(), closed.size, closed.levels)
                self._name(closed.anchor, known)
                self._add(known, event)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag not in _COLLECTION_TAGS:
            raise _error(event, unreadable_tag(event.tag))
        if self._is_name():
            raise _error(event, "A name must be a text, not a mapping or sequence.")
        self._open.append(_OpenCollection({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
        if len(self._open) > max_levels():
            raise SourceError(too_deep(_line(event)))

    def _is_name(self) -> bool:
        """Return whether the next scalar is a name in a mapping."""
        return bool(self._open) and isinstance(self._open[-1].values, dict) and self._open[-1].name is None

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        plain = not event.style and event.implicit[0]
        if self._is_name():
            if event.tag not in {None, *TEXT_TAGS}:
                raise _error(event, unreadable_tag(event.tag))
            self._begin(event, is_merge=plain and event.value == _MERGE)
            self._name(event.anchor, _CompleteValue(event.value, 1 + len(event.value)))
            return
        try:
            if plain:
                value = plain_value(event.value)
            else:
                value = event.value if event.tag is None else tagged_value(event.tag, event.value)
        except ValueError as error:
            raise _error(event, str(error)) from error
        if isinstance(value, str) and not event.style and self._has_comment(event):
            self.truncated.append(TruncatedText(self._path(), _line(event), value))
        known = _CompleteValue(value, 1 + len(event.value))
        self._name(event.anchor, known)
        self._add(known, event)

    def _has_comment(self, event: yaml.ScalarEvent) -> bool:
        return event.end_mark is not None and _COMMENT.match(self._text, event.end_mark.index) is not None

    def _begin(self, event: yaml.ScalarEvent, *, is_merge: bool) -> None:
        """Store the name of a mapping's next value."""
        mapping = self._open[-1]
        mapping.name, mapping.is_merge = event.value, is_merge
        if event.value in mapping.names:
            detail = f"The name {event.value[:_QUOTED_LENGTH]!r} appears twice in one mapping; names must be unique."
            self.errors.append(FileError(detail, "duplicate_key", _line(event), self._path()))
        mapping.names.add(event.value)
        mapping.size += len(event.value)

    def _alias(self, event: yaml.AliasEvent) -> None:
        anchor = str(event.anchor)
        if self._is_name():
            raise _error(event, "A name must be a text, not an alias.")
        if any(each.anchor == anchor for each in self._open):
            raise _error(event, f"The alias *{anchor[:_QUOTED_LENGTH]} is inside its own anchor.")
        if anchor not in self._anchors:
            raise _error(event, f"There is no anchor &{anchor[:_QUOTED_LENGTH]} before this alias.")
        self._add(self._anchors[anchor], event)

    def _name(self, anchor: str | None, known: _CompleteValue) -> None:
        if anchor is not None:
            self._anchors[anchor] = known

    def _add(self, known: _CompleteValue, event: yaml.Event) -> None:
        """Add a value to the innermost open collection."""
        self.values += 1
        if self.values > limits().definition_values:
            raise SourceError(too_many_values(_line(event)))
        if not self._open:
            self.value = known.value
            return
        if len(self._open) + known.levels > max_levels():
            raise SourceError(too_deep(_line(event)))
        into = self._open[-1]
        into.size += known.size
        into.levels = max(into.levels, 1 + known.levels)
        maximum = limits().definition_bytes
        if sum(each.size for each in self._open) > maximum:
            detail = f"With its aliases expanded it is larger than {maximum:,} characters (MAX_DEFINITION_BYTES)."
            raise _error(event, detail, "too_large")
        if isinstance(into.values, list):
            into.values.append(known.value)
        elif into.is_merge:
            into.merged += _merge_sources(known.value, event)
            into.name = None
        else:
            into.values[str(into.name)] = known.value
            into.name = None

    def _path(self) -> tuple[str | int, ...]:
        """Return the path of the next value."""
        return tuple(len(each.values) if isinstance(each.values, list) else str(each.name) for each in self._open)


def _merge_sources(value: JsonValue, event: yaml.Event) -> Iterator[dict[str, Any]]:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise _error(event, "A merge key (`<<`) takes a mapping, or a sequence of mappings.")
        yield each


def _line(event: yaml.Event) -> int | None:
    return None if event.start_mark is None else event.start_mark.line + 1


def _error(event: yaml.Event, detail: str, code: str = "unreadable_file") -> SourceError:
    return SourceError(FileError(detail, code, _line(event)))
