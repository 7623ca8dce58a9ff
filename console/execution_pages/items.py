"""One page of the items of a step: filters, rows, and what the reader can do about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy
from rest_framework.exceptions import ValidationError

from access.permissions import Action
from common.api.pagination import keyset_page
from common.errors import NotFound
from console.execution_pages.frame import Header
from console.execution_pages.words import STEP_STATUSES, items_address, status_words, step_address
from console.forms import text_filter
from console.templatetags.console import seconds
from documents import selectors as documents
from executions.engine.domain.execution import keys_of
from executions.engine.domain.states import RETRIABLE
from executions.selectors.details import possible_in_step
from executions.selectors.steps.counts import StepCounts, counts_of
from executions.selectors.steps.rows import ITEM_ORDER, items_of
from executions.selectors.workflows import definition_of
from telemetry import selectors as telemetry

PAGE_SIZE = 50


class ItemForm(forms.Form):
    """Filters of the items, in the address."""

    status = forms.ChoiceField(required=False, choices=[("", ""), *((each.value, "") for each in STEP_STATUSES)])
    q = text_filter(gettext_lazy("Key or name"), most=200)

    @property
    def given(self) -> dict[str, str]:
        """The filters that have a value."""
        return {name: str(self.data[name]) for name in self.fields if self.data.get(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An item."""

    step: Any
    keys: str
    status: str
    title: str  # of its document
    proposed: bool
    totals: telemetry.Totals
    href: str  # of the page of its step
    choice: str  # value of its checkbox; empty: it cannot be accepted here
    may_retry: bool

    @property
    def duration(self) -> str:
        """How long it took; empty as long as it has not ended."""
        begun, ended = self.step.started_at, self.step.finished_at
        return "" if begun is None or ended is None else seconds((ended - begun).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A status with the number of its items, and the query that selects it."""

    name: str
    number: int
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemList:
    """A page of the items of a step."""

    slug: str
    name: str
    path: str
    form: ItemForm
    filters: Sequence[Filter]
    rows: Sequence[Row]
    next: str  # query of the next page; empty on the last one
    cursor: str  # of this page

    @classmethod
    def read(cls, request: HttpRequest, header: Header, slug: str) -> ItemList:
        """Read the page that an address names.

        Raises:
            NotFound: the definition has no such step, the step runs once, or the cursor is of another list.
        """
        execution, definition = header.execution, definition_of(header.execution)
        if slug not in definition.positions or not definition.loops[slug]:
            raise NotFound
        form = ItemForm(request.GET)
        cleaned = form.cleaned_data if form.is_valid() else {}
        wanted = [cleaned["status"]] if cleaned.get("status") else []
        found = items_of(execution.id, slug, status=wanted, query=cleaned.get("q", ""))
        cursor = request.GET.get("cursor", "")
        try:
            of = f"items of {execution.id} {slug} {wanted} {cleaned.get('q', '')}"
            page, following = keyset_page(found, {"cursor": cursor}, of=of, ordering=ITEM_ORDER, limit=PAGE_SIZE)
        except ValidationError as error:
            raise NotFound from error
        counts = counts_of(execution.id).get(definition.positions[slug], StepCounts())
        return cls(
            slug=slug,
            name=definition.step(slug).name,
            path=items_address(execution.id, slug),
            form=form,
            filters=_filters(form, counts),
            rows=_rows(request, header, page),
            next=_query(form.given, cursor=following) if following else "",
            cursor=cursor,
        )

    @property
    def first(self) -> str:
        """The address of the first page."""
        return self.path + (f"?{query}" if (query := _query(self.form.given)) else "")

    @property
    def query(self) -> str:
        """The query of this page."""
        return _query(self.form.given, cursor=self.cursor)

    @property
    def has_choices(self) -> bool:
        """Whether the reader can accept a document here."""
        return any(each.choice for each in self.rows)


def _query(given: dict[str, str], *, cursor: str = "") -> str:
    pairs = {**given, **({"cursor": cursor} if cursor else {})}
    return "&".join(f"{name}={quote(value)}" for name, value in pairs.items())


def _filters(form: ItemForm, counts: StepCounts) -> list[Filter]:
    """Return the statuses that occur, with their numbers."""
    given, chosen = form.given, form.given.get("status", "")
    rest = {name: value for name, value in given.items() if name != "status"}
    every = Filter(name=gettext("all"), number=counts.total, query=_query(rest), is_chosen=not chosen)
    return [every] + [
        Filter(
            name=status_words(each),
            number=counts.by_status[each],
            query=_query({**rest, "status": each.value}),
            is_chosen=chosen == each,
        )
        for each in STEP_STATUSES
        if counts.by_status[each] or chosen == each
    ]


def _rows(request: HttpRequest, header: Header, page: Sequence[Any]) -> list[Row]:
    execution = header.execution
    headings = documents.headings((each.document_id, each.document_version) for each in page)
    totals = telemetry.totals_by_step(execution.id, [each.step_id for each in page]) if page else {}
    may_decide = Action.DECIDE in header.row.details.may
    found = []
    for step in page:
        step.execution = execution
        heading = headings.get((step.document_id, step.document_version), documents.NO_HEADING)
        is_choice = may_decide and not heading.proposed and Action.DECIDE in possible_in_step(step, request.user)
        found.append(
            Row(
                step=step,
                keys=" / ".join(keys_of(step.step_id)),
                status=status_words(step.status),
                title=heading.title or step.produces,
                proposed=heading.proposed,
                totals=totals.get(step.step_id, telemetry.Totals()),
                href=step_address(execution.id, step.step_id),
                choice=f"{execution.id}/{step.document_version}/{step.step_id}" if is_choice else "",
                may_retry=header.may_retry and execution.status in RETRIABLE,
            )
        )
    return found
