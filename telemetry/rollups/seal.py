"""Writes the rollups: seals blocks that no transaction can change unnoticed, and renews changed ones.

A trigger notes the quarter of each call that is changed more than ten minutes after its start. So a block cannot be
changed unnoticed when all transactions have ended that have written within ten minutes of its end. A run of `seal`
stores its time and its transaction id. When all transactions with lower ids have ended, all writes before that time
are visible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import psycopg.errors
from django.db import OperationalError, transaction

from common.database import bulk
from telemetry.rollups.blocks import Level, Span, ceil, end_of, floor, starts
from telemetry.rollups.cuts import BY_HOUR, COARSE, COLUMNS, FINE, SUMS, Cut, all_keys_of, sums_again, sums_of

#: Age of a block's end when it is sealed: the trigger's ten minutes, and the rest for clocks that are set back.
SEAL_AFTER = timedelta(hours=1)
SPAN = timedelta(days=1)  # that one transaction seals
BUSY_CALLS = 1_000  # of a scope in a month: from then on it keeps days and hours

_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
#: It takes no snapshot, so the transaction's snapshot is newer than the previous holder's writes.
_LOCK = "LOCK TABLE telemetry_rollupstate IN SHARE ROW EXCLUSIVE MODE NOWAIT"
_CREATE_STATE = "INSERT INTO telemetry_rollupstate (id) VALUES (1) ON CONFLICT DO NOTHING"
#: This transaction got its id after now(). An id of another server may be higher than all of this one.
_LOOK_AROUND = """
UPDATE telemetry_rollupstate AS state SET
  settled_until = CASE WHEN horizon_xid <= ids.lowest THEN greatest(settled_until, horizon_at) ELSE settled_until END,
  horizon_at = CASE WHEN horizon_xid > ids.lowest AND horizon_xid < ids.own THEN horizon_at ELSE now() END,
  horizon_xid = CASE WHEN horizon_xid > ids.lowest AND horizon_xid < ids.own THEN horizon_xid ELSE ids.own END
FROM (
  SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS lowest, pg_current_xact_id()::text::bigint AS own
) AS ids
RETURNING state.sealed_until, state.settled_until
"""
_FIRST_CALL = (
    "SELECT min(started_at) FROM telemetry_modelcall WHERE started_at >= coalesce(%s::timestamptz, '-infinity')"
)
_FIRST_CHANGED = "SELECT min(start) FROM telemetry_changedquarter WHERE start < %s"
_CHANGED = "SELECT DISTINCT start FROM telemetry_changedquarter WHERE start < %s ORDER BY start"
_FORGET_CHANGED = "DELETE FROM telemetry_changedquarter WHERE start = ANY(%s)"
_ADVANCE = "UPDATE telemetry_rollupstate SET sealed_until = %s"
_DELETE = "DELETE FROM telemetry_rollup WHERE level = %s AND start = ANY(%s) AND cut = ANY(%s)"
#: Parameters: starts of months, and the number of calls from which on a scope is busy.
_NOTE_BUSY = f"""
INSERT INTO telemetry_busyscope (scope_id, since)
SELECT scope_id, start FROM telemetry_rollup
WHERE level = {Level.MONTH} AND cut = '{Cut.TOTAL}' AND scope_id IS NOT NULL AND start = ANY(%s)
GROUP BY scope_id, start HAVING sum(calls) >= %s ORDER BY start
ON CONFLICT DO NOTHING"""  # noqa: S608 - no input in it
#: Hours of past days: only the cuts by hour stay, for all scopes together and for each busy scope.
_THIN_HOURS = f"""
DELETE FROM telemetry_rollup AS block WHERE level = {Level.HOUR} AND start >= %s AND start < %s
AND (cut <> ALL(%s) OR scope_id IS NOT NULL AND NOT EXISTS (
  SELECT FROM telemetry_busyscope AS busy
  WHERE busy.scope_id = block.scope_id AND busy.since + interval '1 month' <= block.start
))"""  # noqa: S608 - no input in it
#: Days of past months: those of scopes that are not busy go.
_THIN_DAYS = f"""
DELETE FROM telemetry_rollup AS block
WHERE level = {Level.DAY} AND start >= %s AND start < %s AND scope_id IS NOT NULL AND NOT EXISTS (
  SELECT FROM telemetry_busyscope AS busy WHERE busy.scope_id = block.scope_id AND busy.since <= block.start
)"""  # noqa: S608 - no input in it

_INTO = f"""
INSERT INTO telemetry_rollup (
  level, start, cut, key, subkey, dry_run, previous, scope_id, executions, {", ".join(SUMS)}
)"""
#: Rows of blocks from the ledger. `previous`: the quarter in which the execution was active in this group before.
_FROM_LEDGER = """
WITH call AS MATERIALIZED (
  SELECT block.start AS block, {columns} FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS block (start, until)
  CROSS JOIN LATERAL (
    SELECT {columns} FROM telemetry_modelcall WHERE started_at >= block.start AND started_at < block.until
  ) AS one
), active AS (
  SELECT DISTINCT block, execution_id FROM call
), before AS (
  SELECT active.block, active.execution_id, keys.cut, keys.key, keys.subkey,
    max(date_bin('15 minutes', one.started_at, '2000-01-01 00:00+00')) AS previous
  FROM active CROSS JOIN LATERAL (
    SELECT {columns} FROM telemetry_modelcall
    WHERE execution_id = active.execution_id AND started_at < active.block
    OFFSET 0
  ) AS one CROSS JOIN LATERAL ({keys_before}) AS keys (cut, key, subkey)
  GROUP BY 1, 2, 3, 4, 5
), keyed AS (
  SELECT call.*, keys.*, before.previous
  FROM call CROSS JOIN LATERAL ({keys}) AS keys (cut, key, subkey)
  LEFT JOIN before USING (block, execution_id, cut, key, subkey)
)
SELECT {level}, keyed.block, keyed.cut, keyed.key, keyed.subkey, keyed.dry_run, keyed.previous,
  {scope}, count(DISTINCT keyed.execution_id), {sums}
