"""The manifest of an exported execution: what a program reads about it, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from common.time import format_rfc3339
from documents.repository import content_hash
from executions import models
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.brief import file_ids
from executions.engine.domain.execution import Brief
from telemetry.selectors import Totals

_DECIMALS = 10  # of an amount, as in the API
_TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
)

Json = dict[str, Any]


def execution_record(row: models.Execution, *, name: str, total: Totals, steps: Iterable[models.ExecutionStep]) -> Json:
    """Return what the manifest says about an execution."""
    return {
        "execution_id": str(row.id),
        "workflow_id": row.workflow_id,
        "workflow_version": row.workflow_version.version,
        "workflow_name": name,
        "scope_type": row.scope.type,
        "scope_id": row.scope.key,
        "status": row.status,
        "dry_run": row.script is not None,
        "requested_by": row.requested_by_name,
        "tags": row.tags,
        "created_at": _time(row.created_at),
        "finished_at": _time(row.finished_at),
        "error": {"code": row.failure_code, "message": row.failure_message} if row.failure_code else None,
        "cost": _cost(total),
        "steps": [
            {
                "step_id": each.step_id,
                "status": each.status,
                "document_id": None if each.document_id is None else str(each.document_id),
                "document_version": each.document_version,
            }
            for each in steps
        ],
    }


def document_record(
    step: models.ExecutionStep,
    row: Any,
    *,
    totals: Totals,
    called: list[str],
    decisions: Iterable[AcceptanceDecision],
) -> Json:
    """Return what the manifest says about the version of a document with which a step completed."""
    return {
        "step_id": step.step_id,
        "step_name": step.name,
        "item": step.label or None,
        "type": row.document.type,
        "document_id": str(row.document_id),
        "version": row.version,
        "title": row.title,
        "content_hash": row.content_hash or content_hash(row.content),
        "schema_hash": row.schema_id,
        "created_at": _time(row.created_at),
        "execution_id": None if row.execution_id is None else str(row.execution_id),
        "author": row.author_name,
        "models": called,
        "cost": _cost(totals),
        "decisions": [each.model_dump(mode="json") for each in decisions],
    }


def brief_files(brief: Brief | None, names: Mapping[UUID, str]) -> tuple[tuple[str, str], ...]:
    """Return the brief as a file, and the names of its files as another one; nothing without a brief."""
    if brief is None:
        return ()
    if isinstance(brief, str):
        return (("brief.md", f"{brief.rstrip()}\n"),)
    found = [("brief.json", _text(brief))]
    if listed := [{"id": str(each), "name": names.get(each, "")} for each in file_ids(brief)]:
        found.append(("brief-files.json", _text(listed)))
    return tuple(found)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_rfc3339(moment)


def _cost(totals: Totals) -> Json:
    money = {"known_cost_usd": totals.known_cost_usd, "cost_usd": totals.cost_usd}
    return {
        "calls": totals.calls,
        **{name: int(getattr(totals, name)) for name in _TOKENS},
        **{name: None if value is None else f"{value:.{_DECIMALS}f}" for name, value in money.items()},
        "unpriced_calls": totals.unpriced_calls,
        "cost_final": totals.cost_final,
    }
