"""Pages on which authors write workflows: check, try, and publish. The services are those of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from access.idempotency import run_form_once
from access.selectors import require_author
from common.database.server import database_now
from common.errors import DomainError, Malformed, NotFound, PreconditionFailed
from console.edit_pages import person
from console.shell import form_view, is_htmx, number_in, part_view, show_page, stored
from console.workflows.definition_text import BEGINNING, Writing
from console.workflows.forms import DefinitionForm
from executions.engine.domain.dry_run import DryRunScript
from executions.selectors.workflows import what_stays
from executions.services.executions import start_execution
from workflows import publishing, selectors
from workflows.comparison import compare_definitions
from workflows.definitions.definition import WorkflowDefinition
from workflows.exchange.folders import write_text

_ACTS = frozenset({"", "check", "try", "publish", "draft"})
_TRIES = "trial"  # the type of the scope that a try proposes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The page of an editor: of a workflow, or of a new one."""

    head: Any  # the current version; None: a new workflow
    base: Any  # the version with which the text began; None: a new workflow
    action: str
    draft: str
    copied: str = ""  # the id of the workflow that a new one copies

    @property
    def base_number(self) -> int:
        """The number of the version with which the text began; 0: a new workflow."""
        return 0 if self.base is None else self.base.version

    @property
    def head_number(self) -> int:
        """The number of the current version; 0: a new workflow."""
        return 0 if self.head is None else self.head.version


