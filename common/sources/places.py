"""Lines of values in JSON and YAML texts that were parsed before, for messages about these values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import yaml

from common.sources.yaml_source import PARSER

Path = tuple[str, ...]  # names, and indexes as texts
Kind = Literal["map", "list", "end", "value"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_KINDS: dict[str, Kind] = {"{": "map", "[": "list", "}": "end", "]": "end"}
_MAX_EVENTS = 100_000  # of a text; values after them get the line of a value around them


def lines_of(text: str, paths: Collection[Path], *, is_json: bool) -> dict[Path, int]:
    """Return the line of each value, counted from 1. A value that is not there has the line of what should hold it."""
    wanted = {path[:size] for path in paths for size in range(len(path) + 1)}
    events = _json_events(text) if is_json else _yaml_events(text)
    known: dict[Path, int] = {(): 1}
    if wanted == {()}:
        return known
    for path, line in _places(islice(events, _MAX_EVENTS)):
        if path in wanted:
            known[path] = line
    return {path: _innermost(path, known) for path in paths}


def _innermost(path: Path, known: dict[Path, int]) -> int:
    while path not in known:
        path = path[:-1]
    return known[path]


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read, with the place of its next value."""

    is_map: bool
    part: str | None = None
    index: int = -1
    line: int = 0

    def finish_value(self) -> None:
        if self.is_map:
            self.part = None


def _places(events: Iterable[tuple[Kind, str, int]]) -> Iterator[tuple[Path, int]]:
    """Yield the path and the line of each value. A named value has the line of its name."""
    around: list[_Open] = []
    for kind, text, line in events:
        inner = around[-1] if around else None
        if kind == "end":
            around.pop()
        elif inner is not None and inner.is_map and inner.part is None:
            inner.part, inner.line = text, line
            continue
        else:
            if inner is not None and not inner.is_map:
                inner.index, inner.line = inner.index + 1, line
                inner.part = str(inner.index)
            yield tuple(str(each.part) for each in around), line if inner is None else inner.line
            if kind != "value":
                around.append(_Open(kind == "map"))
                continue
        if around:
            around[-1].finish_value()


def _json_events(text: str) -> Iterator[tuple[Kind, str, int]]:
    line, position = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", position, found.start())
        position, token = found.start(), found[0]
        if token[0] == '"':
            yield "value", json.loads(token), line
        elif token not in {",", ":"}:
            yield _KINDS.get(token, "value"), token, line


def _yaml_events(text: str) -> Iterator[tuple[Kind, str, int]]:
    """Yield the events of a text, up to its first syntax error, which `read_yaml` reports with its line."""
    for event in _events_before_error(text):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        match event:
            case yaml.MappingStartEvent():
                yield "map", "", line
            case yaml.SequenceStartEvent():
                yield "list", "", line
            case yaml.CollectionEndEvent():
                yield "end", "", line
            case yaml.ScalarEvent():
                yield "value", event.value, line
            case yaml.AliasEvent():
                yield "value", "", line


def _events_before_error(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=PARSER)
    except yaml.YAMLError:
        return
