"""What the database guards: versions, epochs, and that all of a thing is stored or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access.services import ensure_user
from executions import journal, models, repository, services, sweep
from executions.engine import changes
from executions.engine.clarification import QuestionDraft
from executions.engine.errors import NotWaiting, Superseded, VersionConflict
from executions.engine.execution import Execution
from executions.engine.ports import Transition
from executions.engine.states import ExecutionStatus
from executions.progress import notifier
from tests.engine.world import ASKING, LINE
from workflows import repository as workflows
from workflows.definition import WorkflowDefinition

pytestmark = pytest.mark.django_db(transaction=True)


def _empty_the_queue() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """An empty queue (it is no table of Django's that is emptied after a test), and no connection left over."""
    _empty_the_queue()
    yield
    notifier.stop()


@pytest.fixture
def ann() -> User:
    return ensure_user(name="ann")


def _start(user: User, definition: WorkflowDefinition = LINE) -> Execution:
    workflows.get_definition.cache_clear()
    workflows.publish(definition, now=timezone.now())
    return services.start_execution(
        user=user, workflow_id="report", scope_type="project", scope_id="p", input="A brief.", now=timezone.now()
    )


def _decide(
    execution_id: UUID,
    decide: Callable[[Execution, changes.Context], changes.Change],
    epoch: int | None = None,
) -> Execution:
    transition_ = Transition(execution_id=execution_id, epoch=epoch, decide=decide)
    return journal.apply(transition_, now=timezone.now())


def _claim(execution_id: UUID, runner: str = "a") -> Execution:
    return _decide(execution_id, lambda execution, context: changes.claim(execution, runner=runner, context=context))


def _ask(execution_id: UUID) -> None:
    _claim(execution_id)
    _decide(
        execution_id,
        lambda execution, context: changes.start_step(execution, "one", model="m", pins=(), context=context),
    )
    _decide(
        execution_id,
        lambda execution, context: changes.ask(
            execution, "one", questions=(QuestionDraft(text="How many?"),), context=context
        ),
    )


def _together(*functions: Callable[[], object]) -> list[object]:
    """Call each in a thread and on a connection of its own, all at once."""
    barrier = Barrier(len(functions))

    def call(function: Callable[[], object]) -> object:
        try:
            barrier.wait(10)
            return function()
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


def test_of_two_who_write_over_the_same_version_one_is_refused(ann: User) -> None:
    stored = _start(ann)
    following = replace(stored, version=stored.version + 1)
    outcomes = _together(lambda: repository.save(following), lambda: repository.save(following))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "VersionConflict"]
    assert repository.get(stored.id).version == stored.version + 1


def test_a_step_that_somebody_moved_meanwhile_is_not_overwritten(ann: User) -> None:
    stored = _start(ann)
    step = stored.steps["one"]
    moved = replace(stored, version=stored.version + 1).with_step(replace(step, version=step.version + 1))
    models.ExecutionStep.objects.filter(execution_id=stored.id, step_id="one").update(version=step.version + 1)
    # The stored step has the version that we want to write: ours was made from an older one.
    repository.save(moved)  # nothing of the step is written, it counts as stored
    assert models.ExecutionStep.objects.get(execution_id=stored.id, step_id="one").status == "pending"
    with pytest.raises(VersionConflict):
        repository._replace_step(moved, "one", expected=step.version)


def test_a_runner_that_was_overtaken_writes_nothing(ann: User) -> None:
    execution_id = _start(ann).id
    first = _claim(execution_id, "a")
    second = _claim(execution_id, "b")
    with pytest.raises(Superseded):
        _decide(
            execution_id,
            lambda execution, context: changes.start_step(execution, "one", model="m", pins=(), context=context),
            epoch=first.runner_epoch,
        )
    assert repository.get(execution_id) == second


def test_a_start_that_is_rolled_back_leaves_neither_rows_nor_job(ann: User) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        _start(ann)
        raise RuntimeError
    assert not models.Execution.objects.exists()
    assert not models.ExecutionEvent.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_a_start_leaves_one_job_under_the_lock_of_its_execution(ann: User) -> None:
    stored = _start(ann)
    [job] = ProcrastinateJob.objects.all()
    assert job.lock == str(stored.id)
    assert job.queueing_lock is None
    assert job.args == {"execution_id": str(stored.id)}


