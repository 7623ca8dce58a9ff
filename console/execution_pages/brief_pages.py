"""The tab with the brief of an execution, and with what people answered and decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from console.execution_pages.frame import Header, show_tab
from console.shell import page_view
from documents.files import storage
from executions.engine.domain.brief import FILES, file_ids


@page_view
def brief(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the tab."""
    header = Header.read(request, execution_id)
    given = header.execution.input
    return show_tab(
        request,
        header,
        "console/execution_pages/brief.html",
        tab="brief",
        brief=_text_of(given),
        files=_files(request, given),
    )


def _text_of(given: Any) -> str:
    """Return the text of a brief; JSON for an object; empty without a brief."""
    if given is None or isinstance(given, str):
        return given or ""
    rest = {name: value for name, value in given.items() if name != FILES}
    if set(rest) <= {"text"}:
        return str(rest.get("text") or "")
    return json.dumps(rest, ensure_ascii=False, indent=2)


def _files(request: HttpRequest, given: Any) -> Mapping[UUID, storage.UsableFile]:
    """Return the files of a brief by id, in its order, without those that the reader may not see."""
    ids = file_ids(given)
    known = storage.readable_files(user=request.user, file_ids=ids) if ids else {}
    return {each: known[each] for each in ids if each in known}
