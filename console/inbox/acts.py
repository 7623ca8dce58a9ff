"""Forms of the inbox: answers, budgets, failures, assignments, and several documents at once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_POST

from access.idempotency import run_form_once
from common.database.server import database_now
from common.errors import Conflict, DomainError, Invalid, NotFound, PreconditionFailed
from common.limits import limits
from console.edit_pages import person
from console.inbox.answers import AnswerForm
from console.inbox.forms import AssignForm, BudgetForm
from console.inbox.lists import Place
from console.inbox.pages import Board, show_board, thing
from console.inbox.things import assign_initial, budget_of, find_item
from console.shell import form_view, stored
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import InboxKind
from executions.selectors import executions, inbox
from executions.services import inbox as services
from executions.services.budgets import change_budget
from executions.services.executions import retry_execution, submit_clarification
from executions.services.inbox import Assignment, WaitingVersion

_OVERTAKEN = gettext_lazy("This was not sent.")
_NO_DECISION = gettext_lazy("You may not decide about it any more.")


@form_view
def act(request: HttpRequest, execution_id: UUID, *, kind: str, step_id: str = "") -> HttpResponse:
    """Render an entry beside the list, or store what its form sends: answers, or a budget."""
    if request.method != "POST":
        return thing(request, execution_id, kind=kind, step_id=step_id)
    board = Board.read(request, Place.of(execution_id, kind, step_id))
    if board.listed.shown is None or board.listed.shown.kind not in _FORMS:
        raise NotFound
    return _FORMS[board.listed.shown.kind](request, board)


def _answer(request: HttpRequest, board: Board) -> HttpResponse:
    current = board.thing
    if current is None or current.round is None:
        raise NotFound
    form, step_id = AnswerForm.receive(current.round, request.POST), current.place.step_id
    if request.POST.get("show"):
        return _again(request, board, answer_form=form, status=200)

    def answer() -> int:
        return submit_clarification(
            user=person(request),
            execution_id=current.place.execution_id,
            step_id=step_id,
            answers=form.answers,
            now=database_now(),
        ).version

    refusal = _refusal(request, answer)
    if refusal is None:
        return stored(request, board.back(request))
    form.refuse(refusal.errors, f"{_OVERTAKEN} {gettext(str(refusal))}")
    return _again(request, Board.read(request, current.place), answer_form=form)


def _raise_budget(request: HttpRequest, board: Board) -> HttpResponse:
    current = board.thing
    if current is None:
        raise NotFound
    shown = budget_of(request, current)
    form = BudgetForm(request.POST, limits=shown["budget_form"].initial)
    if request.POST.get("show"):
        return _again(request, board, budget_form=BudgetForm(limits=_typed(request, form)), status=200)
    if form.is_valid() and _only_raises(form):
        act = partial(
            change_budget,
            user=person(request),
            execution_id=current.place.execution_id,
            limits=form.cleaned_data,
            now=database_now(),
        )
        refusal = _refusal(request, lambda: act().version)
        if refusal is None:
            return stored(request, board.back(request))
        form.add_error(None, f"{_OVERTAKEN} {gettext(str(refusal))}")
    return _again(request, board, budget_form=form)


def _only_raises(form: BudgetForm) -> bool:
    """Refuse a limit that is lower than the present one: another person may have raised it meanwhile."""
    for name, wanted in [*form.cleaned_data.items()]:
        present = form.initial[name]
        if wanted < Decimal(present):
            form.add_error(
                name, gettext("The limit is %(now)s now. It is lowered under “Calls & costs”.") % {"now": present}
            )
    return form.is_valid()


def _typed(request: HttpRequest, form: BudgetForm) -> dict[str, str]:
    return {name: str(request.POST.get(name, form.initial[name])) for name in form.fields}


_FORMS: dict[InboxKind, Callable[[HttpRequest, Board], HttpResponse]] = {
    InboxKind.QUESTION: _answer,
    InboxKind.BUDGET: _raise_budget,
}


def _again(request: HttpRequest, board: Board, *, status: int = 422, **shown: Any) -> HttpResponse:
    """Show a form again."""
    return show_board(request, board, is_chosen=True, status=status, is_sent=True, **shown)


def _refusal(request: HttpRequest, act: Callable[[], Any]) -> Invalid | Conflict | None:
    """Act once; return why it was refused, else None."""
    try:
        run_form_once(request, act)
    except (Invalid, Conflict) as error:
        return error
    return None


@form_view
@require_POST
def retry(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Retry an execution that has failed."""
    act = partial(retry_execution, user=person(request), execution_id=execution_id, now=database_now())
    return _settle(request, execution_id, lambda: act().version)


