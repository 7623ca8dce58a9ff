"""Writes the inbox: what waits for people, in the statement of the change that lets it wait, or ends the wait."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from common.database import bulk
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.execution import Execution, Step
from executions.engine.domain.states import ExecutionStatus, InboxKind, StepStatus, WaitingOn
from executions.engine.domain.waits import Wait

#: A changed step: the execution before and after, the step before and after.
MovedStep = tuple[Execution, Execution, Step, Step]
Key = tuple[UUID, InboxKind, str]
UserKey = int | str  # the id of a user, which stays the same when the name changes; else the name

#: Events of changes that may begin, change or end an entry.
CHANGES = frozenset(
    {
        EventType.CLARIFICATION_NEEDED,
        EventType.CLARIFICATION_ANSWERED,
        EventType.ACCEPTANCE_NEEDED,
        EventType.ACCEPTANCE_VOTED,
        EventType.ACCEPTANCE_DECIDED,
        EventType.DOCUMENT_EDITED,
        EventType.STEP_FAILED,
        EventType.STEP_SKIPPED,
        EventType.STEP_CANCELLED,
        EventType.EXECUTION_WAITING,
        EventType.EXECUTION_RESUMED,
        EventType.EXECUTION_RETRIED,
        EventType.COMPLETE,
    }
)

#: An entry of the same wait keeps its id.
_STORE = """
INSERT INTO executions_inboxentry AS entry
  (id, execution_id, step_id, kind, root_id, workflow_id, dry_run, since, due_at, assignees, only_assignees, excluded,
  required_votes, barred)
SELECT id, execution_id, step_id, kind, root_id, workflow_id, dry_run, since, due_at, assignees::jsonb, only_assignees,
  excluded::jsonb, required_votes, barred::jsonb
FROM json_to_recordset(%s::json) AS v(
  id uuid, execution_id uuid, step_id text, kind text, root_id uuid, workflow_id text, dry_run boolean,
  since timestamptz, due_at timestamptz, assignees text, only_assignees boolean, excluded text,
  required_votes int, barred text
)
ON CONFLICT (execution_id, kind, step_id) DO UPDATE SET
  id = CASE WHEN entry.since = excluded.since THEN entry.id ELSE excluded.id END,
  since = excluded.since, due_at = excluded.due_at, assignees = excluded.assignees,
  only_assignees = excluded.only_assignees, excluded = excluded.excluded,
  required_votes = excluded.required_votes, barred = excluded.barred"""
_REMOVE = """
DELETE FROM executions_inboxentry AS entry
USING json_to_recordset(%s::json) AS v(execution_id uuid, kind text, step_id text)
WHERE entry.execution_id = v.execution_id AND entry.kind = v.kind AND entry.step_id = v.step_id"""
_DISMISS = "DELETE FROM executions_inboxentry WHERE id = %s AND kind = %s"
_PRUNE = """
DELETE FROM executions_inboxentry WHERE id IN (
  SELECT id FROM executions_inboxentry WHERE kind = %s AND since < %s ORDER BY since, id LIMIT %s
  FOR UPDATE SKIP LOCKED
)"""
#: Executions with an entry that does not belong to what they wait for, or without one for it. Failures are not
#: missing: a person may have dismissed them.
_WRONG = """
SELECT execution_id FROM (
  SELECT entry.execution_id
  FROM executions_inboxentry AS entry
  JOIN executions_execution AS execution ON execution.id = entry.execution_id
  LEFT JOIN executions_executionstep AS step ON step.execution_id = entry.execution_id AND step.step_id = entry.step_id
  WHERE NOT CASE entry.kind
      WHEN 'failure' THEN execution.status = 'failed'
      WHEN 'budget' THEN execution.status = 'waiting' AND execution.waiting_on @> '["budget"]'
      ELSE coalesce(
        execution.status IN ('pending', 'running', 'waiting') AND step.status = 'waiting' AND step.resume_at IS NULL
        AND step.blocked_by_limit = '' AND (step.asked_at IS NOT NULL) = (entry.kind = 'question'), false)
    END
    OR entry.kind = 'acceptance' AND entry.required_votes IS NULL AND jsonb_typeof(step.wait -> 'approvers') = 'object'
  UNION
  SELECT execution.id
  FROM executions_execution AS execution JOIN executions_executionstep AS step ON step.execution_id = execution.id
  WHERE execution.status IN ('pending', 'running', 'waiting') AND step.status = 'waiting'
    AND step.resume_at IS NULL AND step.blocked_by_limit = ''
    AND NOT EXISTS (
      SELECT FROM executions_inboxentry AS entry
      WHERE entry.execution_id = execution.id AND entry.step_id = step.step_id
        AND entry.kind = CASE WHEN step.asked_at IS NULL THEN 'acceptance' ELSE 'question' END
    )
  UNION
  SELECT id FROM executions_execution AS execution
  WHERE status = 'waiting' AND waiting_on @> '["budget"]' AND NOT EXISTS (
    SELECT FROM executions_inboxentry AS entry WHERE entry.execution_id = execution.id AND entry.kind = 'budget'
  )
) AS wrong
WHERE execution_id > %s ORDER BY execution_id LIMIT %s"""
_STORED = "SELECT execution_id, kind, step_id, required_votes FROM executions_inboxentry WHERE execution_id = ANY(%s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What can be done about an execution or one of its steps."""

    kind: InboxKind
    since: datetime
    due_at: datetime | None = None
    assignees: tuple[str, ...] = ()
    only_assignees: bool = False
    excluded: tuple[UserKey, ...] = ()
    required_votes: int | None = None  # None: one reviewer is enough
    barred: tuple[UserKey, ...] = ()


