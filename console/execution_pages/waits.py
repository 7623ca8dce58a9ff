"""What an execution waits for: what the reader can do about it, and what others do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from common.database.counts import MAX_COUNT, count_text
from console.inbox.lists import place_of, title_of
from documents import selectors as documents
from executions.engine.domain.execution import keys_of
from executions.engine.domain.states import InboxKind
from executions.selectors import inbox
from executions.selectors.inbox import InboxItem
from executions.selectors.steps.counts import StepCounts

MAX_SHOWN = 5
_KINDS = (InboxKind.QUESTION, InboxKind.ACCEPTANCE, InboxKind.BUDGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that the reader can do."""

    key: str
    act: str
    title: str
    place: str  # step and item
    href: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What waits for the reader, the oldest first, and what waits for others."""

    heading: str
    shown: Sequence[Wait]
    more: str  # address of the rest in the inbox; empty: all are shown
    others: Sequence[str]


def entries_of(request: HttpRequest, execution_id: UUID, *, now: datetime, within: inbox.Reach) -> list[Any]:
    """Return the entries of the reader's inbox about an execution, the oldest first, at most `MAX_COUNT`."""
    kinds = [each.value for each in _KINDS]
    rows = inbox.entries(user=request.user, now=now, within=within, kind=kinds).filter(execution_id=execution_id)
    return list(rows.order_by(*inbox.ORDER)[:MAX_COUNT])


def waits_of(
    execution: Any, entries: Sequence[Any], *, counts: Mapping[int, StepCounts], steps: Mapping[str, Any]
) -> Waits:
    """Return what an execution waits for.

    Args:
        execution: The execution, joined with its scope.
        entries: The entries of the reader's inbox about it.
        counts: How many steps wait.
        steps: The steps of the first entries, with the titles of their documents.
    """
    mine = Counter(each.kind for each in entries)
    back = reverse("console:execution", args=[execution.id])
    scope = {"scope_type": execution.scope.type, "scope_id": execution.scope.key}
    query = scope if execution.script is None else {**scope, "dry_run": "true"}
    return Waits(
        heading=_heading(len(entries)),
        shown=[_wait(each, steps.get(each.step_id), back) for each in entries[:MAX_SHOWN]],
        more=f"{reverse('console:inbox')}?{urlencode(query)}" if len(entries) > MAX_SHOWN else "",
        others=_others(counts.values(), mine),
    )


def _heading(total: int) -> str:
    if not total:
        return gettext("Nothing waits for you")
    told = ngettext("%(number)s thing waits for you", "%(number)s things wait for you", total)
    return told % {"number": count_text(total)}


def _wait(entry: Any, step: Any | None, back: str) -> Wait:
    acts = {
        InboxKind.QUESTION: gettext("Answer"),
        InboxKind.ACCEPTANCE: gettext("Decide"),
        InboxKind.BUDGET: gettext("Raise the budget"),
    }
    kind = InboxKind(entry.kind)
    heading = documents.VersionHeading(title=getattr(step, "title", None) or "", proposed=False)
    item = InboxItem(entry=entry, step=step, heading=heading, limits=[])
    named = [] if step is None else [step.name, " / ".join(keys_of(step.step_id)), step.label]
    return Wait(
        key=f"{kind.value}-{entry.step_id}",
        act=acts[kind],
        title="" if kind is InboxKind.BUDGET else title_of(item),
        place=" · ".join(filter(None, named)),
        href=place_of(item).path(urlencode({"from": back})),
        due_at=entry.due_at,
    )


def _others(counts: Iterable[StepCounts], mine: Counter[str]) -> list[str]:
    """Return what others have to do, in words; nothing if the reader has more entries than are read."""
    if mine.total() >= MAX_COUNT:
        return []
    every = list(counts)
    asked = sum(each.asking for each in every) - mine[InboxKind.QUESTION]
    undecided = sum(each.deciding for each in every) - mine[InboxKind.ACCEPTANCE]
    blocked = 0 if mine[InboxKind.BUDGET] else sum(each.blocked for each in every)
    told = (
        (asked, ngettext("%(number)s step waits for answers", "%(number)s steps wait for answers", asked)),
        (
            undecided,
            ngettext("%(number)s document waits for a decision", "%(number)s documents wait for a decision", undecided),
        ),
        (blocked, ngettext("%(number)s step waits for a budget", "%(number)s steps wait for a budget", blocked)),
    )
    return [sentence % {"number": number} for number, sentence in told if number > 0]
