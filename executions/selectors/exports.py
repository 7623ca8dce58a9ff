"""The documents of an execution as one source of files, in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from access.selectors import Person
from common.errors import Conflict, Erased
from common.limits import limits
from common.listings import listed
from common.time import format_rfc3339
from documents import selectors as documents
from documents.downloads import TooLargeToRender, source_of, turn_for
from documents.files import storage
from documents.rendering.sources import DocumentSource, ExecutionSource
from executions import models
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.brief import file_ids
from executions.engine.domain.execution import slug_of
from executions.engine.domain.states import ExecutionStatus, StepStatus
from executions.selectors import executions as selectors
from executions.selectors.document_files import accepted, house_of, template_of
from executions.selectors.manifest import brief_files, document_record, execution_record
from telemetry import selectors as telemetry
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition

_NOTHING = "No step of this execution has a final document yet."


class NothingToExport(Conflict):
    """No step of the execution has a final document yet."""

    code = "nothing-to-export"


@dataclass(frozen=True, slots=True)
class Export:
    """What a file of an execution is made from."""

    version: int  # of the execution
    root_id: UUID  # its scope
    source: ExecutionSource = field(repr=False)
    house: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Read:
    """An execution as it was read."""

    execution: models.Execution
    definition: WorkflowDefinition
    steps: list[models.ExecutionStep]

    @property
    def done(self) -> list[models.ExecutionStep]:
        """The steps with a final document."""
        return [each for each in self.steps if each.status == StepStatus.COMPLETED.value and each.document_id]

    @property
    def is_complete(self) -> bool:
        """Whether the execution has all its documents."""
        return bool(self.execution.status == ExecutionStatus.COMPLETED.value)

    @property
    def count(self) -> str:
        """How many steps have a final document."""
        return f"{len(self.done)} of {len(self.steps)} steps have a document"

    @property
    def undecided(self) -> list[models.ExecutionStep]:
        """The steps whose document waits for a decision."""
        return [each for each in self.steps if selectors.waits_for_decision(each)]

    @property
    def unfinished(self) -> list[models.ExecutionStep]:
        """The other steps whose document is not final."""
        left = [each for each in self.steps if each.status != StepStatus.COMPLETED.value and each.document_id]
        return [each for each in left if not selectors.waits_for_decision(each)]


@contextmanager
def export_of(*, user: Person, execution_id: UUID, name: str) -> Iterator[Export]:
    """Yield the final documents of an execution for a file: those with which its steps have completed.

    The order is that of the steps in the definition, and of the items. `name` is the format. Large contents are read
    and rendered within the block, in a turn: their number limits the memory of all exports together.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Erased: the contents of the execution were erased.
        NothingToExport: no step has a final document.
        TooLargeToRender: the documents are larger than `MAX_EXPORT_BYTES`.
        RendererBusy: too many files are being made.
    """
    execution = selectors.execution(user=user, execution_id=execution_id)
    if execution.erased_at is not None:
        raise Erased
    steps = list(selectors.steps(user=user, execution_id=execution_id).defer("rounds", "violations", "input_versions"))
    definition = workflows.get_definition(execution.workflow_id, execution.workflow_version.version)
    read = _Read(execution, definition, steps)
    found = _sizes(read, user)
    with turn_for(found.bytes):
        rows = _rows(read, found)
        source = ExecutionSource(
            title=_title(read),
            created_at=max(row.created_at for _, row in rows),
            documents=tuple(_documents(read, rows, with_records=name == "zip")),
            facts=tuple(_facts(read)),
            provenance=tuple(_provenance(read)),
            **(_for_zip(read, user) if name == "zip" else {}),
        )
        yield Export(execution.version, execution.scope_id, source, house_of(definition, name))


def _sizes(read: _Read, user: Person) -> documents.Sizes:
    """Return the final documents with their size.

    Raises:
        NothingToExport, TooLargeToRender: see `export_of`.
    """
    pairs = [(each.document_id, each.document_version) for each in read.done]
    found = documents.sizes([(each, number) for each, number in pairs if each and number], user=user)
    if not found.row_ids:
        raise NothingToExport(_NOTHING)
    most = limits().export_bytes
    if found.bytes > most:
        raise TooLargeToRender(
            f"The documents of this execution have {found.bytes:,} bytes, and one file has at most {most:,}. "
            "Download them one by one."
        )
    return found


def _rows(read: _Read, found: documents.Sizes) -> list[tuple[models.ExecutionStep, Any]]:
    """Return the steps with a final document, each with its version, after the wait for a turn.

    Raises:
        Erased: the execution was erased meanwhile.
        NothingToExport: all documents were.
    """
    pairs = [(step, (step.document_id, step.document_version)) for step in read.done]
    contents = documents.with_content(found.row_ids.values())
    if models.Execution.objects.filter(id=read.execution.id, erased_at__isnull=False).exists():
        raise Erased
    rows = [(step, contents[found.row_ids[pair]]) for step, pair in pairs if pair in found.row_ids]
    left = [(step, row) for step, row in rows if row.erased_at is None]
    if not left:
        raise NothingToExport(_NOTHING)
    return left


def _documents(
    read: _Read, rows: Sequence[tuple[models.ExecutionStep, Any]], *, with_records: bool
) -> Iterator[DocumentSource]:
    totals = telemetry.totals_by_step(read.execution.id) if with_records else {}
    called = telemetry.models_by_step(read.execution.id) if with_records else {}
    for (step, row), decided in zip(rows, _decisions(rows), strict=True):
        item = [f"Item: {step.label}"] if step.label else []
        cost, names = totals.get(step.step_id, telemetry.Totals()), called.get(step.step_id, [])
        yield source_of(
            row,
            name=step.produces + step.step_id.removeprefix(slug_of(step.step_id)),
            decided=[*item, *accepted(decided, row.version)],
            template=template_of(read.definition, step.produces),
            record=document_record(step, row, totals=cost, called=names, decisions=decided) if with_records else None,
        )


def _decisions(rows: Sequence[tuple[models.ExecutionStep, Any]]) -> list[list[AcceptanceDecision]]:
    """Return the decisions of the step that made each version: a reused one was accepted in another execution.

    A person's version has no such step; the decisions about its document are about it, of any execution.
    """
    places = [(row.execution_id, row.step_id or step.step_id) for step, row in rows]
    found = selectors.decisions_of_steps({(each, step_id) for each, step_id in places if each is not None})
    edited = selectors.decisions_about([row.document_id for _, row in rows if row.execution_id is None])
    return [
        edited[row.document_id] if place[0] is None else found.get(place, [])
        for place, (_, row) in zip(places, rows, strict=True)
    ]


def _for_zip(read: _Read, user: Person) -> dict[str, Any]:
    """Return the manifest of a zip file, and its further files."""
    execution = read.execution
    total = telemetry.execution_totals(execution.id)
    ids = file_ids(execution.input)
    root = execution.scope.root_id or execution.scope_id
    usable = storage.usable_files(user=user, file_ids=ids, root_id=root) if ids else {}
    names = {each: found.name for each, found in usable.items()}
    return {
        "record": execution_record(execution, name=read.definition.name, total=total, steps=read.steps),
        "files": brief_files(execution.input, names),
    }


def _title(read: _Read) -> str:
    mark = "" if read.execution.script is None else " (dry run)"
    return f"{read.definition.name}: {read.execution.scope.key}{mark}"


def _facts(read: _Read) -> Iterator[tuple[str, str]]:
    """Yield the facts of the first page."""
    row = read.execution
    yield "Workflow", f"{read.definition.name}, version {row.workflow_version.version}"
    yield "Scope", f"{row.scope.type} {row.scope.key}"
    by = f" by {row.requested_by_name}" if row.requested_by_name else ""
    yield "Started", f"{format_rfc3339(row.created_at)}{by}"
    ended = f", {format_rfc3339(row.finished_at)}" if row.finished_at else ""
    yield "Status", f"{row.status}{ended}"
    if not read.is_complete:
        yield "Not complete", read.count
    for name, steps in (("a decision is missing", read.undecided), ("not final", read.unfinished)):
        if steps:
            shown = [f"{each.name}{f' ({each.label})' if each.label else ''}" for each in steps]
            yield f"Left out, {name}", listed(shown)


def _provenance(read: _Read) -> Iterator[str]:
    """Yield the lines of the footer."""
    row = read.execution
    if row.script is not None:
        yield "Dry run: the rehearsal model wrote the documents"
    if not read.is_complete:
        yield f"Not complete: {read.count}, {row.status}"
    yield f"Execution {row.id}"
    yield f"Workflow {row.workflow_id}, version {row.workflow_version.version}"