def entry_of_step(execution: Execution, step: Step) -> Entry | None:
    """Return what people can do about a step; None: nothing."""
    if step.status is not StepStatus.WAITING or execution.ended:
        return None
    waits_for, wait = step.waits_for, step.wait
    assignees = () if wait is None else wait.assignees
    if waits_for is WaitingOn.CLARIFICATION and step.open_round is not None:
        asked = step.open_round
        due_at = asked.expires_at if wait is None or wait.due_at is None else wait.due_at
        return Entry(kind=InboxKind.QUESTION, since=asked.asked_at, due_at=due_at, assignees=assignees)
    if waits_for is not WaitingOn.ACCEPTANCE:
        return None
    if wait is None:  # it began before waits were recorded
        return Entry(kind=InboxKind.ACCEPTANCE, since=execution.updated_at)
    return Entry(
        kind=InboxKind.ACCEPTANCE,
        since=wait.since,
        due_at=wait.due_at,
        assignees=assignees,
        only_assignees=wait.voters is not None,
        excluded=_excluded(execution, step),
        required_votes=None if wait.approvers is None else wait.required,
        barred=_barred(execution, wait),
    )


def _excluded(execution: Execution, step: Step) -> tuple[UserKey, ...]:
    """Return the users who cannot vote about the step's document, or have voted: ids, or names if there is no id."""
    wait = step.wait
    if wait is None or wait.approvers is None:
        return ()
    voted = (each for each in wait.votes if each.document_version == step.document_version)
    return tuple(dict.fromkeys((*_barred(execution, wait), *(each.voted_by_id or each.voted_by for each in voted))))


def _barred(execution: Execution, wait: Wait) -> tuple[UserKey, ...]:
    """Return the users who cannot vote because of four eyes."""
    if not wait.has_four_eyes:
        return ()
    starter = execution.requested_by or execution.requested_by_name
    editors = (each.id or each.name for each in wait.editors)
    return tuple(dict.fromkeys(each for each in (starter, *editors) if each))


def entry_of_execution(execution: Execution) -> Entry | None:
    """Return what people can do about an execution that failed, or that waits for a budget; None: nothing."""
    if execution.status is ExecutionStatus.FAILED:
        return Entry(kind=InboxKind.FAILURE, since=execution.finished_at or execution.updated_at)
    if execution.status is ExecutionStatus.WAITING and WaitingOn.BUDGET in execution.waiting_on:
        return Entry(kind=InboxKind.BUDGET, since=execution.updated_at)
    return None


def writes(pairs: Sequence[tuple[Execution, Execution]], moved: Sequence[MovedStep]) -> Iterator[bulk.Write]:
    """Yield the writes that keep the inbox as the changed executions are; nothing if they change no entry."""
    waiting = StepStatus.WAITING
    touched = [each for each in moved if each[2].status is waiting or each[3].status is waiting]
    turned = [each for each in pairs if each[0].status is not each[1].status]
    if not touched and not turned:
        return  # most changes
    stored: dict[Key, tuple[Execution, Entry]] = {}
    removed: set[Key] = set()
    for new, step_id, was, now in _changes(turned, touched):
        if was is not None and (now is None or now.kind is not was.kind):
            removed.add((new.id, was.kind, step_id))
        if now is not None and now != was:
            stored[new.id, now.kind, step_id] = (new, now)
    yield from _writes(removed, stored)


