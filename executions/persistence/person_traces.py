"""Traces of a person in the rows of executions: what the person started, and where stored values have the name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from common.database import bulk
from executions.engine.domain.states import ENDED, StepStatus

Pin = tuple[UUID, int]  # a document, and the number of a version

BATCH_SIZE = 5_000  # events that one statement looks at

_STARTED = """
SELECT id, scope_id, status, erased_at IS NOT NULL AND erasing = '' FROM executions_execution WHERE requested_by_id = %s
"""
_NAMES = "SELECT DISTINCT requested_by_name FROM executions_execution WHERE requested_by_id = %s"
#: `jsonb` as text has a name as the client wrote it, between double quotes.
_NAMED = """
SELECT step.id, step.execution_id, execution.scope_id, execution.status, step.rounds, step.decisions, step.wait
FROM executions_executionstep AS step JOIN executions_execution AS execution ON execution.id = step.execution_id
WHERE step.id > %s AND (
  strpos(step.rounds::text, %s) > 0 OR strpos(step.decisions::text, %s) > 0 OR strpos(step.wait::text, %s) > 0
)
ORDER BY step.id LIMIT 1000
"""
#: The hash of a brief as it is stored, by which copies of an erased one are found; NULL: there is no brief.
BRIEF_HASH = "encode(sha256(convert_to(input::text, 'UTF8')), 'hex')"
#: *Make again* starts with the brief of another execution in the same root scope. The first one is of who wrote it.
_COPIES = f"""
WITH own AS (
  SELECT DISTINCT scope_id FROM executions_execution WHERE requested_by_id = %s
), briefs AS MATERIALIZED (
  SELECT id, scope_id, status, requested_by_id, created_at, erased_at IS NOT NULL AND erasing = '' AS is_erased,
    coalesce({BRIEF_HASH}, brief_hash) AS hash
  FROM executions_execution WHERE scope_id IN (SELECT scope_id FROM own) AND (input IS NOT NULL OR brief_hash <> '')
), first AS (
  SELECT DISTINCT ON (scope_id, hash) scope_id, hash, requested_by_id FROM briefs
  ORDER BY scope_id, hash, created_at, id
)
SELECT briefs.id, briefs.scope_id, briefs.status, briefs.is_erased FROM briefs JOIN first USING (scope_id, hash)
WHERE first.requested_by_id = %s AND briefs.requested_by_id IS DISTINCT FROM %s
"""  # noqa: S608 - no input in it
#: By the same indexes as `erasure._FILES_NAMED`.
_USING_FILES = """
WITH used AS (
  SELECT id FROM executions_execution
  WHERE strpos(input::text, '"files"') > 0 AND access_ids_in(input::text) && %s::text[]
  UNION
  SELECT execution_id FROM executions_executionstep
  WHERE rounds @> '[{"questions": [{"answer_type": "file"}]}]' AND access_ids_in(rounds::text) && %s::text[]
)
SELECT execution.id, execution.scope_id, execution.status
FROM executions_execution AS execution JOIN used ON used.id = execution.id
WHERE execution.scope_id = ANY(%s)
"""
_LINKS = """
SELECT step.execution_id, step.step_id, execution.status, step.status, step.input_versions, step.document_id,
  step.document_version, step.decisions, step.label <> '', step.depends_on
FROM executions_executionstep AS step JOIN executions_execution AS execution ON execution.id = step.execution_id
WHERE execution.scope_id = ANY(%s) AND (
  step.input_versions <> '[]' OR step.document_id IS NOT NULL OR step.label <> ''
)
"""
#: Executions before steps, as in all transactions. A process that has read them before finds other versions.
_LOCK = "SELECT id FROM executions_execution WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_TOUCH = "UPDATE executions_execution SET version = version + 1 WHERE id = ANY(%s)"
_REPLACE_STEPS = """
UPDATE executions_executionstep AS step
SET version = version + 1, rounds = given.rounds::jsonb, decisions = given.decisions::jsonb, wait = given.wait::jsonb
FROM json_to_recordset(%s::json) AS given (id bigint, rounds text, decisions text, wait text)
WHERE step.id = given.id
"""
_EMPTY_STEPS = """
UPDATE executions_executionstep AS step
SET version = version + 1, label = CASE WHEN %s THEN '' ELSE label END, rounds = CASE WHEN %s THEN '[]' ELSE rounds END,
  violations = '[]', failure_message = '', decisions = CASE WHEN NOT %s THEN decisions ELSE coalesce((
    SELECT jsonb_agg(each || '{"comment": "", "comments": []}' ORDER BY number)
    FROM jsonb_array_elements(decisions) WITH ORDINALITY AS made (each, number)
  ), '[]') END
