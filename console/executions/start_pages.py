"""The page with the form that starts an execution, and its parts that follow the fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_POST

from access.errors import IdempotencyKeyReused, ScopeForbidden
from access.idempotency import run_form_once
from access.selectors import roots_to_start_in
from common.database.server import database_now
from common.errors import Conflict, Gone, Invalid, Malformed, NotFound
from console.edit_pages import person
from console.executions.start_form import Filled, StartForm, ids_in, initial_of
from console.executions.start_plan import Plan, Target, plan_of, target_of
from console.executions.start_script import ScriptForm
from console.shell import form_view, show_page, stored
from documents.files import storage
from executions.engine.domain.brief import FILES, file_ids
from executions.engine.domain.errors import BudgetExceeded
from executions.engine.domain.states import Reuse
from executions.selectors.executions import execution
from executions.services.executions import start_execution
from workflows import selectors as workflows
from workflows.definitions.definition import WorkflowDefinition

MAX_CARDS = 8  # workflows that are offered as cards; more are a list
MAX_SCOPES = 200  # that are suggested
_SHOWS = frozenset({"", "draft", "plan"})
_REUSED_KEY = gettext_lazy(
    "This form has already started an execution with other values: see the list of executions. Send it again to start "
    "another one."
)


@form_view
def start(request: HttpRequest) -> HttpResponse:
    """Render the form, or start what it sends.

    `?workflow=note` chooses a workflow. `?from=…` begins with the values of an earlier execution.
    """
    if request.method != "POST":
        return _page(request, *_begun(request))
    show = request.POST.get("show", "")
    if show not in _SHOWS:
        raise Malformed
    filled = _received(request)
    target = _checked(request, filled, is_sent=not show)
    if not show and filled.is_valid and not filled.file_faults:
        started = _started(request, filled, target)
        if started is not None:
            return stored(request, reverse("console:execution", args=[started]))
    plan = plan_of(request, filled, target, is_estimated=show == "plan")
    return _page(request, filled, plan=plan, status=200 if show else 422, is_restored=show == "draft")


@form_view
@require_POST
def plan_part(request: HttpRequest) -> HttpResponse:
    """Render what would happen if the form were sent as it is."""
    filled = _received(request)
    plan = plan_of(request, filled, _checked(request, filled, is_sent=False), is_estimated=True)
    return render(request, "console/executions/start_plan.html", {"plan": plan})


@form_view
@require_POST
def scope_part(request: HttpRequest) -> HttpResponse:
    """Render whether the named scope is new, and whether the person may start there."""
    target = _checked(request, _received(request), is_sent=False)
    return render(request, "console/executions/start_scope.html", {"plan": Plan(target=target)})


@form_view
@require_POST
def script_part(request: HttpRequest) -> HttpResponse:
    """Render what can go wrong in the steps of the chosen workflow."""
    return render(request, "console/executions/start_script.html", {"filled": _received(request)})


def _received(request: HttpRequest) -> Filled:
    """Return the form as it was sent. `?workflow=` of the page goes before kept input."""
    sent = request.POST.copy()
    wanted = request.GET.get("workflow", "")
    form = _form(request, sent)
    if wanted and sent.get("show") == "draft" and wanted in _ids_of(form):
        sent["workflow_id"] = wanted
    ids = ids_in(sent)
    known = storage.readable_files(user=request.user, file_ids=ids) if ids else {}
    definition = _definition(form)
    filled = Filled(
        form=form,
        script=ScriptForm(definition, sent),
        definition=definition,
        files={each: known[each] for each in ids if each in known},
    )
    if len(filled.files) < len(ids):
        filled.file_faults.append(gettext("A file is not there any more. Add it again, or start without it."))
    return filled


def _form(request: HttpRequest, sent: QueryDict | None = None, **initial: Any) -> StartForm:
    return StartForm(workflows.workflows(), roots_to_start_in(request.user, limit=MAX_SCOPES), sent, initial=initial)


def _ids_of(form: StartForm) -> set[str]:
    return {value for value, _ in form.fields["workflow_id"].choices}  # type: ignore[attr-defined]


def _definition(form: StartForm) -> WorkflowDefinition | None:
    """Return the definition of the chosen workflow; None without a choice."""
    chosen = form["workflow_id"].value()
    if not chosen or chosen not in _ids_of(form):
        return None
    return WorkflowDefinition.model_validate(workflows.current(chosen).definition)


def _checked(request: HttpRequest, filled: Filled, *, is_sent: bool) -> Target | None:
    """Validate the form. Return the scope that it names; a form that is sent has to confirm a new one."""
    filled.is_valid  # noqa: B018  # fills in what is valid
    target = target_of(request, filled)
    if is_sent and target is not None and target.needs_tick and not target.is_ticked:
        detail = gettext("You know no scope “%(key)s”. Check the spelling, or tick below that it is made.")
        filled.form.add_error(filled.form.scope_field, detail % {"key": target.key})
    if not is_sent and request.POST.get("show") != "plan":
        filled.forgive()
    return target


def _started(request: HttpRequest, filled: Filled, target: Target | None) -> str | None:
    """Start it once, and return its id; None: it was refused, and the form says why."""
    given = filled.form.cleaned_data
    reuse = Reuse.CURRENT if plan_of(request, filled, target, is_estimated=False).reuses else Reuse.NONE
    values: dict[str, Any] = {
        "workflow_id": given["workflow_id"],
        "scope_type": given["scope_type"],
        "scope_id": given["scope_id"],
        "input": filled.brief,
        "tags": given["tags"],
    }
    script, budget = filled.dry_script, filled.form.budget

    def act() -> str:
        started = start_execution(
            user=person(request), **values, budget=budget or None, script=script, reuse=reuse, now=database_now()
        )
        return str(started.id)

    said = {**values, "budget": {name: str(value) for name, value in budget.items()}, "reuse": given["reuse"]}
    said["script"] = None if script is None else script.model_dump(mode="json")
    try:
        return str(run_form_once(request, act, values=said))
    except IdempotencyKeyReused:
        filled.faults.append(str(_REUSED_KEY))
        filled.has_new_key = True
    except (ScopeForbidden, BudgetExceeded) as error:
        filled.form.add_error(filled.form.scope_field, str(error))
    except (NotFound, Gone) as error:
        filled.form.add_error("workflow_id", str(error))
    except (Invalid, Conflict) as error:
        filled.refuse(error)
    return None


def _begun(request: HttpRequest) -> tuple[Filled, list[str]]:
    """Return the form of a new page, and what its reader has to know about it.

    Raises:
        NotFound: the user may not see the execution that it begins with.
    """
    initial: dict[str, Any] = {"workflow_id": request.GET.get("workflow", "")}
    notes: list[str] = []
    files: Mapping[UUID, Any] = {}
    if origin := request.GET.get("from", ""):
        row = execution(user=request.user, execution_id=_id_in(origin))
        brief, notes = _text_of(row)
        files, missing = _files_of(request, row)
        notes += missing
        initial = {**initial_of(row), "input": brief}
    form = _form(request, **initial)
    if origin and initial["workflow_id"] not in _ids_of(form):
        notes.append(gettext("Its workflow is not offered any more: choose another one."))
    name = f"{initial.get('scope_type')}/{initial.get('scope_id')}"
    if name in {f"{kind}/{key}" for kind, key in form.scopes}:
        form.initial = {**initial, "scope": name, "scope_type": "project", "scope_id": ""}
    definition = _definition(form)
    return Filled(form=form, script=ScriptForm(definition), definition=definition, files=files), notes


def _id_in(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound from error


def _text_of(row: Any) -> tuple[str, list[str]]:
    """Return the text of the brief of an earlier execution, and what is different about it now."""
    given = row.input
    if row.erased_at is not None:
        return "", [gettext("Its brief was erased: write another one.")]
    if not isinstance(given, Mapping):
        return given or "", []
    rest = {name: value for name, value in given.items() if name != FILES}
    if set(rest) <= {"text"}:
        return str(rest.get("text") or ""), []
    return json.dumps(rest, ensure_ascii=False, indent=2), [gettext("Its brief was JSON: it is sent as a text now.")]


def _files_of(request: HttpRequest, row: Any) -> tuple[Mapping[UUID, Any], list[str]]:
    ids = file_ids(row.input)
    root_id = row.scope.root_id or row.scope.id
    known = storage.usable_files(user=request.user, file_ids=ids, root_id=root_id) if ids else {}
    found = {each: known[each] for each in ids if each in known}
    missing = gettext("Some of its files cannot be used any more, and are left out.")
    return found, [missing] if len(found) < len(ids) else []


def _page(
    request: HttpRequest,
    filled: Filled,
    notes: list[str] | None = None,
    *,
    plan: Plan | None = None,
    status: int = 200,
    is_restored: bool = False,
) -> HttpResponse:
    origin, wanted = request.GET.get("from", ""), request.GET.get("workflow", "")
    path = reverse("console:start")
    return show_page(
        request,
        "console/executions/start.html",
        section="executions",
        status=status,
        filled=filled,
        form=filled.form,
        notes=notes or [],
        plan=plan or Plan(target=None),
        workflows=filled.form.workflows,
        as_cards=len(filled.form.workflows) <= MAX_CARDS,
        is_sent=request.method == "POST",
        keeps_key=request.method == "POST" and not filled.has_new_key,
        is_restored=is_restored,
        action=f"{path}?{urlencode({'from': origin})}" if origin else path,
        restoring=f"{path}?{urlencode({'workflow': wanted})}" if wanted else "",
        draft=f"start/{origin or '-'}/0",
    )
