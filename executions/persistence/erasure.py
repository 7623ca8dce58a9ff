"""Erases what people and models wrote in executions that have ended: their rows, steps, events and drafts.

`begin` empties the rows of the execution and its steps, and notes in `erasing` what is left. The rest follows in
transactions of limited size, so that any process can go on. Statuses, times and pins of documents stay.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.database import bulk
from documents import erasure as documents
from executions.engine.domain.states import ENDED, Erasing
from executions.persistence.person_traces import BRIEF_HASH, replace_data
from workflows import repository as workflows

EVENTS = 1_000  # that one transaction deletes

#: The version rises, so that a client that has read the execution before finds another one. A guard by status is
#: enough, because a row that has ended changes by a retry alone, and the caller holds its lock.
_EMPTY = f"""
UPDATE executions_execution
SET brief_hash = coalesce({BRIEF_HASH}, ''), input = NULL, failure_message = '',
  script = CASE WHEN script IS NOT NULL THEN '{{}}'::jsonb END,
  version = version + 1, updated_at = %s, erased_at = %s, erasing = %s
WHERE id = %s AND erased_at IS NULL AND status = ANY(%s)
"""  # noqa: S608 - no input in it
_EMPTY_STEPS = """
UPDATE executions_executionstep
SET version = version + 1, label = '', rounds = '[]', asked_at = NULL, violations = '[]', wait = NULL,
  failure_message = '', decisions = coalesce((
    SELECT jsonb_agg(each || '{"comment": "", "comments": []}' ORDER BY number)
    FROM jsonb_array_elements(decisions) WITH ORDINALITY AS made (each, number)
  ), '[]')
WHERE execution_id = %s
"""
_LEAVE_INBOX = "DELETE FROM executions_inboxentry WHERE execution_id = %s"
_ALSO_DOCUMENTS = """
UPDATE executions_execution SET version = version + 1, erasing = %s WHERE id = %s AND erased_at IS NOT NULL
"""
_LOCK = """
SELECT erasing, scope_id FROM executions_execution WHERE id = %s AND erasing <> '' FOR NO KEY UPDATE
"""
#: As retention does it, but for the next events alone. The last one, `complete`, holds no text.
_DELETE_EVENTS = """
WITH old AS (
  SELECT id, last_sequence, finished_at, least(last_sequence, oldest_sequence + %s) AS until
  FROM executions_execution WHERE id = %s
), deleted AS (
  DELETE FROM executions_executionevent AS event USING old
  WHERE event.execution_id = old.id AND event.sequence < old.until
  RETURNING CASE event.event_type
    WHEN 'execution_waiting' THEN old.finished_at - event.timestamp
    WHEN 'execution_resumed' THEN event.timestamp - old.finished_at
  END AS waited
)
UPDATE executions_execution AS execution
SET oldest_sequence = old.until, pruned = old.until = old.last_sequence,
  waited = execution.waited + coalesce((SELECT sum(waited) FROM deleted), interval '0')
FROM old WHERE execution.id = old.id AND NOT execution.pruned
"""
#: Others that were completed with its versions have told their titles. The present pins of steps do not say so: a retry
#: changes them. What ended before the first version was made cannot have told one.
_TOLD_ELSEWHERE = f"""
WITH made AS MATERIALIZED ({documents.VERSIONS_MADE_BY})
SELECT event.id, event.data
FROM executions_execution AS other
JOIN executions_executionevent AS event ON event.execution_id = other.id
  AND event.event_type IN ('step_reused', 'step_completed')
JOIN made ON made.document_id = event.data ->> 'document_id' AND made.version = event.data ->> 'document_version'
WHERE other.scope_id = %s AND other.reuse = 'current' AND other.id <> %s
  AND coalesce(other.finished_at, 'infinity') >= (SELECT min(created_at) FROM made)
