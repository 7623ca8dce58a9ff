"""Shells of the pages. What they show, they read from the public API and its stream, as any client does.

What waits for decisions and budgets is read here: the API lists open questions alone.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie

from executions.selectors import clarifications

MOST_COUNTED = clarifications.MAX_COUNT - 1


def _page(request: HttpRequest, template: str, *, waiting: int | None = None, **context: Any) -> HttpResponse:
    """Return a page, with how many things wait for people beside the name of the inbox."""
    count = clarifications.count_waiting(request.user) if waiting is None else waiting
    return render(request, template, {"waiting_count": _shown(count), **context})


def _shown(count: int) -> str:
    """Return a count for people; empty for none."""
    if count > MOST_COUNTED:
        return f"{MOST_COUNTED}+"
    return str(count or "")


@login_required
@ensure_csrf_cookie
def executions(request: HttpRequest) -> HttpResponse:
    """Show the list of executions, and the form that starts one."""
    return _page(request, "console/executions.html")


@login_required
@ensure_csrf_cookie
def questions(request: HttpRequest) -> HttpResponse:
    """Show what waits for people: answers, decisions, budgets."""
    found = clarifications.inbox(request.user)
    return _page(request, "console/questions.html", waiting=found.count, inbox=found)


@login_required
def waiting_count(request: HttpRequest) -> HttpResponse:
    """Return how many things wait for people, as pages show it."""
    shown = _shown(clarifications.count_waiting(request.user))
    return JsonResponse({"waiting": shown}, headers={"Cache-Control": "no-store"})


@login_required
@ensure_csrf_cookie
def execution(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Show one execution, live."""
    return _page(request, "console/execution.html", execution_id=execution_id)
