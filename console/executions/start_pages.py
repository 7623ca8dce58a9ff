"""The page with the form that starts an execution. Its script sends the form to the API."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from console.shell import page_view, show_page
from workflows.selectors import workflows


@page_view
def start(request: HttpRequest) -> HttpResponse:
    """Render the form; `?workflow=note` chooses a workflow."""
    return show_page(
        request,
        "console/executions/start.html",
        section="executions",
        workflows=workflows(),
        chosen=request.GET.get("workflow", ""),
    )
