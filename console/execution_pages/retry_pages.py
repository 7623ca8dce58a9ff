"""The page that retries an execution: from where, and what is paid again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from access.idempotency import run_form_once
from common.database.server import database_now
from common.errors import Conflict, Invalid
from console.edit_pages import person
from console.execution_pages.frame import Header, show_tab
from console.shell import form_view, stored
from executions.engine.domain.execution import keys_of, slug_of
from executions.selectors.steps.counts import StepCounts, counts_of
from executions.selectors.steps.rows import named_steps
from executions.selectors.workflows import definition_of
from executions.services.executions import retry_execution, steps_run_again
from telemetry import selectors as telemetry
from workflows.definitions.definition import WorkflowDefinition

_NONE = StepCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A step from which an execution can begin again."""

    value: str  # empty: only what is unfinished
    name: str
    again: Sequence[str]  # steps that run
    paid: telemetry.Totals | None  # what calls of finished steps have cost that are made again; None: no such calls


@form_view
def retry(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the choice, or retry the execution. Its stream has ended: the next page opens a new one."""
    header = Header.read(request, execution_id)
    path = reverse("console:execution", args=[execution_id])
    if request.method != "POST":
        return _page(request, header) if header.may_retry else HttpResponseRedirect(path)
    act = partial(
        retry_execution,
        user=person(request),
        execution_id=execution_id,
        from_step=request.POST.get("from_step") or None,
        now=database_now(),
    )
    try:
        run_form_once(request, lambda: act().version)
    except (Invalid, Conflict) as error:
        return _page(
            request, Header.read(request, execution_id), status=422, fault=gettext(error.explanation), is_sent=True
        )
    return stored(request, path)


def _page(request: HttpRequest, header: Header, **shown: Any) -> HttpResponse:
    wanted = request.POST.get("from_step", request.GET.get("step", "")).replace("\0", "")
    choices = _choices(header.execution, wanted)
    chosen = wanted if any(each.value == wanted for each in choices) else ""
    return show_tab(
        request, header, "console/execution_pages/retry.html", tab="", choices=choices, chosen=chosen, **shown
    )


def _choices(execution: Any, wanted: str) -> list[Choice]:
    """Return the choices: what is unfinished, each completed step that runs once, and the item that is named."""
    definition, counts = definition_of(execution), counts_of(execution.id)
    paid = telemetry.totals_by_slug(execution.id)
    by_id = {each.id: counts.get(definition.positions[each.id], _NONE) for each in definition.steps}
    once = [each.id for each in definition.steps if not definition.loops[each.id] and by_id[each.id].done]
    found = [Choice(value="", name="", again=_unfinished(definition, by_id), paid=None)]
    found += [_from_step(definition, each, by_id=by_id, paid=paid) for each in once]
    if "@" in wanted and named_steps(execution.id, [wanted]).exists():
        found.append(_from_item(definition, execution.id, wanted))
    return found


def _from_item(definition: WorkflowDefinition, execution_id: UUID, step_id: str) -> Choice:
    name = f"{definition.step(slug_of(step_id)).name}: {' / '.join(keys_of(step_id))}"
    again = steps_run_again(execution_id, step_id)
    numbers = Counter(slug_of(each) for each in again[1:])
    following = [_numbered(definition, slug, number) for slug, number in numbers.items()]
    totals = telemetry.totals_by_step(execution_id, again)
    paid = telemetry.add_totals(totals.values()) if totals else None
    return Choice(value=step_id, name=name, again=[name, *following], paid=paid)


def _unfinished(definition: WorkflowDefinition, by_id: Mapping[str, StepCounts]) -> list[str]:
    return [
        _named(definition, each.id, by_id) for each in definition.steps if by_id[each.id].done < _size(by_id, each.id)
    ]


def _size(by_id: Mapping[str, StepCounts], step_id: str) -> int:
    return max(by_id[step_id].total, 1)


def _from_step(
    definition: WorkflowDefinition,
    step_id: str,
    *,
    by_id: Mapping[str, StepCounts],
    paid: Mapping[str, telemetry.Totals],
) -> Choice:
    again = [step_id, *_dependents(definition, step_id)]
    totals = [paid[each] for each in again if each in paid]
    return Choice(
        value=step_id,
        name=definition.step(step_id).name,
        again=[_named(definition, each, by_id) for each in again],
        paid=telemetry.add_totals(totals) if totals else None,
    )


def _named(definition: WorkflowDefinition, step_id: str, by_id: Mapping[str, StepCounts]) -> str:
    return _numbered(definition, step_id, by_id[step_id].total)


def _numbered(definition: WorkflowDefinition, step_id: str, number: int) -> str:
    name = definition.step(step_id).name
    if not definition.loops[step_id] or not number:
        return name
    return ngettext("%(name)s (%(number)s item)", "%(name)s (%(number)s items)", number) % {
        "name": name,
        "number": number,
    }


def _dependents(definition: WorkflowDefinition, step_id: str) -> list[str]:
    """Return the steps that read what a step makes, directly or not, in order of their levels."""
    reached = {step_id}
    for each in sorted(definition.steps, key=lambda step: definition.levels[step.id]):
        if not reached.isdisjoint(definition.dependencies[each.id]):
            reached.add(each.id)
    ordered = sorted(definition.steps, key=lambda step: (definition.levels[step.id], definition.positions[step.id]))
    return [each.id for each in ordered if each.id in reached and each.id != step_id]
