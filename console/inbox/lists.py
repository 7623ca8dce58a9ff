"""The list of the inbox, with counts by kind, and the addresses of its entries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError

from common.api.pagination import keyset_page
from common.errors import NotFound
from console.inbox.forms import KINDS, FilterForm
from console.inbox.spans import due_words, span
from console.shell import count_text
from executions.engine.domain.states import InboxKind
from executions.selectors import inbox
from executions.selectors.inbox import InboxItem

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Place:
    """What an entry is about: a step or an execution, and the kind. It stays when the entry is gone."""

    execution_id: UUID
    kind: InboxKind
    step_id: str = ""

    @classmethod
    def of(cls, execution_id: UUID, kind: str, step_id: str = "") -> Place:
        """Return the place that an address names.

        Raises:
            NotFound: there is no such kind, or it is not about this.
        """
        if kind not in {each.value for each in InboxKind}:
            raise NotFound
        place = cls(execution_id, InboxKind(kind), step_id)
        if bool(step_id) is not place.is_of_step:
            raise NotFound
        return place

    @classmethod
    def read(cls, text: str) -> Place | None:
        """Return the place that a parameter names; None if it names none."""
        parts = text.split("/", 2)
        try:
            return cls.of(UUID(parts[0]), *parts[1:])
        except (ValueError, TypeError, NotFound):
            return None

    @property
    def is_of_step(self) -> bool:
        """Whether it is about a step."""
        return self.kind in {InboxKind.QUESTION, InboxKind.ACCEPTANCE}

    @property
    def text(self) -> str:
        """The value of a parameter."""
        return "/".join(filter(None, (str(self.execution_id), self.kind.value, self.step_id)))

    @property
    def address(self) -> str:
        """The address of its page, without a query."""
        return self.path()

    @property
    def state_path(self) -> str:
        """The address of the part that tells whether it still waits."""
        return self.path(name="part-inbox-thing")

    @property
    def assign_path(self) -> str:
        """The address of the form that assigns it."""
        return self.path(name="inbox-assign")

    def path(self, query: str = "", name: str = "inbox-thing") -> str:
        """Return the address of a page of this place."""
        arguments = [self.execution_id, self.kind.value, *([self.step_id] if self.step_id else [])]
        return reverse(f"console:{name}", args=arguments) + (f"?{query}" if query else "")


def place_of(item: InboxItem) -> Place:
    """Return what an entry is about."""
    return Place(item.entry.execution_id, InboxKind(item.entry.kind), item.entry.step_id)


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as the list shows it. It is settled if it left the inbox while the person was looking at it."""

    place: Place
    title: str
    facts: str
    waits: str = ""
    due: str = ""
    is_overdue: bool = False
    is_dry_run: bool = False
    is_settled: bool = False
    choice: str = ""  # value of its checkbox; empty: it cannot be accepted with others

    @classmethod
    def of(cls, item: InboxItem, now: datetime) -> Row:
        """Return the row of an entry."""
        entry = item.entry
        scope, step = entry.execution.scope, item.step
        named = [each for each in (step.name if step else "", step.label if step else "") if each]
        return cls(
            place=place_of(item),
            title=title_of(item),
            facts=" · ".join([*named, f"{scope.type} / {scope.key}"]),
            waits=span(now - entry.since),
            due=due_words(entry.due_at, now),
            is_overdue=entry.due_at is not None and entry.due_at <= now,
            is_dry_run=entry.dry_run,
            choice=_choice(item),
        )

    @property
    def kind(self) -> str:
        """The kind in words."""
        return str(KINDS[self.place.kind][0])


def title_of(item: InboxItem) -> str:
    """Return what an entry is about in a few words."""
    match item.entry.kind:
        case InboxKind.QUESTION if item.round is not None:
            first, count = item.round.questions[0].text, len(item.round.questions)
            return first if count == 1 else _and_more(first, count - 1)
        case InboxKind.ACCEPTANCE:
            return item.heading.title or gettext("Untitled")
        case InboxKind.BUDGET:
            return gettext("A higher budget is needed")
    return item.entry.execution.failure_message or gettext("The execution has failed")


