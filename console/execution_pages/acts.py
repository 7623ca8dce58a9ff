"""Forms of an execution: cancel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from access.idempotency import run_form_once
from common.database.server import database_now
from common.errors import Conflict, Invalid
from console.edit_pages import person
from console.execution_pages.frame import Header, show_tab
from console.shell import form_view, stored
from executions.services.executions import cancel_execution


@form_view
@require_POST
def cancel(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Cancel the execution."""
    act = partial(cancel_execution, user=person(request), execution_id=execution_id, now=database_now())
    return _act(request, execution_id, lambda: act().version)


def _act(request: HttpRequest, execution_id: UUID, act: Callable[[], Any]) -> HttpResponse:
    try:
        run_form_once(request, act)
    except (Invalid, Conflict) as error:
        header = Header.read(request, execution_id)
        return show_tab(
            request,
            header,
            "console/execution_pages/refused.html",
            tab="",
            status=422,
            fault=gettext(error.explanation),
        )
    return stored(request, reverse("console:execution", args=[execution_id]))