"""  # noqa: S608 - no input in it
_DELETE_DRAFTS = "DELETE FROM executions_stepdraft WHERE execution_id = %s"
_DOCUMENTS = """
SELECT DISTINCT document_id FROM executions_executionstep WHERE execution_id = %s AND document_id IS NOT NULL
"""
#: What a step is called is the author's text, too, if the definition was only tried.
_EMPTY_NAMES = """
UPDATE executions_executionstep SET version = version + 1, name = left(step_id, 80), role = %s WHERE execution_id = %s
"""
_DEFINITION = "SELECT workflow_version_id FROM executions_execution WHERE id = %s"
_IS_USED = "SELECT FROM executions_execution WHERE workflow_version_id = %s AND erased_at IS NULL LIMIT 1"
_DONE = "UPDATE executions_execution SET erasing = '' WHERE id = %s"
_LEFT = "SELECT id FROM executions_execution WHERE erasing <> '' AND id > %s ORDER BY id LIMIT %s"
#: The indexes of 0018_file_indexes, which have these conditions, find them: the number of executions plays no part.
_FILES_NAMED = """
WITH used AS (
  SELECT access_ids_in(other.input::text) AS ids FROM executions_execution AS other
  WHERE strpos(other.input::text, '"files"') > 0 AND access_ids_in(other.input::text) && %s::text[]
    AND other.scope_id = %s AND other.id <> %s
  UNION ALL
  SELECT access_ids_in(step.rounds::text) FROM executions_executionstep AS step
  JOIN executions_execution AS other ON other.id = step.execution_id
  WHERE step.rounds @> '[{"questions": [{"answer_type": "file"}]}]' AND access_ids_in(step.rounds::text) && %s::text[]
    AND other.scope_id = %s AND other.id <> %s
)
SELECT DISTINCT name FROM used, unnest(used.ids) AS name WHERE name = ANY(%s)
"""


def begin(execution_id: UUID, what: Erasing, *, now: datetime) -> bool:
    """Erase what the rows of an execution and its steps hold, and note what is left; return whether anything was done.

    The caller holds the lock of the execution's row, and has deleted the files that only this execution used.
    """
    ended = sorted(each.value for each in ENDED)
    if bulk.execute(_EMPTY, [now, now, what.value, execution_id, ended]).rowcount != 1:
        return False
    bulk.execute(_EMPTY_STEPS, [execution_id])
    bulk.execute(_LEAVE_INBOX, [execution_id])
    return True


def also_documents(execution_id: UUID) -> None:
    """Note that the documents of an erased execution are left to erase. The caller holds the lock of its row."""
    bulk.execute(_ALSO_DOCUMENTS, [Erasing.ALL.value, execution_id])


@dataclass(frozen=True, slots=True)
class Begun:
    """An execution of which a part is left to erase."""

    what: Erasing
    root_id: UUID  # its scope


def lock_begun(execution_id: UUID) -> Begun | None:
    """Lock the row of an execution of which a part is left; None: nothing is left."""
    found = bulk.execute(_LOCK, [execution_id]).fetchone()
    return None if found is None else Begun(Erasing(found[0]), found[1])


def delete_events(execution_id: UUID) -> bool:
    """Delete the next events of a log but for the last; return whether there were any."""
    return bulk.execute(_DELETE_EVENTS, [EVENTS, execution_id]).rowcount > 0


def empty_titles_elsewhere(execution_id: UUID, root_id: UUID) -> None:
    """Empty the titles of an execution's documents in the logs of others, which were completed with them."""
    rows = bulk.execute(_TOLD_ELSEWHERE, [execution_id, root_id, execution_id]).fetchall()
    replace_data({key: {**data, "title": ""} for key, data in rows})


def delete_drafts(execution_id: UUID) -> None:
    """Delete the drafts of an execution. A worker that has not seen its end yet may write another one."""
    bulk.execute(_DELETE_DRAFTS, [execution_id])


def documents_of(execution_id: UUID) -> list[UUID]:
    """Return the documents of an execution's steps."""
    return [key for (key,) in bulk.execute(_DOCUMENTS, [execution_id])]


def erase_candidate(execution_id: UUID) -> None:
    """Erase the definition that an execution has only tried, unless another one that is not erased has, too."""
    [(row_id,)] = bulk.execute(_DEFINITION, [execution_id])
    if workflows.is_candidate(row_id):
        bulk.execute(_EMPTY_NAMES, [workflows.ERASED, execution_id])
        documents.rename_roles(execution_id, workflows.ERASED)
        workflows.erase_candidate(row_id, is_used=lambda: bulk.execute(_IS_USED, [row_id]).fetchone() is not None)


def end(execution_id: UUID) -> None:
    """Note that nothing is left to erase."""
    bulk.execute(_DONE, [execution_id])


def unfinished(*, after: UUID, limit: int) -> list[UUID]:
    """Return executions of which a part is left to erase, by id, after one."""
    return [key for (key,) in bulk.execute(_LEFT, [after, limit])]


def files_used_by_others(execution_id: UUID, root_id: UUID, file_ids: Collection[UUID]) -> set[UUID]:
    """Return those files that another execution, or a document, of a root scope uses."""
    wanted = [str(each) for each in file_ids]
    rows = bulk.execute(_FILES_NAMED, [*[wanted, root_id, execution_id] * 2, wanted])
    named = {UUID(name) for (name,) in rows}
    return named | documents.files_named(file_ids, root_id=root_id, but_by=execution_id)
