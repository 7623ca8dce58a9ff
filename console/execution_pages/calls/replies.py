"""A call with its prompt and its reply, as a page shows them: findings stand beside the place that they name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import JsonValue

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from console.execution_pages.calls.lists import CallRow
from console.execution_pages.calls.words import REPLIES
from executions.engine.domain.calls import ModelReply
from executions.engine.prompting.replies import SUBMIT_DOCUMENT
from executions.engine.prompting.submissions import match_tool
from executions.services.prompts import ShownCall
from workflows.errors import storable

MAX_TOLD = 2  # findings at one line; all stand in the list above the reply
_MAX_DEPTH = 60  # levels of JSON that get lines of their own


class Line(NamedTuple):
    """A line of JSON, and what was found wrong at its value."""

    text: str
    findings: Sequence[FieldError] = ()

    @property
    def more(self) -> int:
        """Number of the findings beside those that the line tells."""
        return max(0, len(self.findings) - MAX_TOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a reply: its text, or a call of a tool."""

    name: str  # of the tool; empty for the text
    lines: Sequence[Line]
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """A call with all that a page shows of it."""

    row: CallRow
    shown: ShownCall
    parts: Sequence[Part]

    @classmethod
    def of(cls, shown: ShownCall, row: CallRow) -> CallView:
        """Return it for a call of the list."""
        return cls(row=row, shown=shown, parts=[] if shown.reply is None else _parts(shown.reply, _findings(shown)))

    @property
    def is_erased(self) -> bool:
        """Whether prompt and reply were erased."""
        return self.shown.row.erased_at is not None or (self.shown.prompt is None and self.shown.reply is None)

    @property
    def instructions(self) -> str:
        """The instructions of the prompt, cut to the limit."""
        return "" if self.shown.prompt is None else _cut(self.shown.prompt.request.instructions)

    @property
    def prompt(self) -> str:
        """The text of the prompt, cut to the limit."""
        return "" if self.shown.prompt is None else _cut(self.shown.prompt.request.prompt)

    @property
    def schema(self) -> str:
        """The schema of the output, as JSON."""
        if self.shown.prompt is None:
            return ""
        return json.dumps(self.shown.prompt.request.output_schema, ensure_ascii=False, indent=2)

    @property
    def is_cut(self) -> bool:
        """Whether a text is longer than the limit."""
        request = None if self.shown.prompt is None else self.shown.prompt.request
        long = request is not None and max(len(request.instructions), len(request.prompt)) > limits().call_characters
        return long or any(each.is_cut for each in self.parts)

    @property
    def said(self) -> str:
        """What the reply is, in words; empty without one."""
        return "" if self.shown.outcome is None else str(REPLIES[self.shown.outcome.kind])

    @property
    def verdict(self) -> str:
        """The verdict of the reviewer, in words; empty without one."""
        verdict = None if self.shown.outcome is None else self.shown.outcome.verdict
        return (verdict or "").replace("_", " ")

    @property
    def violations(self) -> Sequence[FieldError]:
        """What rules have found wrong in the reply."""
        return () if self.shown.outcome is None else self.shown.outcome.violations

    @property
    def findings(self) -> Sequence[FieldError]:
        """What a reviewer, or a person who sent it back, has found."""
        return () if self.shown.outcome is None else self.shown.outcome.findings

    @property
    def has_findings(self) -> bool:
        """Whether anything was found wrong in the reply."""
        return bool(self.violations or self.findings)


def _findings(shown: ShownCall) -> list[FieldError]:
    outcome = shown.outcome
    return [] if outcome is None else [*outcome.violations, *outcome.findings]


def _cut(text: str) -> str:
    most = limits().call_characters
    return storable(f"{text[:most]}…" if len(text) > most else text)


def content_of(reply: ModelReply) -> JsonValue:
    """Return what a model has handed in: the arguments of the tool, or its text; JSON in a text is read."""
    for each in reply.tool_calls:
        if match_tool(each.name) == SUBMIT_DOCUMENT:
            return each.arguments
    return reply.tool_calls[0].arguments if reply.tool_calls else _read(reply.text)


def _read(text: str) -> JsonValue:
    try:
        found: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict | list) else text


def _parts(reply: ModelReply, findings: Sequence[FieldError]) -> list[Part]:
    """Return the parts of a reply, whose texts together are cut to the limit."""
    left, found = limits().call_characters, list[Part]()
    given: list[tuple[str, JsonValue]] = [("", _read(reply.text))] if reply.text else []
    given += [(storable(each.name), each.arguments) for each in reply.tool_calls]
    documents = [name for name, _ in given if match_tool(name) == SUBMIT_DOCUMENT]
    for name, value in given:
        is_judged = name in documents[:1] or not documents
        lines, is_cut = _marked(value, findings if is_judged else (), left)
        found.append(Part(name=name, lines=lines, is_cut=is_cut))
        left -= sum(len(each.text) + 1 for each in lines)
        if left <= 0:
            break
    return found


def _marked(value: JsonValue, findings: Sequence[FieldError], most: int) -> tuple[list[Line], bool]:
    """Return the lines of a value with the findings at their places, and whether they were cut."""
    if isinstance(value, str):
        return [Line(_cut(value[:most]), findings)], len(value) > most
    lines, length = list[tuple[str | None, str]](), 0
    for place, text in _lines(value, (), before="", after=""):
        length += len(text) + 1
        if length > most:
            return _with_findings(lines, findings), True
        lines.append((place, text))
    return _with_findings(lines, findings), False


def _with_findings(lines: Sequence[tuple[str | None, str]], findings: Sequence[FieldError]) -> list[Line]:
    """Put each finding at the line of its value; a value that is missing is found at what it belongs to."""
    places = {place for place, _ in lines}
    at: dict[str | None, list[FieldError]] = {}
    for each in findings:
        place = each.pointer
        while place and place not in places:
            place = place.rpartition("/")[0]
        at.setdefault(place, []).append(each)
    return [Line(storable(text), at.get(place, ())) for place, text in lines]


def _lines(
    value: JsonValue, path: tuple[str | int, ...], *, before: str, after: str
) -> Iterator[tuple[str | None, str]]:
    """Yield the pointer and the text of each line; a closing bracket has no pointer."""
    indent = "  " * len(path)
    inner: list[tuple[str | int, str, JsonValue]] = []
    if len(path) < _MAX_DEPTH:
        inner = _members(value)
    if not inner:
        yield pointer(*path), f"{indent}{before}{json.dumps(value, ensure_ascii=False)}{after}"
        return
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    yield pointer(*path), f"{indent}{before}{opening}"
    for number, (part, name, each) in enumerate(inner, start=1):
        yield from _lines(each, (*path, part), before=name, after="," if number < len(inner) else "")
    yield None, f"{indent}{closing}{after}"


def _members(value: Any) -> list[tuple[str | int, str, JsonValue]]:
    if isinstance(value, Mapping):
        return [(name, f"{json.dumps(name, ensure_ascii=False)}: ", each) for name, each in value.items()]
    return [(index, "", each) for index, each in enumerate(value)] if isinstance(value, list) else []
