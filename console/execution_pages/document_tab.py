"""The tab with the documents of an execution, in the order of its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ValidationError

from common.api.pagination import keyset_page
from common.errors import NotFound
from console.execution_pages.frame import Header, show_tab
from console.shell import page_view
from documents import selectors as documents
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.execution import keys_of
from executions.selectors.executions import waits_for_decision
from executions.selectors.steps.rows import DOCUMENT_ORDER, with_documents

PAGE_SIZE = 50
#: Formats of all documents as one file, with their names for people.
DOWNLOADS = (
    ("docx", "Word"),
    ("pdf", "PDF"),
    ("markdown", "Markdown"),
    ("html", "HTML"),
    ("zip", gettext_lazy("everything (zip)")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A document of a step."""

    step: Any
    keys: str
    listed: documents.ListedVersion | None
    waits: bool  # for a decision

    @property
    def accepted(self) -> AcceptanceDecision | None:
        """The decision with which a person accepted it; None: it was not accepted, or needs no acceptance."""
        decisions = [AcceptanceDecision.model_validate(each) for each in self.step.decisions]
        return next((each for each in reversed(decisions) if each.accepted == self.step.document_version), None)


@page_view
def execution_documents(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render a page of the tab."""
    header = Header.read(request, execution_id)
    cursor = request.GET.get("cursor", "")
    try:
        page, following = keyset_page(
            with_documents(execution_id),
            {"cursor": cursor},
            of=f"documents of {execution_id}",
            ordering=DOCUMENT_ORDER,
            limit=PAGE_SIZE,
        )
    except ValidationError as error:
        raise NotFound from error
    is_erased = header.execution.erased_at is not None
    return show_tab(
        request,
        header,
        "console/execution_pages/documents.html",
        tab="documents",
        groups=list(_groups(page)),
        next=f"cursor={following}" if following else "",
        is_first=not cursor,
        first=request.path,
        downloads=DOWNLOADS if page and not is_erased and header.row.details.done_steps else (),
    )


def _groups(page: Sequence[Any]) -> Iterator[tuple[str, list[Made]]]:
    """Yield the steps of the definition with their documents."""
    versions = documents.listed_versions([(each.document_id, each.document_version) for each in page])
    for _, steps in groupby(page, key=lambda each: each.position):
        made = [
            Made(
                step=each,
                keys=" / ".join(keys_of(each.step_id)),
                listed=versions.get((each.document_id, each.document_version)),
                waits=waits_for_decision(each),
            )
            for each in steps
        ]
        yield made[0].step.name, made