@form_view
@require_POST
def dismiss(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Remove a failure from the inbox of all users."""

    def act() -> None:
        now = database_now()
        place, within = Place(execution_id, InboxKind.FAILURE), inbox.reach(request.user, now)
        item = find_item(request, place, now=now, within=within)
        if item is not None:
            services.dismiss(user=person(request), entry_id=item.entry.id)

    services.require_operator(person(request), execution_id)
    return _settle(request, execution_id, act)


def _settle(request: HttpRequest, execution_id: UUID, act: Callable[[], Any]) -> HttpResponse:
    place = Place(execution_id, InboxKind.FAILURE)
    board = Board.read(request, place)
    refusal = _refusal(request, act)
    if refusal is None:
        return stored(request, board.back(request))
    return _again(request, Board.read(request, place), refusal=gettext(str(refusal)))


@form_view
@require_POST
def assign(request: HttpRequest, execution_id: UUID, *, kind: str, step_id: str) -> HttpResponse:
    """Say who acts on a step, and until when."""
    place = Place.of(execution_id, kind, step_id)
    board = Board.read(request, place)
    item = None if board.thing is None else board.thing.item
    if item is None:
        return _again(request, board, refusal=gettext("This does not wait any more."))
    form = AssignForm(request.POST, initial=assign_initial(item))
    if form.is_valid():
        said = Assignment(
            assignees=form.cleaned_data["assignees"],
            sets_due="due_at" in form.changed_data,
            due_at=form.cleaned_data["due_at"],
        )
        act = partial(
            services.assign_step,
            user=person(request),
            execution_id=execution_id,
            step_id=step_id,
            said=said,
            now=database_now(),
        )
        refusal = _refusal(request, lambda: act().version)
        if refusal is None:
            return stored(request, place.path(board.listed.form.query))
        _place_errors(form, refusal)
    return _again(request, board, assign_form=form, is_assigning=True)


def _place_errors(form: AssignForm, refusal: Invalid | Conflict) -> None:
    for each in refusal.errors:
        name = each.pointer.strip("/").partition("/")[0]
        form.add_error(name if name in form.fields else None, gettext(each.detail))
    if not refusal.errors:
        form.add_error(None, gettext(str(refusal)))


@form_view
@require_POST
def accept_many(request: HttpRequest) -> HttpResponse:
    """Accept the chosen documents, each on its own. What was refused is named, and stays in the list."""
    refusals = accept_chosen(request)
    return _list_again(request, refusals) if refusals else stored(request, Board.read(request).back(request))


def accept_chosen(request: HttpRequest) -> list[str]:
    """Accept the documents that a form names, each on its own; return what was refused, in sentences."""
    chosen = [each for value in request.POST.getlist("items") if (each := _version_in(value)) is not None]
    most = limits().bulk_steps
    if not chosen or len(chosen) > most:
        return [gettext("Choose 1 to %(most)s documents.") % {"most": most}]

    def act() -> list[Any]:
        outcomes = services.accept_many(user=person(request), items=chosen, now=database_now())
        return [
            [str(each.execution_id), each.step_id, None if isinstance(found, Execution) else _why(found)]
            for each, found in zip(chosen, outcomes, strict=True)
        ]

    barred = {str(each) for each in services.without_decisions(person(request), {each.execution_id for each in chosen})}
    outcomes = cast(list[list[str]], run_form_once(request, act))
    names = executions.document_names({(each.execution_id, each.step_id) for each in chosen}, user=request.user)
    refused = [
        f"{names.get((UUID(execution_id), step_id), step_id)}: {_NO_DECISION if execution_id in barred else why}"
        for execution_id, step_id, why in outcomes
        if why or execution_id in barred
    ]
    accepted = len(chosen) - len(refused)
    told = gettext("%(number)s of %(all)s documents are accepted.") % {"number": accepted, "all": len(chosen)}
    return [told, *refused] if refused and accepted else refused


def _why(error: DomainError) -> str:
    if isinstance(error, PreconditionFailed):
        return gettext("Another version waits now.")
    return gettext(error.explanation)


def _version_in(value: str) -> WaitingVersion | None:
    """Return the document version that a checkbox names; None if it names none."""
    execution_id, _, rest = value.partition("/")
    number, _, step_id = rest.partition("/")
    try:
        return WaitingVersion(execution_id=UUID(execution_id), step_id=step_id, document_version=int(number))
    except ValueError:
        return None


def _list_again(request: HttpRequest, refusals: list[str]) -> HttpResponse:
    return show_board(request, Board.read(request), status=422, bulk_refusals=refusals, is_sent=True)
