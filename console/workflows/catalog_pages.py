"""Pages on which people read workflows: the catalog, one workflow, and the difference of two versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy

from access.selectors import is_author
from console.shell import number_in, page_view, part_view, show_page, version_in_address
from console.workflows.drawing import draw
from console.workflows.forms import WorkflowFilterForm
from console.workflows.schema_rows import Row, rows_of
from executions.selectors.workflows import what_stays
from workflows import selectors
from workflows.definitions.definition import StepDefinition, WorkflowDefinition
from workflows.exchange.folders import write_text

MAX_LISTED = 50  # workflows of a page
MAX_VERSIONS = 50  # beside a workflow
#: What a page says after an act, by the outcome that its address names.
_DONE = {
    "published": gettext_lazy("Version %(version)s is published, and the current one."),
    "current again": gettext_lazy("This text is version %(version)s, which is the current one again."),
    "unchanged": gettext_lazy(
        "This text is version %(version)s, which is the current one already. Nothing has changed."
    ),
    "switched": gettext_lazy("Version %(version)s is the current one now."),
    "retired": gettext_lazy("The workflow is retired."),
    "restored": gettext_lazy("The workflow is back."),
}


@page_view
def catalog(request: HttpRequest) -> HttpResponse:
    """Render the list of workflows; `?retired=on` has the retired ones, too."""
    return show_page(request, "console/workflows/catalog.html", section="workflows", **_catalog(request))


@part_view
def listed(request: HttpRequest) -> HttpResponse:
    """Render the rows of the list."""
    return render(request, "console/workflows/rows.html", _catalog(request))


def _catalog(request: HttpRequest) -> dict[str, Any]:
    form = WorkflowFilterForm(request.GET)
    with_retired = form.is_valid() and form.cleaned_data["retired"]
    after = request.GET.get("after", "")[:63]
    rows = list(selectors.workflows(retired=with_retired).filter(id__gt=after)[: MAX_LISTED + 1])
    query = {"retired": "on"} if with_retired else {}
    more = {**query, "after": rows[MAX_LISTED - 1].id} if len(rows) > MAX_LISTED else {}
    return {
        "form": form,
        "workflows": rows[:MAX_LISTED],
        "is_first": not after,
        "query": urlencode({**query, **({"after": after} if after else {})}),
        "first": urlencode(query),
        "next": urlencode(more),
        "is_author": is_author(request.user),
    }


@page_view
def workflow(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Render one version of a workflow, the current one by default: `?v=3` is the third."""
    row = selectors.version(workflow_id, version_in_address(request))
    definition = WorkflowDefinition.model_validate(row.definition)
    done = _DONE.get(request.GET.get("done", ""))
    return show_page(
        request,
        "console/workflows/workflow.html",
        section="workflows",
        row=row,
        definition=definition,
        drawing=draw(definition),
        steps=[
            ShownStep(step, definition.roles[step.role].name, rows_of(step.output_schema)) for step in definition.steps
        ],
        text=write_text(definition),
        done=done % {"version": row.workflow.version} if done else "",
        stays=what_stays(user=request.user, workflow_id=workflow_id) if done else None,
        is_current=row.version == row.workflow.version,
        is_author=is_author(request.user),
        start=f"{reverse('console:start')}?{urlencode({'workflow': workflow_id})}",
        **_versions(request, row),
    )


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step as its section shows it."""

    step: StepDefinition
    role: str
    fields: list[Row]  # of its document


@part_view
def versions(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Render the list of versions beside a workflow, and the notice about another current one."""
    row = selectors.version(workflow_id, version_in_address(request))
    return render(request, "console/workflows/versions.html", {"row": row, **_versions(request, row)})


def _versions(request: HttpRequest, row: Any) -> dict[str, Any]:
    rows = selectors.versions(row.workflow_id).defer("definition").order_by("-version")
    older_than = number_in(request.GET.get("before", ""))
    rows = rows if older_than is None else rows.filter(version__lt=older_than)
    found = list(rows[: MAX_VERSIONS + 1])
    shown = found[:MAX_VERSIONS]
    query = urlencode({"v": row.version, **({} if older_than is None else {"before": older_than})})
    return {
        "versions": shown,
        "older": shown[-1].version if len(found) > MAX_VERSIONS else None,
        "path": reverse("console:workflow", args=[row.workflow_id]),
        "part": f"{reverse('console:part-workflow-versions', args=[row.workflow_id])}?{query}",
        "current": row.workflow.version,
    }


@page_view
def compare_versions(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Render the difference of two versions: `?from=1&to=3`; by default of the current one to the one before."""
    before, after = selectors.version_pair(
        workflow_id, version_in_address(request, "from"), version_in_address(request, "to")
    )
    rows = selectors.versions(workflow_id).defer("definition").order_by("-version")
    return show_page(
        request,
        "console/workflows/compare.html",
        section="workflows",
        row=after,
        before=before,
        versions=list(rows[:MAX_VERSIONS]),
        difference=selectors.difference_of(before, after),
        path=reverse("console:workflow", args=[workflow_id]),
    )