@form_view
def edit(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Render the editor of a workflow, and check, try or publish what it sends."""
    require_author(request.user)
    head = selectors.current(workflow_id)
    number = number_in(request.POST.get("base", "")) if request.method == "POST" else head.version
    if number is None:
        raise Malformed
    place = Place(
        head=head,
        base=head if number == head.version else selectors.version(workflow_id, number),
        action=reverse("console:edit-workflow", args=[workflow_id]),
        draft=f"workflow/{workflow_id}/{number}",
    )
    return _answer(request, place, lambda: _text_of(head))


@form_view
def add(request: HttpRequest) -> HttpResponse:
    """Render the editor of a new workflow, `?copy=note` of a copy, and check, try or publish what it sends."""
    require_author(request.user)
    copied = request.GET.get("copy", "")
    query = f"?{urlencode({'copy': copied})}" if copied else ""
    place = Place(
        head=None,
        base=None,
        action=f"{reverse('console:add-workflow')}{query}",
        draft=f"workflow-new/{copied or '-'}/0",
        copied=copied,
    )
    return _answer(request, place, lambda: _copy_of(copied) if copied else str(BEGINNING))


def _text_of(row: Any) -> str:
    return write_text(WorkflowDefinition.model_validate(row.definition))


def _copy_of(workflow_id: str) -> str:
    """Return the text of a workflow with an id and a name of its own."""
    definition = WorkflowDefinition.model_validate(selectors.current(workflow_id).definition)
    number, known = 1, f"{workflow_id[:50]}-copy"
    taken = set(selectors.workflows(retired=True).filter(id__startswith=known).values_list("id", flat=True))
    copy = known
    while copy in taken:
        number += 1
        copy = f"{known}-{number}"
    name = (gettext("Copy of %(name)s") % {"name": definition.name})[:120]
    return write_text(definition.model_copy(update={"id": copy, "name": name}))


def _answer(request: HttpRequest, place: Place, begin: Callable[[], str]) -> HttpResponse:
    initial = {"scope_type": _TRIES, "scope_id": person(request).get_username()}
    if request.method != "POST":
        return _page(request, place, Writing(form=DefinitionForm(initial=initial), text=begin()))
    show = request.POST.get("show", "")
    if show not in _ACTS:
        raise Malformed
    text = request.POST.get("definition", "").replace("\r\n", "\n")
    writing = Writing(form=DefinitionForm(request.POST), text=text, show=show, is_sent=True)
    if show == "draft":
        return _page(request, place, writing)
    definition = writing.check()
    if definition is not None:
        _refuse_taken_id(place, writing, definition)
    if writing.definition is None or definition is None:
        return _page(request, place, writing, status=422)
    if show == "try":
        return _try(request, place, writing, definition=definition)
    if show == "" and request.POST.get("seen") == definition.content_hash():
        return _publish(request, place, writing, definition=definition)
    return _page(request, place, writing)


def _refuse_taken_id(place: Place, writing: Writing, definition: WorkflowDefinition) -> None:
    """A text with another id than that of its page is a new workflow, whose id must be free."""
    if place.head is not None and place.head.workflow_id == definition.id:
        return
    try:
        selectors.current(definition.id)
    except NotFound:
        return
    detail = gettext("There is a workflow '%(id)s' already. Choose another id, or edit that workflow.")
    writing.refuse_id(detail % {"id": definition.id})


def _try(request: HttpRequest, place: Place, writing: Writing, *, definition: WorkflowDefinition) -> HttpResponse:
    """Start a dry run of the text, and lead to its page. The browser keeps the text."""
    if not writing.form.is_valid():
        return _page(request, place, writing, status=422)
    given = writing.form.cleaned_data

    def start() -> str:
        execution = start_execution(
            user=person(request),
            candidate=definition,
            scope_type=given["scope_type"],
            scope_id=given["scope_id"],
            input=given["input"] or None,
            script=DryRunScript(),
            now=database_now(),
        )
        return str(execution.id)

    try:
        execution_id = run_form_once(request, start)
    except Malformed:
        raise
    except DomainError as error:
        writing.refuse(error)
        return _page(request, place, writing, status=422)
    path = reverse("console:execution", args=[execution_id])
    return HttpResponse(status=204, headers={"HX-Redirect": path}) if is_htmx(request) else HttpResponseRedirect(path)


def _publish(request: HttpRequest, place: Place, writing: Writing, *, definition: WorkflowDefinition) -> HttpResponse:
    """Publish the text, unless another author was first: then the page comes back with the text, and says so."""
    is_new = place.head is None or place.head.workflow_id != definition.id
    expected = 0 if is_new else number_in(request.POST.get("If-Match", ""))
    if expected is None:
        raise Malformed

    def publish() -> str:
        published = publishing.publish(definition, by=person(request), now=database_now(), expected_versions={expected})
        return published.outcome.value

    try:
        outcome = run_form_once(request, publish)
    except PreconditionFailed:
        if is_new:
            detail = gettext("Another author has published '%(id)s' meanwhile. Choose another id.")
            writing.refuse_id(detail % {"id": definition.id})
        else:
            place = replace(place, head=selectors.current(definition.id))
        return _page(request, place, writing, status=422)
    except Malformed:
        raise
    except DomainError as error:
        writing.refuse(error)
        return _page(request, place, writing, status=422)
    path = reverse("console:workflow", args=[definition.id])
    return stored(request, f"{path}?{urlencode({'done': str(outcome)})}")


def _page(request: HttpRequest, place: Place, writing: Writing, *, status: int = 200) -> HttpResponse:
    head = place.head
    is_behind = place.base_number != place.head_number
    return show_page(
        request,
        "console/workflows/edit.html",
        section="workflows",
        status=status,
        place=place,
        writing=writing,
        head=head,
        is_behind=is_behind,
        newer=selectors.difference_of(place.base, head) if is_behind else None,
        part=None if head is None else _newer_part(head),
        **_newer(head, place.head_number),
        **_offer(request, place, writing),
    )


def _offer(request: HttpRequest, place: Place, writing: Writing) -> dict[str, Any]:
    """Return what publishing the text would change, and for whom; nothing if it is not asked for."""
    definition = writing.definition
    if definition is None or writing.show not in {"publish", ""}:
        return {"offer": None}
    version, outcome = publishing.preview(definition)
    head = place.head if place.head is not None and place.head.workflow_id == definition.id else None
    known = None if head is None else WorkflowDefinition.model_validate(head.definition)
    offer = {
        "definition": definition,
        "version": version,
        "outcome": outcome.value,
        "is_new": head is None,
        "head": head,
        "seen": definition.content_hash(),
        "difference": None if known is None else compare_definitions(known, definition),
        "stays": what_stays(user=request.user, workflow_id=definition.id),
    }
    return {"offer": offer}


@part_view
def newer_version(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Render the notice that another author has published since the editor was opened."""
    head = selectors.current(workflow_id)
    shown = number_in(request.GET.get("base", ""))
    if shown is None:
        raise NotFound
    return render(
        request, "console/workflows/newer.html", {"head": head, "part": request.get_full_path(), **_newer(head, shown)}
    )


def _newer(head: Any, shown: int) -> dict[str, Any]:
    return {"shown": shown, "has_newer": head is not None and head.version != shown}


def _newer_part(head: Any) -> str:
    return f"{reverse('console:part-newer-workflow', args=[head.workflow_id])}?base={head.version}"
