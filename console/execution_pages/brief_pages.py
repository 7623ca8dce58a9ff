"""The tab with the brief of an execution, and with what people answered and decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from access.permissions import Action, permitted
from access.selectors import limits_of, role_of
from console.execution_pages.frame import Header, show_tab
from console.execution_pages.said import SaidPage
from console.execution_pages.script_words import script_in_words
from console.execution_pages.timeline.words import limits_in_words
from console.shell import page_view, part_view
from documents.files import storage
from executions.engine.domain.brief import FILES, file_ids
from executions.engine.domain.states import Reuse
from executions.selectors import executions
from executions.selectors.workflows import definition_of


@page_view
def brief(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render the tab."""
    header = Header.read(request, execution_id)
    execution = header.execution
    shown = {
        "brief": _text_of(execution.input),
        "files": _files(request, execution.input),
        "limits": limits_in_words(execution.budget or {}),
        "reuses": execution.reuse == Reuse.CURRENT,
        "script": _script(execution),
        "said": SaidPage.read(request, execution_id),
        "may_start": _may_start(request, execution),
    }
    return show_tab(request, header, "console/execution_pages/brief.html", tab="brief", **shown)


@part_view
def said(request: HttpRequest, execution_id: UUID) -> HttpResponse:
    """Render what people answered and decided, which follows events."""
    row = executions.execution(user=request.user, execution_id=execution_id)
    shown = {"execution": row, "said": SaidPage.read(request, execution_id)}
    return render(request, "console/execution_pages/said.html", shown)


def _may_start(request: HttpRequest, execution: Any) -> bool:
    """Whether the reader may start an execution in the scope. The brief of an erased one is gone."""
    role = role_of(request.user, execution.scope)
    may = permitted(role, {Action.START}, limits=limits_of(request.user))
    return execution.erased_at is None and Action.START in may


def _script(execution: Any) -> list[tuple[str, Sequence[str]]]:
    """Return the script of a dry run in words; empty without one."""
    if not execution.script:
        return []
    names = {each.id: each.name for each in definition_of(execution).steps}
    return script_in_words(execution.script, names)


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
