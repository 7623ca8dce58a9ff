"""Fills the tables with waiting executions: python -m … EXECUTIONS STEPS IN_FLIGHT."""

from __future__ import annotations

from django.db import connection
from django.utils import timezone

from benchmarks.systems import bulk_rows, transitions, workload
from benchmarks.workload import size_from_arguments
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.execution import Execution
from executions.engine.ports import Transition
from executions.engine.transitions import clarification, core
from executions.persistence.journal import journal

TABLES = ("executions_executionstep", "executions_executionevent", "telemetry_modelcall")
QUESTION = QuestionDraft(text="How many tools does the library lend in its first year?")


def ask(now: Execution, context: core.Context) -> core.Change:
    """Let the first step wait for an answer."""
    return clarification.ask(now, "s0", questions=(QUESTION,), context=context)


if __name__ == "__main__":
    size = size_from_arguments()
    pattern = workload.start(workload.publish(size.steps), "waiting")
    begin, *_ = transitions.transitions_of(pattern, size.steps)
    for transition in (begin, Transition(execution_id=pattern, fencing_token=begin.fencing_token, decide=ask)):
        journal.apply(transition, now=timezone.now())
    bulk_rows.copy_execution(pattern, size.executions, tables=TABLES)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
