"""The calls of an execution, page by page, with filters in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy

from common.errors import FieldError
from console.execution_pages.calls.words import KINDS, MEANINGS, STATUSES
from console.forms import text_filter
from console.shell import number_in
from executions.engine.domain.execution import keys_of
from executions.engine.domain.states import CallKind, CallStatus
from executions.selectors import calls

PAGE_SIZE = 50
_ORDERS = {"": ("-started_at", "-id"), "step": ("step_id", "attempt", "started_at", "id")}


class FilterForm(forms.Form):
    """Filters of the list; names are those of the API."""

    step_id = text_filter(gettext_lazy("Step"), most=200, list="known-steps")
    status = forms.ChoiceField(
        label=gettext_lazy("Status"),
        required=False,
        choices=[("", gettext_lazy("Any")), *((each.value, name) for each, name in STATUSES.items())],
    )

    @property
    def given(self) -> dict[str, str]:
        """The filters that have a value, as the address has them."""
        return {name: str(self.data[name]) for name in self.fields if self.data.get(name)}

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the calls that match. The form is valid."""
        step_id, status = (self.cleaned_data[name] for name in ("step_id", "status"))
        if step_id:
            rows = calls.of_step(rows, step_id)
        return rows.filter(status=status) if status else rows


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call."""

    row: Any
    violations: Sequence[FieldError] = ()

    @property
    def kind(self) -> str:
        """What the call was for, in words."""
        return str(KINDS[CallKind(self.row.kind)])

    @property
    def status(self) -> str:
        """The status in words."""
        return str(STATUSES[CallStatus(self.row.status)])

    @property
    def meaning(self) -> str:
        """What the status means."""
        return str(MEANINGS[CallStatus(self.row.status)])

    @property
    def slug(self) -> str:
        """The id of the step's definition."""
        return str(self.row.step_id).partition("@")[0]

    @property
    def item(self) -> str:
        """The keys of the item of its step; empty for a step that runs once."""
        return " / ".join(keys_of(self.row.step_id))

    @property
    def model(self) -> str:
        """The model as it was requested."""
        return str(self.row.requested_model)

    @property
    def cached(self) -> int:
        """Input tokens that were read from a cache or written into one."""
        return int(self.row.cache_read_input_tokens + self.row.cache_write_input_tokens)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is under way."""
        if self.row.latency_ms is not None:
            return float(self.row.latency_ms) / 1_000
        ended = self.row.finished_at
        return None if ended is None else float((ended - self.row.started_at).total_seconds())

    @property
    def is_free(self) -> bool:
        """Whether it has cost nothing, because it was rejected, or because its maximum is zero."""
        return self.row.cost_usd is None and (self.row.status == CallStatus.FAILED or self.row.estimated_cost_usd == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallList:
    """One page of the calls."""

    form: FilterForm
    order: str
    number: int  # of the page, from 1
    total: int  # of all calls that match
    rows: Sequence[CallRow]
    path: str

    @classmethod
    def read(cls, request: HttpRequest, execution: Any) -> CallList:
        """Read the page that an address names; no calls while a filter is invalid.

        `execution` is one that the user may see.
        """
        form, order = FilterForm(request.GET), request.GET.get("order", "")
        order = order if order in _ORDERS else ""
        rows = calls.of_execution(execution)
        rows = form.narrow(rows) if form.is_valid() else rows.none()
        number = max(1, number_in(request.GET.get("page", "")) or 1)
        page = list(rows.order_by(*_ORDERS[order])[(number - 1) * PAGE_SIZE : number * PAGE_SIZE])
        return cls(
            form=form,
            order=order,
            number=number,
            total=rows.count(),
            rows=call_rows(execution, page),
            path=reverse("console:execution-calls", args=[execution.id]),
        )

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-self.total // PAGE_SIZE)

    @property
    def query(self) -> str:
        """The query of the address of this page."""
        return self._query(page=self.number)

    @property
    def by_step(self) -> str:
        """The address of the same calls by step."""
        return self._address(order="step")

    @property
    def by_time(self) -> str:
        """The address of the same calls, newest first."""
        return self._address(order="")

    @property
    def before(self) -> str:
        """The address of the page before; empty on the first one."""
        return self._address(page=min(self.number, self.pages + 1) - 1) if self.number > 1 else ""

    @property
    def after(self) -> str:
        """The address of the next page; empty on the last one."""
        return self._address(page=self.number + 1) if self.number < self.pages else ""

    def _address(self, **changes: str | int) -> str:
        query = self._query(**changes)
        return f"{self.path}?{query}#calls" if query else f"{self.path}#calls"

    def _query(self, **changes: str | int) -> str:
        wanted: dict[str, str | int] = {**self.form.given, "order": self.order, **changes}
        return urlencode({name: value for name, value in wanted.items() if value and (name, value) != ("page", 1)})


def call_rows(execution: Any, rows: Sequence[Any]) -> list[CallRow]:
    """Return calls of an execution with what was found wrong in their replies."""
    found = calls.violations_of(execution, rows)
    return [CallRow(row=row, violations=found.get(row.id, ())) for row in rows]
