"""The page of the API: Swagger UI with the OpenAPI document, and a way back to the console."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

#: Operations with a body that store nothing, start nothing and ask no model: the page sends them at once.
HARMLESS = ("workflow_estimate", "workflows_validate")


@require_safe
def api_page(request: HttpRequest) -> HttpResponse:
    """Show the page. A request of *Try it out* is sent with the session of the browser, or with a token."""
    return render(request, "orchestrator/api_page.html", {"harmless": " ".join(HARMLESS)})