FROM keyed
GROUP BY {groups}"""
_GROUP = "keyed.block, keyed.cut, keyed.key, keyed.subkey, keyed.dry_run, keyed.previous"
_BOTH_GROUPS = f"""GROUPING SETS (({_GROUP}), ({_GROUP}, keyed.scope_id))
HAVING GROUPING(keyed.scope_id) = 1 OR keyed.cut <> '{Cut.SCOPE}'"""
_FROM_DAYS = f"""{_INTO}
SELECT {Level.MONTH}, month.start, day.cut, day.key, day.subkey, day.dry_run,
  CASE WHEN day.previous < month.start THEN day.previous END, day.scope_id,
  coalesce(sum(day.executions) FILTER (WHERE day.previous IS NULL OR day.previous < month.start), 0)::bigint,
  {sums_again("day")}
FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS month (start, until)
JOIN telemetry_rollup AS day ON day.level = {Level.DAY} AND day.start >= month.start AND day.start < month.until
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""  # noqa: S608 - no input in it


def seal(*, span: timedelta = SPAN) -> bool:
    """Renew changed blocks, or seal the next blocks; return whether there is more to do now.

    A lost connection leaves everything as it was. Of several callers at once, only one does something.

    Args:
        span: Length of time that is sealed in this transaction.

    Raises:
        django.db.Error: a statement failed.
    """
    try:
        with transaction.atomic(durable=True):
            bulk.execute(_BEGIN, [])
            bulk.execute(_LOCK, [])
            return _seal(span)
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            return False  # another worker does it
        raise


def _seal(span: timedelta) -> bool:
    bulk.execute(_CREATE_STATE, [])
    [(sealed_until, settled_until)] = bulk.execute(_LOOK_AROUND, []).fetchall()
    if sealed_until is not None and _renew(sealed_until):
        return True
    [(first_call,)] = bulk.execute(_FIRST_CALL, [sealed_until]).fetchall()
    if settled_until is None or (first_call is None and sealed_until is None):
        return False
    limit = floor(settled_until - SEAL_AFTER, Level.QUARTER)
    next_call = limit if first_call is None else floor(first_call, Level.QUARTER)
    since = sealed_until or min(next_call, limit)
    target = min(max(since + span, next_call), limit)
    if target > since or sealed_until is None:
        _advance(since, target, filled_until=min(since + span, target))
    return target < limit