def _writes(removed: Collection[Key], stored: Mapping[Key, tuple[Execution, Entry]]) -> Iterator[bulk.Write]:
    if removed:
        gone = [{"execution_id": key[0], "kind": key[1].value, "step_id": key[2]} for key in sorted(removed)]
        yield bulk.Write(_REMOVE, bulk.to_json_text(gone))
    if stored:
        rows = [_row(stored[key][0], key[2], stored[key][1]) for key in sorted(stored)]
        yield bulk.Write(_STORE, bulk.rows_as_json(rows, inner=("assignees", "excluded", "barred")))


def _changes(
    pairs: Sequence[tuple[Execution, Execution]], moved: Sequence[MovedStep]
) -> Iterator[tuple[Execution, str, Entry | None, Entry | None]]:
    """Yield the executions and steps that can have changed their entry: with the entry before, and now."""
    for old, new, before, step in moved:
        yield new, step.step_id, entry_of_step(old, before), entry_of_step(new, step)
    for old, new in pairs:
        yield new, "", entry_of_execution(old), entry_of_execution(new)


def _row(execution: Execution, step_id: str, entry: Entry) -> bulk.Row:
    return {
        "id": uuid7(),
        "execution_id": execution.id,
        "step_id": step_id,
        "kind": entry.kind.value,
        "root_id": execution.scope.id,
        "workflow_id": execution.workflow_id,
        "dry_run": execution.script is not None,
        "since": entry.since,
        "due_at": entry.due_at,
        "assignees": list(entry.assignees),
        "only_assignees": entry.only_assignees,
        "excluded": list(entry.excluded),
        "required_votes": entry.required_votes,
        "barred": list(entry.barred),
    }


def roots_of(events: Iterable[ProgressEvent], executions: Mapping[UUID, Execution]) -> set[UUID]:
    """Return the root scopes in whose inbox the changes that events tell of may have changed an entry."""
    changed = {event.execution_id for event in events if event.event_type in CHANGES}
    return {executions[each].scope.id for each in changed if each is not None}


def dismiss(entry_id: UUID) -> bool:
    """Remove the entry of a failure; return whether there was one."""
    return bulk.execute(_DISMISS, [entry_id, InboxKind.FAILURE.value]).rowcount == 1


def prune_failures(*, before: datetime, limit: int) -> int:
    """Remove the entries of executions that failed before a time, oldest first; return their number."""
    return bulk.execute(_PRUNE, [InboxKind.FAILURE.value, before, limit]).rowcount


def wrong(*, after: UUID, limit: int) -> list[UUID]:
    """Return the executions after this one, by id, whose entries are not as they should be.

    A process of an earlier release that ends or begins a wait leaves such entries.
    """
    return [execution_id for (execution_id,) in bulk.execute(_WRONG, [after, limit]).fetchall()]


def correct(locked: Mapping[UUID, Execution]) -> int:
    """Store the entries of locked executions as they should be; return how many were wrong."""
    wanted = {key: found for each in locked.values() for key, found in _entries_of(each)}
    rows = bulk.execute(_STORED, [list(locked)]).fetchall()
    known = {(execution_id, InboxKind(kind), step_id): votes for execution_id, kind, step_id, votes in rows}
    missing = {
        key: found
        for key, found in wanted.items()
        if key[1] is not InboxKind.FAILURE and (key not in known or known[key] != found[1].required_votes)
    }
    removed = known.keys() - wanted.keys()
    bulk.write(_writes(removed, missing))
    return len(removed) + len(missing)


def _entries_of(execution: Execution) -> Iterator[tuple[Key, tuple[Execution, Entry]]]:
    found = {step_id: entry_of_step(execution, step) for step_id, step in execution.steps.items()}
    for step_id, entry in {**found, "": entry_of_execution(execution)}.items():
        if entry is not None:
            yield (execution.id, entry.kind, step_id), (execution, entry)
