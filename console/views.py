"""Shells of the pages. What they show, they read from the public API and its stream, as any client does."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie


@login_required
@ensure_csrf_cookie
def executions(request: HttpRequest) -> HttpResponse:
    """Show the list of executions, and the form that starts one."""
    return render(request, "console/executions.html")


@login_required
@ensure_csrf_cookie
def questions(request: HttpRequest) -> HttpResponse:
    """Show what waits for an answer."""
    return render(request, "console/questions.html")


@login_required
@ensure_csrf_cookie
def execution(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Show one execution, live."""
    return render(request, "console/execution.html", {"execution_id": execution_id})