def _advance(since: datetime, until: datetime, *, filled_until: datetime) -> None:
    """Seal the blocks that end in (since, until]. There is no call from `filled_until` on."""
    blocks = {
        level: list(starts(level, floor(since, level), min(floor(until, level), ceil(filled_until, level))))
        for level in Level
    }
    _write_all(blocks, today=floor(until, Level.DAY))
    bulk.execute(_NOTE_BUSY, [blocks[Level.MONTH], BUSY_CALLS])  # only now: earlier months have not kept their days
    _thin_out(Span(since, until), sealed_until=until)
    bulk.execute(_FORGET_CHANGED, [list(starts(Level.QUARTER, since, filled_until))])
    bulk.execute(_ADVANCE, [until])


def _renew(sealed_until: datetime) -> bool:
    """Compute blocks with changed quarters of one month again; return whether there were any.

    The days of an ended month are all computed, because most scopes have kept none.
    """
    [(first,)] = bulk.execute(_FIRST_CHANGED, [sealed_until]).fetchall()
    if first is None:
        return False
    month = floor(first, Level.MONTH)
    until = min(end_of(month, Level.MONTH), sealed_until)
    changed = [start for (start,) in bulk.execute(_CHANGED, [until])]
    blocks = {level: sorted({floor(each, level) for each in changed}) for level in Level}
    if until == end_of(month, Level.MONTH):
        blocks[Level.DAY] = list(starts(Level.DAY, month, until))
    blocks = {level: [each for each in found if end_of(each, level) <= sealed_until] for level, found in blocks.items()}
    _write_all(blocks, today=floor(sealed_until, Level.DAY))
    _thin_out(Span(month, until), sealed_until=sealed_until)
    bulk.execute(_FORGET_CHANGED, [changed])
    return True


def _write_all(blocks: Mapping[Level, Sequence[datetime]], *, today: datetime) -> None:
    """Replace the rows of blocks: months from the rows of their days."""
    _write(Level.QUARTER, blocks[Level.QUARTER], FINE)
    _write(Level.HOUR, blocks[Level.HOUR], BY_HOUR)
    _write(Level.HOUR, [each for each in blocks[Level.HOUR] if each >= today], COARSE)
    for day in blocks[Level.DAY]:  # one by one: each statement has to end in time
        _write(Level.DAY, [day], tuple(Cut))
    _write(Level.MONTH, blocks[Level.MONTH], tuple(Cut))


def _thin_out(span: Span, *, sealed_until: datetime) -> None:
    """Delete rows of past days and months that only the blocks above them needed."""
    today, month = floor(sealed_until, Level.DAY), floor(sealed_until, Level.MONTH)
    bulk.execute(_THIN_HOURS, [floor(span.start, Level.DAY), min(span.until, today), [str(cut) for cut in BY_HOUR]])
    bulk.execute(_THIN_DAYS, [floor(span.start, Level.MONTH), min(span.until, month)])


def _write(level: Level, blocks: Collection[datetime], cuts: Iterable[Cut]) -> None:
    """Replace the rows of blocks."""
    if not blocks:
        return
    given = [list(blocks), [end_of(each, level) for each in blocks]]
    bulk.execute(_DELETE, [int(level), given[0], [str(cut) for cut in cuts]])
    bulk.execute(_FROM_DAYS if level is Level.MONTH else _INSERTS[level, tuple(cuts)], given)


def _insertion(level: Level, cuts: tuple[Cut, ...]) -> str:
    has_scopes = level is not Level.QUARTER
    statement = _FROM_LEDGER.format(
        columns=", ".join(COLUMNS),
        keys=all_keys_of(cuts, "call"),
        keys_before=all_keys_of(cuts, "one"),
        level=int(level),
        scope="keyed.scope_id" if has_scopes else "NULL::uuid",
        groups=_BOTH_GROUPS if has_scopes else _GROUP,
        sums=", ".join(sums_of("keyed").values()),
    )
    return f"{_INTO}{statement}"


_INSERTS = {
    (level, cuts): _insertion(level, cuts)
    for level, cuts in [
        (Level.QUARTER, FINE),
        (Level.HOUR, BY_HOUR),
        (Level.HOUR, COARSE),
        (Level.DAY, tuple(Cut)),
    ]
}
