"""Two executions side by side: their steps, documents, costs, times and models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast
from uuid import UUID

from pydantic import JsonValue

from access.selectors import Person
from common.errors import Erased
from documents import repository as documents
from documents import selectors as document_selectors
from documents.comparison.diff import compare
from documents.comparison.values import text_bytes
from executions import models
from executions.selectors import executions as selectors
from telemetry import selectors as telemetry

#: Bounds of one comparison: pairs of documents whose changes are counted, and their bytes in total.
MAX_COUNTED, MAX_COUNTED_BYTES = 100, 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSide:
    """A step of one execution, with the version of its document that it made."""

    step: models.ExecutionStep
    document: document_selectors.VersionFacts | None  # None: it has made none
    totals: telemetry.Totals
    models: list[str]

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from its start to its end; None before."""
        return _seconds(self.step.started_at, self.step.finished_at)


@dataclass(slots=True, kw_only=True)
class ComparedStep:
    """The same step of two executions, or the steps that make the same type of document."""

    a: StepSide | None
    b: StepSide | None
    equal: bool | None = None  # None: one of both has no document
    counts: dict[str, int] | None = None  # None: nothing to compare, or too much

    @property
    def type(self) -> str:
        """The type of its document."""
        side = self.a or self.b
        return "" if side is None else side.step.produces


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSide:
    """One of the two executions."""

    execution: models.Execution
    total: telemetry.Totals
    models: list[str]
    steps: list[StepSide] = field(repr=False)

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from its creation to its end; None before."""
        return _seconds(self.execution.created_at, self.execution.finished_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two executions, and their steps side by side."""

    a: ExecutionSide
    b: ExecutionSide
    steps: list[ComparedStep]


def compare_executions(*, user: Person, a: UUID, b: UUID) -> Comparison:
    """Return two executions side by side.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    sides = [_side(user, each) for each in (a, b)]
    steps = list(_paired(sides[0].steps, sides[1].steps))
    _compare_documents(steps)
    return Comparison(a=sides[0], b=sides[1], steps=steps)


def _side(user: Person, execution_id: UUID) -> ExecutionSide:
    execution = selectors.execution(user=user, execution_id=execution_id)
    rows = list(selectors.steps(user=user, execution_id=execution_id))
    facts = document_selectors.version_facts((row.document_id, row.document_version) for row in rows)
    totals, called = telemetry.totals_by_step(execution_id), telemetry.models_by_step(execution_id)
    steps = [
        StepSide(
            step=row,
            document=facts.get((row.document_id, row.document_version)),
            totals=totals.get(row.step_id, telemetry.Totals()),
            models=called.get(row.step_id, []),
        )
        for row in rows
    ]
    return ExecutionSide(
        execution=execution,
        total=telemetry.add_totals(each.totals for each in steps),
        models=sorted({model for each in steps for model in each.models}),
        steps=steps,
    )


def _paired(first: Sequence[StepSide], second: Sequence[StepSide]) -> Iterator[ComparedStep]:
    """Yield steps of both in the order of the first one: paired by id, else by the type of document."""
    others = {each.step.step_id: each for each in second}
    ids = {each.step.step_id for each in first}
    by_type: dict[str, list[StepSide]] = defaultdict(list)
    for each in second:
        if each.step.step_id not in ids:
            by_type[each.step.produces].append(each)
    for each in first:
        found = others.get(each.step.step_id)
        if found is None and by_type[each.step.produces]:
            found = by_type[each.step.produces].pop(0)
        yield ComparedStep(a=each, b=found)
    left = {each.step.step_id for steps in by_type.values() for each in steps}
    yield from (ComparedStep(a=None, b=each) for each in second if each.step.step_id in left)


def _compare_documents(steps: Iterable[ComparedStep]) -> None:
    """Tell which documents are equal, and count the changes of the others, within the bounds."""
    counted = size = 0
    for each in steps:
        a, b = (None if side is None else side.document for side in (each.a, each.b))
        if a is None or b is None:
            continue
        each.equal = bool(a.content_hash) and a.content_hash == b.content_hash
        if each.equal:
            each.counts = compare(None, None).counts
        elif counted < MAX_COUNTED and size < MAX_COUNTED_BYTES:
            counted += 1
            size += _count_changes(each, (a.document_id, a.version), (b.document_id, b.version))


def _count_changes(step: ComparedStep, a: tuple[UUID, int], b: tuple[UUID, int]) -> int:
    """Count the changes from one version to another, and return the bytes of both."""
    try:
        before, after = documents.get_version(*a), documents.get_version(*b)
    except Erased:
        return 0
    if before is None or after is None:
        return 0
    contents = [cast(JsonValue, each.content) for each in (before, after)]
    difference = compare(*contents, schema=after.schema, schema_before=before.schema)
    step.counts, step.equal = difference.counts, not difference.changes
    return sum(map(text_bytes, contents))


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else (until - since).total_seconds()
