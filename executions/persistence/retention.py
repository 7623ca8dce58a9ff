"""Retention: pruning of old event logs, how long scopes keep executions, and which executions are due."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from access.selectors import SCOPE_NAMES
from common.database import bulk
from common.errors import PreconditionFailed
from executions.engine.domain.states import ENDED
from workflows.selectors import KeptVersion, versions_with_retention

#: Deletes all events of a log but the last one, `complete`. The waiting time, which only the events tell, is added to
#: the execution before. SKIP LOCKED: pruning neither waits for a concurrent retry nor delays it.
_PRUNE = """
WITH old AS (
  SELECT id, last_sequence, finished_at
  FROM executions_execution
  WHERE finished_at < %s AND NOT pruned AND status = ANY(%s)
  ORDER BY finished_at, id
  LIMIT %s
  FOR NO KEY UPDATE SKIP LOCKED
), deleted AS (
  DELETE FROM executions_executionevent AS event USING old
  WHERE event.execution_id = old.id AND event.sequence < old.last_sequence
  RETURNING event.execution_id, CASE event.event_type
    WHEN 'execution_waiting' THEN old.finished_at - event.timestamp
    WHEN 'execution_resumed' THEN event.timestamp - old.finished_at
  END AS waited
)
UPDATE executions_execution AS execution
SET oldest_sequence = old.last_sequence,
    pruned = true,
    waited = execution.waited + coalesce(
      (SELECT sum(deleted.waited) FROM deleted WHERE deleted.execution_id = execution.id), interval '0'
    )
FROM old
WHERE execution.id = old.id
"""

_PRUNE_FEEDS = """
DELETE FROM executions_executionevent WHERE id IN (
  SELECT id FROM executions_executionevent WHERE execution_id IS NULL AND timestamp < %s
  ORDER BY timestamp LIMIT %s FOR UPDATE SKIP LOCKED
)"""


def prune(*, before: datetime, limit: int) -> int:
    """Prune the logs of executions that ended before a time, oldest first, at most `limit`; return their number.

    As many events that are in feeds alone are deleted.
    """
    feeds = bulk.execute(_PRUNE_FEEDS, [before, limit]).rowcount
    return max(feeds, bulk.execute(_PRUNE, [before, sorted(ENDED), limit]).rowcount)


# --- how long executions are kept -------------------------------------------------------------------------------------

_READ = "SELECT days, version FROM executions_scoperetention WHERE scope_id = %s FOR UPDATE"
_STORE = """
INSERT INTO executions_scoperetention AS kept (scope_id, days, version) VALUES (%s, %s, 1)
ON CONFLICT (scope_id) DO UPDATE SET days = excluded.days, version = kept.version + 1
WHERE kept.days IS DISTINCT FROM excluded.days
"""
#: The row stays, so that its version is never the one of another setting.
_REMOVE = """
UPDATE executions_scoperetention SET days = NULL, version = version + 1 WHERE scope_id = %s AND days IS NOT NULL
"""
_ALL = f"""
SELECT kept.scope_id, scope.type, scope.key, kept.days
FROM executions_scoperetention AS kept JOIN ({SCOPE_NAMES}) AS scope ON scope.id = kept.scope_id
WHERE kept.days IS NOT NULL ORDER BY scope.type, scope.key
"""  # noqa: S608 - no input in it
#: It reads the setting again, because it can be changed while old executions are erased one by one.
_DUE_IN_SCOPE = """
FROM executions_scoperetention AS kept JOIN executions_execution AS execution ON execution.scope_id = kept.scope_id
WHERE kept.scope_id = %s AND execution.finished_at < %s - make_interval(days => kept.days)
  AND execution.erased_at IS NULL
"""
#: The retention of a scope replaces that of the workflow, also if it is longer.
_DUE_OF_VERSION = """
FROM executions_execution AS execution
WHERE execution.workflow_version_id = %s AND execution.finished_at < %s - make_interval(days => %s)
  AND execution.erased_at IS NULL
  AND NOT EXISTS (
    SELECT FROM executions_scoperetention AS kept WHERE kept.scope_id = execution.scope_id AND kept.days IS NOT NULL
  )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a root scope keeps executions."""

    days: int | None  # None: as their workflows say, or for ever
    version: int | None  # None: it was never set


def scope_retention(scope_id: UUID) -> Retention:
    """Return the retention of a root scope; lock it until the transaction ends."""
    found = bulk.execute(_READ, [scope_id]).fetchone()
    return Retention(days=None, version=None) if found is None else Retention(days=found[0], version=found[1])


def set_scope_retention(scope_id: UUID, days: int | None, *, expected_versions: Collection[int] | None) -> Retention:
    """Store the retention of a root scope; None removes it. The same number again changes nothing.

    Raises:
        PreconditionFailed: its version is not in `expected_versions`.
    """
    before = scope_retention(scope_id)
    if expected_versions is not None and before.version not in expected_versions:
        raise PreconditionFailed
    bulk.execute(*((_REMOVE, [scope_id]) if days is None else (_STORE, [scope_id, days])))
    return scope_retention(scope_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long some executions are kept, and which these are."""

    name: str  # for people
    days: int
    rows: str  # the statement's part from FROM on; parameters: the key, the present moment, and what is fixed
    key: object
    fixed: tuple[int, ...] = ()  # the days, if they cannot change

    ORDER: ClassVar[str] = (
        "ORDER BY execution.finished_at, execution.id LIMIT %s FOR NO KEY UPDATE OF execution SKIP LOCKED"
    )

    def before(self, now: datetime) -> datetime:
        """Return the time before which an execution has to have ended."""
        return now - timedelta(days=self.days)

    def lock_due(self, *, now: datetime, limit: int) -> list[UUID]:
        """Lock executions that are due, oldest first, until the transaction ends; return their ids.

        It leaves out those that another transaction has locked. The setting of a scope counts as it is now.
        """
        statement = f"SELECT execution.id {self.rows} {self.ORDER}"
        return [key for (key,) in bulk.execute(statement, [self.key, now, *self.fixed, limit])]

    def count(self, *, now: datetime) -> int:
        """Return how many executions are due."""
        statement = f"SELECT count(*) {self.rows}"
        [(number,)] = bulk.execute(statement, [self.key, now, *self.fixed])
        return int(number)


def policies() -> list[Policy]:
    """Return all policies: those of root scopes, and those of versions of workflows."""
    scopes = [
        Policy(name=f"scope {kind}/{key}", days=days, rows=_DUE_IN_SCOPE, key=scope_id)
        for scope_id, kind, key, days in bulk.execute(_ALL, [])
    ]
    return scopes + [_of_version(each) for each in versions_with_retention()]


def _of_version(version: KeptVersion) -> Policy:
    name = f"workflow {version.workflow_id}, version {version.version}"
    return Policy(name=name, days=version.days, rows=_DUE_OF_VERSION, key=version.row_id, fixed=(version.days,))