WHERE execution_id = %s AND (%s::text[] IS NULL OR step_id = ANY(%s::text[]))
"""
_EMPTY_LABELS = """
UPDATE executions_executionstep SET version = version + 1, label = ''
WHERE execution_id = %s AND step_id = ANY(%s) AND label <> ''
"""
_EMPTY_FAILURE = "UPDATE executions_execution SET failure_message = '' WHERE id = %s"
_EVENTS = """
SELECT id, execution_id, step_id, event_type, data FROM executions_executionevent
WHERE id > %s ORDER BY id LIMIT %s
"""
_REPLACE_DATA = """
UPDATE executions_executionevent AS event SET data = given.data::json
FROM json_to_recordset(%s::json) AS given (id bigint, data text) WHERE event.id = given.id
"""
_RENAME = """
UPDATE executions_execution SET requested_by_name = %s WHERE requested_by_id = %s AND requested_by_name <> %s
"""
_TAGGED = "SELECT id, tags FROM executions_execution WHERE EXISTS (SELECT FROM unnest(%s::text[]) AS part (text) \
WHERE strpos(lower(tags::text), part.text) > 0)"
_RETAG = """
UPDATE executions_execution AS execution SET tags = given.tags::jsonb, version = version + 1
FROM json_to_recordset(%s::json) AS given (id uuid, tags text) WHERE execution.id = given.id
"""
_INBOX = """
SELECT id, assignees, excluded, barred FROM executions_inboxentry
WHERE strpos(assignees::text, %s) > 0 OR strpos(excluded::text, %s) > 0 OR strpos(barred::text, %s) > 0
"""
_REPLACE_INBOX = """
UPDATE executions_inboxentry AS entry
SET assignees = given.assignees::jsonb, excluded = given.excluded::jsonb, barred = given.barred::jsonb
FROM json_to_recordset(%s::json) AS given (id uuid, assignees text, excluded text, barred text)
WHERE entry.id = given.id
"""


class Found(NamedTuple):
    """An execution that holds something of a person."""

    id: UUID
    root_id: UUID  # its scope
    ended: bool


class NamedStep(NamedTuple):
    """A step whose values hold the name of a person."""

    id: int
    execution: Found
    rounds: list[Any]
    decisions: list[Any]
    wait: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLink:
    """What a step has read, made and was asked to change."""

    key: tuple[UUID, str]  # execution and step
    ended: bool
    waits: bool
    reads: frozenset[Pin]
    made: Pin | None  # the version that it has now; another execution or a person may have made it
    revised: frozenset[Pin]
    labelled_after: frozenset[str]  # the steps that may have made the list with its item; of steps with a label


class StoredEvent(NamedTuple):
    """An event of a log or of a feed."""

    id: int
    execution_id: UUID | None
    step_id: str | None
    event_type: str
    data: dict[str, Any]


def started_by(user_id: int) -> list[tuple[Found, bool]]:
    """Return the executions that a user has started, and whether each is erased completely."""
    return _found(bulk.execute(_STARTED, [user_id]))


def copied_from(user_id: int) -> list[tuple[Found, bool]]:
    """Return the executions of others that began later with a brief of a user, word by word, as `started_by` does."""
    return _found(bulk.execute(_COPIES, [user_id] * 3))


def _found(rows: Iterable[tuple[UUID, UUID, str, bool]]) -> list[tuple[Found, bool]]:
    return [(Found(key, root_id, status in ENDED), is_erased) for key, root_id, status, is_erased in rows]


def names_of_starter(user_id: int) -> set[str]:
    """Return the names that a user had when starting executions."""
    return {name for (name,) in bulk.execute(_NAMES, [user_id])}


def steps_naming(name: str) -> Iterator[NamedStep]:
    """Yield the steps with the name of a user in rounds, decisions or their wait."""
    last, text = 0, json.dumps(name, ensure_ascii=False)
    while rows := bulk.execute(_NAMED, [last, text, text, text]).fetchall():
        for key, execution_id, root_id, status, rounds, decisions, wait in rows:
            waits = None if wait is None else json.loads(wait)
            found = Found(execution_id, root_id, status in ENDED)
            yield NamedStep(key, found, json.loads(rounds), json.loads(decisions), waits)
        last = rows[-1][0]


def using_files(file_ids: Collection[UUID], root_ids: Collection[UUID]) -> list[Found]:
    """Return the executions in root scopes that have files in their brief or answers."""
    if not file_ids:
        return []
    wanted = [str(each) for each in file_ids]
    rows = bulk.execute(_USING_FILES, [wanted, wanted, list(root_ids)])
    return [Found(key, root_id, status in ENDED) for key, root_id, status in rows]


def step_links(root_ids: Collection[UUID]) -> Iterator[StepLink]:
    """Yield what the steps of all executions in root scopes have read and made."""
    return (_link(*row) for row in bulk.execute(_LINKS, [list(root_ids)]))


def _link(execution_id: UUID, step_id: str, execution_status: str, *row: Any) -> StepLink:
    status, inputs, document_id, version, decisions, has_label, depends_on = row
    changed = (each for each in json.loads(decisions) if each["decision"] == "request_changes")
    return StepLink(
        key=(execution_id, step_id),
        ended=execution_status in ENDED,
        waits=status == StepStatus.WAITING,
        reads=frozenset((UUID(pin["document_id"]), pin["version"]) for pin in json.loads(inputs)),
        made=None if document_id is None or version is None else (document_id, version),
        revised=frozenset((document_id, each["document_version"]) for each in changed if document_id),
        labelled_after=frozenset(json.loads(depends_on)) if has_label else frozenset(),
    )


def replace_steps(steps: Sequence[NamedStep]) -> None:
    """Store other rounds, decisions and waits of steps. Call it in a transaction."""
    executions = sorted({each.execution.id for each in steps})
    rows = [
        {
            "id": each.id,
            "rounds": json.dumps(each.rounds),
            "decisions": json.dumps(each.decisions),
            "wait": None if each.wait is None else json.dumps(each.wait),
        }
        for each in steps
    ]
    bulk.execute(_LOCK, [executions])
    bulk.execute(_REPLACE_STEPS, [json.dumps(rows)])
    bulk.execute(_TOUCH, [executions])


def empty_steps(execution_id: UUID, step_ids: Collection[str] | None, *, with_questions: bool) -> None:
    """Erase the violations and errors of steps, and on request questions, labels and comments; None: of all steps."""
    wanted = None if step_ids is None else list(step_ids)
    bulk.execute(_LOCK, [[execution_id]])
    bulk.execute(_EMPTY_STEPS, [*[with_questions] * 3, execution_id, wanted, wanted])
    bulk.execute(_EMPTY_FAILURE, [execution_id])
    bulk.execute(_TOUCH, [[execution_id]])


def empty_labels(execution_id: UUID, step_ids: Collection[str]) -> None:
    """Erase the labels of steps. Call it in a transaction."""
    bulk.execute(_LOCK, [[execution_id]])
    if bulk.execute(_EMPTY_LABELS, [execution_id, list(step_ids)]).rowcount:
        bulk.execute(_TOUCH, [[execution_id]])


def all_events() -> Iterator[list[StoredEvent]]:
    """Yield all events in batches, oldest first."""
    last = 0
    while rows := bulk.execute(_EVENTS, [last, BATCH_SIZE]).fetchall():
        yield [StoredEvent(*row) for row in rows]
        last = rows[-1][0]


def replace_data(changed: Mapping[int, Mapping[str, Any]]) -> None:
    """Store other data of events."""
    rows = [{"id": key, "data": json.dumps(data)} for key, data in changed.items()]
    if rows:
        bulk.execute(_REPLACE_DATA, [json.dumps(rows)])


def rename_starter(user_id: int, alias: str) -> None:
    """Store another name of a user in the executions that the user has started."""
    bulk.execute(_RENAME, [alias, user_id, alias])


def tagged(texts: Iterable[str]) -> dict[UUID, list[str]]:
    """Return the tags of executions with a tag that contains one of the texts, in any letter case."""
    rows = bulk.execute(_TAGGED, [[each.lower() for each in texts]])
    return {key: json.loads(tags) for key, tags in rows}


def retag(tags: Mapping[UUID, Sequence[str]]) -> None:
    """Store other tags of executions."""
    if tags:
        rows = [{"id": str(key), "tags": json.dumps(each)} for key, each in tags.items()]
        bulk.execute(_LOCK, [sorted(tags)])
        bulk.execute(_RETAG, [json.dumps(rows)])


def inbox_naming(name: str) -> list[dict[str, Any]]:
    """Return the entries of the inbox that name a user."""
    text = json.dumps(name, ensure_ascii=False)
    columns = ("assignees", "excluded", "barred")
    rows = bulk.execute(_INBOX, [text, text, text]).fetchall()
    return [{"id": str(key), **dict(zip(columns, map(json.loads, values), strict=True))} for key, *values in rows]


def replace_inbox(entries: Sequence[Mapping[str, Any]]) -> None:
    """Store other names in entries of the inbox."""
    if entries:
        rows = [
            {name: json.dumps(value) if name != "id" else value for name, value in each.items()} for each in entries
        ]
        bulk.execute(_REPLACE_INBOX, [json.dumps(rows)])
