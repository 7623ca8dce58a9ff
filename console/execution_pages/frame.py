"""What all pages of one execution have: its header, its tabs, and its event stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy

from access.permissions import Action
from common.database.server import database_now
from console.executions.lists import Row, addresses_of, rows_of
from console.shell import part_view, show_page
from executions.engine.domain.states import ExecutionStatus
from executions.selectors import executions, inbox

#: Tabs of an execution: key, label, name of the path.
TABS = (
    ("work", gettext_lazy("Work"), "console:execution"),
    ("documents", gettext_lazy("Documents"), "console:execution-documents"),
    ("timeline", gettext_lazy("Timeline"), "console:execution-timeline"),
    ("calls", gettext_lazy("Calls & costs"), "console:execution-calls"),
    ("brief", gettext_lazy("Brief & answers"), "console:execution-brief"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands above the tabs."""

    row: Row
    within: inbox.Reach  # what the reader may act on

    @classmethod
    def read(
        cls,
        request: HttpRequest,
        execution_id: UUID,
        *,
        within: inbox.Reach | None = None,
        entries: Iterable[Any] | None = None,
    ) -> Header:
        """Read it.

        Args:
            request: The request.
            execution_id: The execution.
            within: What the user may act on; None: it is read.
            entries: The entries of the user's inbox about it, the oldest first; None: they are read.

        Raises:
            NotFound: there is no such execution, or none that the user may see.
        """
        now = database_now()
        details = executions.details(user=request.user, execution_id=execution_id)
        reach = within or inbox.reach(request.user, now)
        known = None if entries is None else {execution_id: addresses_of(entries)}
        [row] = rows_of([details], user=request.user, now=now, within=reach, known=known)
        return cls(row=row, within=reach)

    @property
    def execution(self) -> Any:
        """The row of the database."""
        return self.row.execution

    @property
    def failed_step(self) -> Any:
        """The step with which it failed; None unless it has failed."""
        has_failed = self.execution.status == ExecutionStatus.FAILED
        return executions.failed_step(self.execution.id) if has_failed else None

    @property
    def may_cancel(self) -> bool:
        """Whether the reader can cancel it now."""
        return Action.CANCEL in self.row.details.may

    @property
    def may_retry(self) -> bool:
        """Whether the reader can retry it now."""
        return Action.RETRY in self.row.details.may

    @property
    def may_budget(self) -> bool:
        """Whether the reader can change its budget now."""
        return Action.BUDGET in self.row.details.may


def stream_of_execution(execution_id: UUID) -> str:
    """Return the path of the event stream of an execution."""
    return f"/api/v1/executions/{execution_id}/stream"


def show_tab(request: HttpRequest, header: Header, template: str, *, tab: str, **shown: Any) -> HttpResponse:
    """Render a page of an execution.

    Args:
        request: The request.
        header: What stands above the tabs.
        template: A template that extends `console/execution_pages/frame.html`.
        tab: The key of the page in `TABS`, or of the tab that it belongs to.
        shown: What the template shows; `status` is the HTTP status.
    """
    return show_page(
        request,
        template,
        section="executions",
        within=header.within,
        header=header,
        execution=header.execution,
        tabs=TABS,
        tab=tab,
        stream=stream_of_execution(header.execution.id),
        stream_last=header.execution.last_sequence,
        **shown,
    )


@part_view
def header_part(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the header, which follows events."""
    header = Header.read(request, execution_id)
    shown = {"header": header, "execution": header.execution, "is_part": True}
    return render(request, "console/execution_pages/header.html", shown)