def _and_more(first: str, more: int) -> str:
    return gettext("%(first)s (and %(more)s more)") % {"first": first, "more": more}


def _choice(item: InboxItem) -> str:
    if item.entry.kind != InboxKind.ACCEPTANCE or item.step is None or item.heading.proposed:
        return ""
    return f"{item.entry.execution_id}/{item.step.document_version}/{item.entry.step_id}"


@dataclass(slots=True)
class EntryList:
    """One page of the list."""

    form: FilterForm
    items: list[InboxItem]
    rows: list[Row]
    kinds: list[dict[str, Any]]
    waiting: str | None  # the count of the whole inbox; None: the filters leave some out
    next: str = ""  # query of the next page
    cursor: str = ""  # of this page
    shown: Place | None = None

    @classmethod
    def read(cls, request: HttpRequest, *, now: datetime, within: Any, cursor: str = "") -> EntryList:
        """Read the page that an address names.

        Raises:
            NotFound: its cursor is of another list.
        """
        form = FilterForm.of(request.GET)
        asked = {"user": request.user, "now": now, "within": within, **form.filters()}
        waiting = inbox.with_executions(inbox.entries(**asked))
        try:
            page, following = keyset_page(
                waiting, {"cursor": cursor}, of=f"inbox {form.query}", ordering=inbox.ORDER, limit=PAGE_SIZE
            )
        except ValidationError as error:
            raise NotFound from error
        items = inbox.with_subjects(page)
        counts = inbox.counts(**{**asked, "kind": ()})
        return cls(
            form=form,
            items=items,
            rows=[Row.of(each, now) for each in items],
            kinds=_kinds(form, counts),
            waiting=count_text(sum(counts.values())) if not form.query_with(kind="") else None,
            next=f"{form.query}&cursor={following}".lstrip("&") if following else "",
            cursor=cursor,
        )

    def show(self, place: Place | None, settled: Row | None = None, *, index: int = 0) -> None:
        """Name the entry that the person looks at. A settled one stays in the list."""
        self.shown = place
        if settled is not None:
            self.rows.insert(min(index, len(self.rows)), settled)

    @property
    def index(self) -> int:
        """The position of the entry that the person looks at; 0 if it is not on this page of the list."""
        return max(self._found_at, 0)

    @property
    def _found_at(self) -> int:
        return next((n for n, each in enumerate(self.rows) if each.place == self.shown), -1)

    @property
    def back(self) -> str:
        """Where the person goes on: the next entry, else the one before, else the list."""
        others = (*self.rows[self._found_at + 1 :], *self.rows[: self.index])
        following = [each.place for each in others if not each.is_settled]
        return following[0].path(self.form.query) if following else self.path

    @property
    def inbox_path(self) -> str:
        """The address of the whole inbox."""
        return reverse("console:inbox")

    @property
    def path(self) -> str:
        """The address of the first page of the list, with its filters."""
        return self.inbox_path + (f"?{self.form.query}" if self.form.query else "")

    @property
    def part_query(self) -> str:
        """The query of the part of the page."""
        shown = {} if self.shown is None else {"shown": self.shown.text, "index": str(self.index)}
        return self.form.query_with(**({"cursor": self.cursor} if self.cursor else {}), **shown)

    @property
    def has_choices(self) -> bool:
        """Whether several documents can be accepted at once."""
        return sum(bool(each.choice) for each in self.rows) > 1


def _kinds(form: FilterForm, counts: dict[InboxKind, int]) -> list[dict[str, Any]]:
    """Return the kinds with their counts, and with the queries that select them."""
    chosen = form.given.get("kind", "")
    everything = {
        "name": gettext("All"),
        "count": count_text(sum(counts.values())),
        "query": form.query_with(kind=""),
        "key": "",
    }
    named = [
        {
            "name": str(KINDS[kind][1]),
            "count": count_text(count),
            "query": form.query_with(kind=kind.value),
            "key": kind.value,
        }
        for kind, count in counts.items()
    ]
    return [{**each, "is_chosen": each["key"] == chosen} for each in (everything, *named)]
