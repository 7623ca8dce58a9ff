"""The page that shows two executions side by side, and the executions that one can be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from access.selectors import Person
from common.errors import NotFound
from common.names import in_words
from console.shell import page_view, show_page, stream_of
from executions.selectors import executions
from executions.selectors.comparison import ComparedStep, compare_executions
from executions.selectors.lists import ExecutionQuery

MAX_EARLIER = 10  # on the page of an execution
MAX_CHOICES = 50  # in a list of the comparison
MAX_STEPS = 200  # in the table


@page_view
def compare(request: HttpRequest) -> HttpResponse:
    """Render two executions side by side: `?a=…&b=…`; without `a`, the one before `b`."""
    later = executions.execution(user=request.user, execution_id=_id(request, "b"))
    a = _id(request, "a") if request.GET.get("a") else None
    if a is None:
        a = next((each.id for each in earlier_than(request.user, later, limit=1)), None)
    found = None if a is None else compare_executions(user=request.user, a=a, b=later.id)
    chosen = [later] if found is None else [found.a.execution, later]
    steps = [] if found is None else found.steps
    shown = steps if len(steps) <= MAX_STEPS else sorted(steps, key=_is_same)[:MAX_STEPS]
    return show_page(
        request,
        "console/executions/compare.html",
        section="executions",
        later=later,
        title=_title(chosen),
        found=found,
        steps=shown,
        more=len(steps) - len(shown),
        choices=_choices(request.user, later, chosen),
        stream=stream_of(later.scope),
    )


def _is_same(step: ComparedStep) -> bool:
    return bool(step.equal) or not any(side is not None and side.document for side in (step.a, step.b))


def _title(chosen: Sequence[Any]) -> str:
    first, *others = dict.fromkeys(in_words(each.workflow_id) for each in chosen)
    if others:
        return gettext("Executions of %(first)s and %(second)s") % {"first": first, "second": others[0]}
    return gettext("Two executions of %(workflow)s") % {"workflow": first}


def _id(request: HttpRequest, name: str) -> UUID:
    try:
        return UUID(request.GET.get(name, ""))
    except ValueError as error:
        raise NotFound from error


def earlier_than(user: Person, row: Any, *, limit: int) -> Sequence[Any]:
    """Return the executions of the same workflow and scope before one, newest first; dry runs among themselves."""
    query = ExecutionQuery(created_before=row.created_at, **_alike(row))
    return executions.newest_executions(user=user, query=query, limit=limit).executions


def _choices(user: Person, row: Any, chosen: Sequence[Any]) -> list[Any]:
    """Return the executions to choose from, newest first: the newest of the same workflow and scope, and the chosen."""
    found = executions.newest_executions(user=user, query=ExecutionQuery(**_alike(row)), limit=MAX_CHOICES)
    every = {each.id: each for each in [*found.executions, *chosen]}
    return sorted(every.values(), key=lambda each: (each.created_at, each.id), reverse=True)


def _alike(row: Any) -> dict[str, Any]:
    return {
        "workflow_id": row.workflow_id,
        "scope": row.scope_id,
        "dry_run": row.script is not None,
    }
