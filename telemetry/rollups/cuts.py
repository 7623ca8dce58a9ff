"""Cuts: the ways to divide calls into groups. A call may be in several groups of a cut, or in no group."""

from __future__ import annotations

from enum import StrEnum

from telemetry.rollups.blocks import Level


class Cut(StrEnum):
    """A way to divide calls; a group has a key of two texts."""

    TOTAL = "total"
    MODEL = "model"  # provider, model
    WORKFLOW = "workflow"  # workflow id
    STEP = "step"  # workflow id, step id
    SCOPE = "scope"  # scope id
    USER = "user"  # user id; empty: the system
    TAG = "tag"
    REMEDIATED = "remediated"  # workflow id, step id: only calls that correct an invalid output


#: Cuts with blocks of all levels. Those by hour lack quarters. The others have days and months, and the hours since the
#: last sealed day.
FINE = (Cut.TOTAL, Cut.MODEL)
BY_HOUR = (*FINE, Cut.WORKFLOW)  # every summary has the workflows, in any time zone
COARSE = tuple(cut for cut in Cut if cut not in BY_HOUR)

_KEYS = {
    Cut.TOTAL: ("''", "''"),
    Cut.MODEL: ("{call}.provider", "{call}.model"),
    Cut.WORKFLOW: ("{call}.workflow_id", "''"),
    Cut.STEP: ("{call}.workflow_id", "{call}.step_id"),
    Cut.SCOPE: ("{call}.scope_id::text", "''"),
    Cut.USER: ("coalesce({call}.user_id::text, '')", "''"),
    Cut.TAG: ("tag.value", "''"),
    Cut.REMEDIATED: ("{call}.workflow_id", "{call}.step_id"),
}
_SOURCES = {
    Cut.TAG: " FROM jsonb_array_elements_text({call}.tags) AS tag",
    Cut.REMEDIATED: " WHERE {call}.kind = 'remediate'",
}

#: Columns of tokens, in the ledger and in sums.
TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
)
SUMS = (
    "calls",
    *TOKENS,
    "known_cost_usd",
    "unpriced_calls",
    "pending_calls",
    "latency_ms",
    "timed_calls",  # with a latency
)
#: Columns of the ledger that sums and keys need.
COLUMNS = (
    *("execution_id", "step_id", "kind", "workflow_id", "scope_id", "user_id", "dry_run", "tags", "provider", "model"),
    *("status", "started_at", "cost_usd", "estimated_cost_usd", "latency_ms"),
    *TOKENS,
)


def keys_of(cut: Cut, call: str) -> str:
    """Return the query for the keys of a call (its alias) in a cut: (key, subkey)."""
    key, subkey = _KEYS[cut]
    query = f"SELECT {key} AS key, {subkey} AS subkey{_SOURCES.get(cut, '')}"
    return query.format(call=call)


def all_keys_of(cuts: tuple[Cut, ...], call: str) -> str:
    """Return the query for the keys of a call in several cuts: (cut, key, subkey)."""
    return " UNION ALL ".join(f"SELECT '{cut}', one.* FROM ({keys_of(cut, call)}) AS one" for cut in cuts)  # noqa: S608


def is_unpriced(call: str) -> str:
    """Return the condition for a call with an unknown cost."""
    return f"{call}.cost_usd IS NULL AND {call}.status <> 'failed' AND {call}.estimated_cost_usd IS DISTINCT FROM 0"


def sums_of(call: str) -> dict[str, str]:
    """Return the expressions of `SUMS` over calls (their alias)."""
    return {
        "calls": "count(*)",
        **{name: f"coalesce(sum({call}.{name}), 0)::bigint" for name in TOKENS},
        "known_cost_usd": f"coalesce(sum({call}.cost_usd), 0)",
        "unpriced_calls": f"count(*) FILTER (WHERE {is_unpriced(call)})",
        "pending_calls": f"count(*) FILTER (WHERE {call}.status = 'pending')",
        "latency_ms": f"coalesce(sum({call}.latency_ms), 0)::bigint",
        "timed_calls": f"count({call}.latency_ms)",
    }


def sums_again(row: str) -> str:
    """Return the expressions of `SUMS` over rows that have these sums."""
    return ", ".join(f"coalesce(sum({row}.{name}), 0){'' if name == 'known_cost_usd' else '::bigint'}" for name in SUMS)


def levels_of(cut: Cut, *, scoped: bool) -> tuple[Level, ...]:
    """Return the levels that a cut has. Rows of single scopes have no quarters: there would be too many."""
    return tuple(Level) if cut in FINE and not scoped else (Level.HOUR, Level.DAY, Level.MONTH)
