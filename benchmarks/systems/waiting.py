"""Fills the tables with executions that wait for an answer: python -m … EXECUTIONS STEPS IN_FLIGHT."""

from __future__ import annotations

from django.db import connection
from django.utils import timezone

from benchmarks.systems import copies, line, transitions
from benchmarks.workload import size_from_arguments
from executions import journal
from executions.engine import asking, changes
from executions.engine.clarification import QuestionDraft
from executions.engine.execution import Execution
from executions.engine.ports import Transition

TABLES = ("executions_executionstep", "executions_executionevent", "telemetry_modelcall")
QUESTION = QuestionDraft(text="How many tools does the library lend in its first year?")


def ask(now: Execution, context: changes.Context) -> changes.Change:
    """Have the first step wait for an answer."""
    return asking.ask(now, "s0", questions=(QUESTION,), context=context)


if __name__ == "__main__":
    size = size_from_arguments()
    pattern = line.start(line.publish(size.steps), "waiting")
    begin, *_ = transitions.of(pattern, size.steps)
    for transition in (begin, Transition(execution_id=pattern, epoch=begin.epoch, decide=ask)):
        journal.apply(transition, now=timezone.now())
    copies.copy(pattern, size.executions, tables=TABLES)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
