"""What an entry of the inbox is about, as its page shows it, also after another person has settled it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from access.permissions import Role, allows
from access.selectors import role_of
from common.errors import NotFound
from console.decision_pages import Waiting, decision_context
from console.forms import plain_number
from console.inbox.answers import AnswerForm
from console.inbox.forms import AssignForm, BudgetForm
from console.inbox.lists import Place, Row, place_of
from console.inbox.spans import due_words
from console.language import formats
from console.language.names import name_of
from executions.engine.domain.clarification import BY_DEADLINE, ClarificationRound
from executions.engine.domain.execution import keys_of
from executions.engine.domain.states import InboxKind
from executions.selectors import executions, inbox
from executions.selectors.inbox import InboxItem

#: Names of limits for people.
LIMITS = {
    "max_cost_usd": gettext_lazy("US dollars"),
    "max_tokens": gettext_lazy("tokens"),
    "max_calls": gettext_lazy("calls"),
    "max_seconds": gettext_lazy("seconds of work"),
    "scope_month": gettext_lazy("the monthly budget of the scope"),
}


@dataclass(slots=True)
class Thing:
    """What a person looks at. Without an item it waits no longer, or not for this person."""

    place: Place
    item: InboxItem | None
    execution: Any
    step: Any | None
    name: str
    now: datetime

    @classmethod
    def of_item(cls, item: InboxItem, now: datetime) -> Thing:
        """Return what an entry of the list is about."""
        name = item.step.name if item.step else ""
        return cls(place_of(item), item, item.entry.execution, item.step, name, now)

    @classmethod
    def find(
        cls, request: HttpRequest, place: Place, items: Sequence[InboxItem], *, now: datetime, within: Any
    ) -> Thing:
        """Return what an address names.

        Raises:
            NotFound: there is no such execution or step, or the user may not see it.
        """
        known = [each for each in items if place_of(each) == place]
        item = known[0] if known else find_item(request, place, now=now, within=within)
        if item is not None:
            return cls.of_item(item, now)
        if not place.is_of_step:
            execution = executions.execution(user=request.user, execution_id=place.execution_id)
            return cls(place, None, execution, None, "", now)
        rows = executions.steps(user=request.user, execution_id=place.execution_id)
        step = rows.filter(step_id=place.step_id).first()
        if step is None:
            raise NotFound
        return cls(place, None, step.execution, step, step.name, now)

    @property
    def round(self) -> ClarificationRound | None:
        """The newest questions of its step."""
        if self.step is None or not self.step.rounds:
            return None
        return ClarificationRound.model_validate(self.step.rounds[-1])

    @property
    def settled_by(self) -> tuple[str, datetime | None]:
        """What has settled it, in words, and when."""
        if self.place.kind is InboxKind.BUDGET:
            return gettext("The budget was raised, or the execution waits for something else"), None
        if self.place.kind is InboxKind.FAILURE:
            return _settled_failure(self.execution.status), None
        asked = self.round
        if asked is None or asked.answered_at is None:
            return gettext("This does not wait for you"), None
        if asked.answered_by == BY_DEADLINE:
            return gettext("The deadline has answered"), asked.answered_at
        return gettext("%(name)s has answered") % {"name": asked.answered_by}, asked.answered_at

    @property
    def keys(self) -> str:
        """The keys of the items of its step."""
        return " / ".join(keys_of(self.place.step_id)) if self.place.step_id else ""

    def settled_row(self) -> Row:
        """Return its row for the list."""
        scope = self.execution.scope
        facts = " · ".join(filter(None, (self.name, f"{scope.type} / {scope.key}")))
        asked = self.round if self.place.kind is InboxKind.QUESTION else None
        title = asked.questions[0].text if asked else self.settled_by[0]
        if self.place.kind is InboxKind.ACCEPTANCE:
            title = gettext("Decided, or waits for others")
        return Row(place=self.place, title=title, facts=facts, is_settled=True)


def _settled_failure(status: str) -> str:
    sentence = gettext("The failure was dismissed or retried: the execution is %(status)s")
    return sentence % {"status": name_of(status)}


def find_item(request: HttpRequest, place: Place, *, now: datetime, within: Any) -> InboxItem | None:
    """Return the entry of the user's inbox about a place; None if there is none."""
    rows = inbox.entries(user=request.user, now=now, within=within, kind=[place.kind.value])
    wanted = rows.filter(execution_id=place.execution_id, step_id=place.step_id)
    found = inbox.with_subjects(inbox.with_executions(wanted).order_by(*inbox.ORDER)[:1])
    return found[0] if found else None


def people_of(request: HttpRequest, thing: Thing) -> dict[str, Any]:
    """Return who acts, who has voted, until when, and the form that changes this."""
    item = thing.item
    if item is None:
        return {}
    wait, entry = item.wait, item.entry
    may_operate = allows(role_of(request.user, thing.execution.scope), Role.OPERATOR)
    found: dict[str, Any] = {
        "assignees": ", ".join(entry.assignees),
        "due_at": entry.due_at,
        "due": due_words(entry.due_at, thing.now),
        "is_overdue": entry.due_at is not None and entry.due_at <= thing.now,
    }
    if thing.place.is_of_step and may_operate:
        found["assign_form"] = AssignForm(initial=assign_initial(item))
    if thing.place.kind is InboxKind.ACCEPTANCE and wait is not None and item.step is not None:
        cast = wait.voted_by(item.step.document_version or 0)
        missing = [each for each in wait.voters or () if each not in cast]
        found |= {
            "required": wait.required,
            "voted_by": ", ".join(cast),
            "vote_count": len(cast),
            "may_vote": ", ".join(missing) or gettext("all other reviewers"),
            "has_four_eyes": wait.has_four_eyes,
        }
    return found


def assign_initial(item: InboxItem) -> dict[str, Any]:
    """Return what the form of an assignment shows first. The due date is exact to a minute."""
    due = None if item.wait is None or item.wait.due_at is None else timezone.localtime(item.wait.due_at)
    names = item.entry.assignees
    return {"assignees": ", ".join(names), "due_at": due and due.replace(second=0, microsecond=0, tzinfo=None)}


def subject_of(request: HttpRequest, thing: Thing, *, back: str) -> dict[str, Any]:
    """Return what the template of the kind shows."""
    match thing.place.kind:
        case InboxKind.QUESTION:
            asked = thing.round
            return {"answer_form": AnswerForm.begin(asked) if asked and thing.item else None, "round": asked}
        case InboxKind.ACCEPTANCE:
            waiting = Waiting.of(request, thing.place.execution_id, thing.place.step_id)
            return decision_context(request, waiting, back=back)
        case InboxKind.BUDGET:
            return budget_of(request, thing)
    return {}


def budget_of(request: HttpRequest, thing: Thing) -> dict[str, Any]:
    """Return the limits of an execution, what it has used, and the form that raises them."""
    found = executions.details(user=request.user, execution_id=thing.place.execution_id)
    blocking = thing.item.limits if thing.item else []
    use = found.use
    limits = {} if use is None else use.budget.model_dump()
    used: dict[str, Any] = {}
    if use is not None:
        used = {
            "max_cost_usd": formats.in_dollars(plain_number(use.spent.cost_usd)),
            "max_tokens": formats.thousands(use.tokens),
            "max_calls": formats.thousands(use.calls),
            "max_seconds": f"{use.seconds:.0f}",
        }
    return {
        "used": used,
        "blocking": [str(LIMITS[each]) for each in blocking],
        "is_month": "scope_month" in blocking,
        "budget_form": BudgetForm(limits=limits),
    }
