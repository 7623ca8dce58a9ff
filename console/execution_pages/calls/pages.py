"""The page of one call, the page of one step, and the difference of the replies of two attempts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString, mark_safe
from pydantic import JsonValue

from common.errors import NotFound
from console.execution_pages.calls.lists import call_rows
from console.execution_pages.calls.replies import CallView, content_of
from console.execution_pages.calls.steps import Attempt, StepView
from console.execution_pages.frame import Header, show_tab
from console.shell import number_in, page_view, part_view
from documents.comparison.diff import compare
from documents.comparison.html import render_html
from executions.selectors import calls, executions
from executions.services.prompts import get_call, get_calls

MAX_WHOLE = 4  # calls of an attempt that are shown with prompt and reply


@page_view
def call(request: HttpRequest, execution_id: UUID, call_id: UUID) -> HttpResponse:
    """Render one call with its prompt and its reply."""
    header = Header.read(request, execution_id)
    shown = async_to_sync(get_call)(user=request.user, execution_id=execution_id, call_id=call_id)
    [row] = call_rows(header.execution, [shown.row])
    view = CallView.of(shown, row)
    return show_tab(request, header, "console/execution_pages/calls/call_page.html", tab="calls", view=view)


@page_view
def step(request: HttpRequest, execution_id: UUID, step_id: str) -> HttpResponse:
    """Render one step."""
    header = Header.read(request, execution_id)
    shown = _step(request, header.execution, step_id)
    return show_tab(request, header, "console/execution_pages/calls/step.html", tab="work", **shown)


@part_view
def step_part(request: HttpRequest, execution_id: UUID, step_id: str) -> HttpResponse:
    """Render what follows events on the page of a step."""
    execution = executions.execution(user=request.user, execution_id=execution_id)
    shown = _step(request, execution, step_id)
    return render(request, "console/execution_pages/calls/step_part.html", {"execution": execution, **shown})


def _step(request: HttpRequest, execution: Any, step_id: str) -> dict[str, Any]:
    view = StepView.read(request, execution, step_id)
    chosen = _chosen(request, view.attempts)
    return {
        "step": view,
        "chosen": chosen,
        "is_newest": bool(view.attempts) and chosen is view.attempts[-1],
        "whole": [] if chosen is None else _whole(request, execution, chosen),
    }


def _chosen(request: HttpRequest, attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the attempt that the address names, by default the newest one; None without any.

    Raises:
        NotFound: there is no such attempt.
    """
    if (given := request.GET.get("attempt")) is None:
        return attempts[-1] if attempts else None
    for each in attempts:
        if each.number == number_in(given):
            return each
    raise NotFound


def _whole(request: HttpRequest, execution: Any, attempt: Attempt) -> list[CallView]:
    """Return the calls of an attempt that have a reply, the newest first; without any, the last one."""
    replied = [each for each in attempt.calls if each.row.latency_ms is not None] or attempt.calls[-1:]
    chosen = [*reversed(replied)][:MAX_WHOLE]
    rows = [each.row for each in chosen]
    shown = async_to_sync(get_calls)(user=request.user, execution_id=execution.id, rows=rows)
    return [CallView.of(each, row) for each, row in zip(shown, chosen, strict=True)]


@page_view
def compare_attempts(request: HttpRequest, execution_id: UUID, step_id: str) -> HttpResponse:
    """Render the difference of the replies of two attempts: by default of the last two."""
    header = Header.read(request, execution_id)
    view = StepView.read(request, header.execution, step_id)
    replies = calls.replies_of(header.execution, step_id)
    if not replies:
        raise NotFound
    numbers = sorted(replies)
    second = _number(request, "b", numbers) or numbers[-1]
    first = _number(request, "a", numbers) or max([each for each in numbers if each < second], default=second)
    contents = [content_of(replies[each]) for each in (first, second)]
    difference = difference_of_replies(*contents, schema=view.definition.output_schema)
    return show_tab(
        request,
        header,
        "console/execution_pages/calls/compare.html",
        tab="work",
        step=view,
        numbers=numbers,
        first=first,
        second=second,
        difference=difference,
    )


def _number(request: HttpRequest, name: str, numbers: Sequence[int]) -> int | None:
    """Return the attempt that the address names; None if it names none.

    Raises:
        NotFound: there is no such attempt, or none with a reply that was used.
    """
    given = request.GET.get(name)
    if given is not None and number_in(given) not in numbers:
        raise NotFound
    return None if given is None else number_in(given)


def difference_of_replies(before: JsonValue, after: JsonValue, *, schema: Any) -> SafeString:
    """Return the difference of two replies as HTML: by fields if both are JSON, else by words."""
    if type(before) is not type(after) or isinstance(before, str):
        before, after = _text(before), _text(after)
        schema = None
    found = compare(before, after, schema=schema)
    return mark_safe(render_html(found, heading_level=3))  # noqa: S308 - it escapes every text


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
