"""Django's ORM, one transaction per step: the execution's state, a document version, an event, a call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection, connections, transaction
from django.utils import timezone

from benchmarks.metrics import Meter
from benchmarks.systems import bulk_rows, workload
from benchmarks.workload import WORKFLOW, Size, size_from_arguments
from documents.models import DocumentVersion
from executions import models
from telemetry.models import ModelCall


@transaction.atomic
def write_step(execution: models.Execution, number: int) -> None:
    """Write the rows of one step."""
    now = timezone.now()
    rows = models.Execution.objects.filter(id=execution.id, version=execution.version + number)
    assert rows.update(version=execution.version + number + 1, last_sequence=number + 2, updated_at=now) == 1
    DocumentVersion.objects.create(
        document_id=execution.id,  # the copy's document has its id
        version=number + 1,
        title="T",
        content=workload.CONTENT,
        schema_id="0",
        execution_id=execution.id,
        step_id=f"s{number}",
        created_at=now,
    )
    models.ExecutionEvent.objects.create(
        execution_id=execution.id,
        sequence=number + 2,
        scope_id=execution.id,  # a feed per execution, without lock conflicts
        scope_sequence=number + 2,
        event_type="step_completed",
        step_id=f"s{number}",
        data={"document_version": number + 1},
        timestamp=now,
    )
    ModelCall.objects.create(
        execution_id=execution.id,
        step_id=f"s{number}",
        attempt=1,
        kind="generate",
        workflow_id=WORKFLOW,
        scope_id=execution.scope_id,
        status="committed",
        requested_model="openai:writer",
        request_hash="0" * 64,
        reply=workload.CONTENT,
        started_at=now,
        finished_at=now,
    )


def run(size: Size, meter: Meter) -> None:
    """Write the steps of all executions concurrently."""

    def one(execution: models.Execution) -> None:
        for number in range(size.steps):
            meter.step(execution.id)
            write_step(execution, number)

    executions = list(models.Execution.objects.filter(id__in=map(bulk_rows.id_of, range(size.executions))))
    barrier = Barrier(size.in_flight)
    with ThreadPoolExecutor(size.in_flight) as pool:
        list(pool.map(lambda _: connect(barrier), range(size.in_flight)))
        with meter:
            list(pool.map(one, executions))


def connect(barrier: Barrier) -> None:
    """Open the connection of a thread, and wait for all threads."""
    connection.ensure_connection()
    barrier.wait()


if __name__ == "__main__":
    chosen = size_from_arguments()
    bulk_rows.create_minimal_rows(chosen.executions)
    connection.close()
    measured = Meter()
    run(chosen, measured)
    measured.report()
    connections.close_all()