def test_of_two_different_answers_at_once_one_counts(ann: User) -> None:
    execution_id = _start(ann, ASKING).id
    _ask(execution_id)

    def answer(text: str) -> Callable[[], Execution]:
        return lambda: services.submit_clarification(
            user=ann, execution_id=execution_id, step_id="one", answers={"one.1.1": text}, now=timezone.now()
        )

    outcomes = _together(answer("Twelve"), answer("Thirteen"))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Execution", "NotWaiting"]
    events = models.ExecutionEvent.objects.filter(execution_id=execution_id, event_type="clarification_answered")
    assert events.count() == 1


def test_the_same_answers_again_are_fine_and_others_are_not(ann: User) -> None:
    execution_id = _start(ann, ASKING).id
    _ask(execution_id)

    def answer(text: str) -> Execution:
        return services.submit_clarification(
            user=ann, execution_id=execution_id, step_id="one", answers={"one.1.1": text}, now=timezone.now()
        )

    first = answer("Twelve")
    assert answer("Twelve") == first
    with pytest.raises(NotWaiting):
        answer("Thirteen")


def test_two_who_start_in_a_new_scope_at_once_share_it(ann: User) -> None:
    workflows.publish(LINE, now=timezone.now())
    outcomes = _together(lambda: _start(ann), lambda: _start(ann))
    scopes = {outcome.scope.id for outcome in outcomes if isinstance(outcome, Execution)}
    assert len(scopes) == 1
    assert models.Execution.objects.count() == 2


class TestSweep:
    """Executions that nobody runs any more."""

    @pytest.fixture
    def execution_id(self, ann: User) -> UUID:
        stored = _start(ann)
        _empty_the_queue()  # its job got lost
        return stored.id

    def _sweep(self, *, later_seconds: float, running: set[UUID] | None = None, runner: str = "me") -> int:
        return sweep.sweep(
            now=timezone.now() + timedelta(seconds=later_seconds),
            runner=runner,
            running=running or set(),
            silent_seconds=30,
            idle_seconds=10,
        )

    def test_one_whose_job_got_lost_is_enqueued_again_and_only_once(self, execution_id: UUID) -> None:
        assert self._sweep(later_seconds=11) == 1
        assert self._sweep(later_seconds=11) == 0  # it has a job now
        assert ProcrastinateJob.objects.count() == 1

    def test_one_that_was_touched_a_moment_ago_is_left_alone(self, execution_id: UUID) -> None:
        assert self._sweep(later_seconds=0) == 0

    def test_one_whose_runner_is_silent_is_taken_over(self, execution_id: UUID) -> None:
        sweep.register(name="other", now=timezone.now())
        _claim(execution_id, "other")
        assert self._sweep(later_seconds=25) == 0
        assert self._sweep(later_seconds=31) == 1

    def test_one_whose_runner_never_existed_is_taken_over(self, execution_id: UUID) -> None:
        _claim(execution_id, "ghost")
        assert self._sweep(later_seconds=0) == 1

    def test_one_that_this_worker_runs_is_left_alone_and_one_it_dropped_is_not(self, execution_id: UUID) -> None:
        sweep.register(name="me", now=timezone.now())
        _claim(execution_id, "me")
        assert self._sweep(later_seconds=11, running={execution_id}) == 0
        assert self._sweep(later_seconds=11) == 1

    def test_one_that_waits_costs_nothing(self, ann: User) -> None:
        execution_id = _start(ann, ASKING).id
        _ask(execution_id)
        _empty_the_queue()
        assert repository.get(execution_id).status is ExecutionStatus.WAITING
        assert self._sweep(later_seconds=10_000) == 0

    def test_a_worker_that_was_taken_for_dead_announces_itself_again(self) -> None:
        sweep.register(name="other", now=timezone.now())
        self._sweep(later_seconds=31)
        assert not models.Runner.objects.exists()
        sweep.beat(name="other", now=timezone.now())
        assert models.Runner.objects.filter(name="other").exists()
