"""One page of the list of executions: its rows, what each one waits for, and what the reader may do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from access.permissions import Action
from common.api.pagination import encode_cursor, page_start
from common.database.walks import After
from console.executions.forms import STATUSES, FilterForm
from console.templatetags.console import seconds
from executions.engine.domain.states import ENDED, ExecutionStatus, InboxKind, WaitingOn
from executions.selectors import executions, inbox
from executions.selectors.details import ExecutionDetails
from executions.selectors.lists import CURSOR

PAGE_SIZE = 25
#: What the page can do to several executions.
ACTIONS = (Action.CANCEL, Action.RETRY)
#: Things to wait for, and the entry of the inbox with which a person ends the wait.
_KINDS = {
    WaitingOn.CLARIFICATION: InboxKind.QUESTION,
    WaitingOn.ACCEPTANCE: InboxKind.ACCEPTANCE,
    WaitingOn.BUDGET: InboxKind.BUDGET,
}


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that an execution waits for, in words."""

    text: str
    href: str = ""  # where the reader can end the wait; empty: others do
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An execution as the list shows it."""

    details: ExecutionDetails
    name: str  # of the workflow
    waits: Sequence[Wait]
    now: datetime

    @property
    def execution(self) -> Any:
        """The row of the database."""
        return self.details.execution

    @property
    def status(self) -> str:
        """The status in words."""
        return str(STATUSES[ExecutionStatus(self.execution.status)])

    @property
    def has_choice(self) -> bool:
        """Whether the reader may cancel or retry it."""
        return any(each in self.details.may for each in ACTIONS)

    @property
    def is_moving(self) -> bool:
        """Whether it changes without a person."""
        return self.execution.status in {ExecutionStatus.PENDING, ExecutionStatus.RUNNING}

    @property
    def duration(self) -> str:
        """How long it took; in minutes as long as it has not ended, since a page need not change each second."""
        begun, ended = self.execution.created_at, self.execution.finished_at
        if self.execution.status in ENDED and ended is not None:
            return seconds((ended - begun).total_seconds())
        minutes = int((self.now - begun).total_seconds()) // 60
        return _long(minutes) if minutes > 0 else gettext("under 1 min")


def _long(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    days = hours // 24
    if days:
        return ngettext("%(number)s day", "%(number)s days", days) % {"number": days}
    return f"{hours} h {rest} min" if hours else f"{rest} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionList:
    """One page of the list."""

    form: FilterForm
    rows: Sequence[Row] = ()
    next: str = ""  # query of the next page
    cursor: str = ""  # of this page

    @classmethod
    def read(cls, request: HttpRequest, *, now: datetime, within: inbox.Reach) -> ExecutionList:
        """Read the page that an address names; no rows while a filter is invalid.

        Raises:
            ValidationError: the cursor is of another list.
        """
        form, cursor = FilterForm(request.GET), request.GET.get("cursor", "")
        is_valid, of = form.is_valid(), f"executions {form.query}"
        start = page_start(request.GET, CURSOR, of=of)
        if not is_valid:
            return cls(form=form)
        after = None if start is None else After(*start)
        page = executions.newest_executions(user=request.user, query=form.wanted(), limit=PAGE_SIZE, after=after)
        found = executions.with_details(page.executions, user=request.user)
        following = (
            "" if page.next is None else f"{form.query}&cursor={quote(encode_cursor(page.next, of=of))}".lstrip("&")
        )
        rows = rows_of(found, user=request.user, now=now, within=within)
        return cls(form=form, rows=rows, next=following, cursor=cursor)

    @property
    def path(self) -> str:
        """The address of the whole list."""
        return reverse("console:executions")

    @property
    def first(self) -> str:
        """The address of the first page."""
        return self.path + (f"?{self.form.query}" if self.form.query else "")

    @property
    def query(self) -> str:
        """The query of this page."""
        cursor = f"cursor={quote(self.cursor)}" if self.cursor else ""
        return "&".join(filter(None, (self.form.query, cursor)))

    @property
    def has_choices(self) -> bool:
        """Whether the reader may act on a row."""
        return any(each.has_choice for each in self.rows)

    @property
    def is_moving(self) -> bool:
        """Whether a row changes without a person."""
        return any(each.is_moving for each in self.rows)

    @property
    def workflows(self) -> list[str]:
        """The workflows on this page, as suggestions for the filter."""
        return sorted({each.execution.workflow_id for each in self.rows})


def rows_of(
    found: Sequence[ExecutionDetails],
    *,
    user: Any,
    now: datetime,
    within: inbox.Reach,
    known: Mapping[UUID, Mapping[str, str]] | None = None,
) -> list[Row]:
    """Return executions with what each one waits for, in the same order.

    `known` are the addresses of the entries of the inbox by execution and kind; None: they are read.
    """
    listed: list[Any] = [each.execution for each in found]
    ids = {each.id for each in listed}
    entries = _entries(ids, user=user, now=now, within=within) if known is None else known
    return [
        Row(
            details=each,
            name=row.workflow_version.workflow.name,
            waits=_waits(row, entries.get(row.id, {})),
            now=now,
        )
        for each, row in zip(found, listed, strict=True)
    ]


def _entries(ids: set[UUID], **asked: Any) -> Mapping[UUID, Mapping[str, str]]:
    """Return the address of the oldest entry of the inbox for each execution and kind."""
    found: dict[UUID, dict[str, str]] = defaultdict(dict)
    rows = inbox.entries(**asked).filter(execution_id__in=ids)
    rows = rows.order_by("execution_id", "kind", *inbox.ORDER).distinct("execution_id", "kind")
    for each in rows.only("execution_id", "kind", "step_id"):
        found[each.execution_id].update(addresses_of([each]))
    return found


def addresses_of(entries: Iterable[Any]) -> dict[str, str]:
    """Return the address of the first entry of each kind."""
    found: dict[str, str] = {}
    for each in entries:
        place = [each.execution_id, each.kind, *([each.step_id] if each.step_id else [])]
        found.setdefault(each.kind, reverse("console:inbox-thing", args=place))
    return found


def _waits(row: Any, entries: Mapping[str, str]) -> list[Wait]:
    """Return what an execution waits for. A step may wait for the reader while others run."""
    on = set(row.waiting_on) if row.status == ExecutionStatus.WAITING else set()
    told = {
        WaitingOn.CLARIFICATION: (gettext("waits for answers"), gettext("waits for your answers")),
        WaitingOn.ACCEPTANCE: (gettext("waits for a decision"), gettext("waits for your decision")),
        WaitingOn.BUDGET: (gettext("waits for a higher budget"), gettext("waits for you to raise the budget")),
    }
    found = [
        Wait(yours if (href := entries.get(_KINDS[each], "")) else others, href)
        for each, (others, yours) in told.items()
        if each in on or _KINDS[each] in entries
    ]
    if WaitingOn.RATE_LIMIT in on:
        found.append(Wait(gettext("waits for a provider"), until=row.resume_at))
    if row.status == ExecutionStatus.PENDING:
        found.append(Wait(gettext("waits for a worker")))
    return found
