"""Limits on what comes from outside, in one place: name, default, the setting that changes it, and the answer.

The settings read each from the environment and call `configure`; everything else asks `limits()`.
`docs/limits.md` has the same table, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

MAX_ERRORS = 20  # faults that a problem lists; it counts all


def _limit(setting: str, default: int, meaning: str, *, answer: str, minimum: int = 1) -> Any:
    """Return a field of `Limits`. `setting` is the environment variable; `minimum` is its least value."""
    metadata = {"setting": setting, "default": default, "meaning": meaning, "answer": answer, "minimum": minimum}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Limits:
    """Every limit. Sizes are bytes where a name says so; a depth counts levels of nesting."""

    request_bytes: int = _limit(
        "MAX_REQUEST_BYTES", 2 * 1024 * 1024, "Size of a request body, in bytes", answer="413 `too-large`", minimum=1024
    )
    request_depth: int = _limit(
        "MAX_REQUEST_DEPTH", 64, "Levels of objects and lists in a JSON body", answer="400 `too-deep`"
    )
    request_fields: int = _limit(
        "MAX_REQUEST_FIELDS",
        200_000,
        "Members of objects and items of lists in a JSON body, all together",
        answer="400 `too-many-fields`",
    )
    query_fields: int = _limit("MAX_QUERY_FIELDS", 1_000, "Fields of a query, or of a form", answer="400 `bad-request`")
    tags: int = _limit("MAX_TAGS", 20, "Tags of an execution", answer="422 with a pointer")
    bulk_executions: int = _limit(
        "MAX_BULK_EXECUTIONS",
        200,
        "Executions that one request cancels or retries, each counted as often as it is named",
        answer="422 with a pointer",
    )
    steps: int = _limit(
        "MAX_STEPS",
        10_000,
        "Steps of one execution, items of collections included",
        answer="the collection's document is invalid, and its model is told so",
    )
    definition_bytes: int = _limit(
        "MAX_DEFINITION_BYTES",
        1024 * 1024,
        "Size of a workflow's definition, its files included, in bytes",
        answer="a fault of the definition",
        minimum=1024,
    )
    schema_bytes: int = _limit(
        "MAX_SCHEMA_BYTES",
        256 * 1024,
        "Size of a step's output schema as JSON, in bytes",
        answer="a fault of the definition",
        minimum=1024,
    )
    schema_depth: int = _limit(
        "MAX_SCHEMA_DEPTH",
        64,
        "Levels of an output schema, and schemas that references lead over for one place",
        answer="a fault of the definition",
        minimum=8,
    )
    schema_parts: int = _limit(
        "MAX_SCHEMA_PARTS",
        20_000,
        "Schemas within an output schema, each counted wherever a reference leads to it",
        answer="a fault of the definition",
        minimum=100,
    )
    collection_items: int = _limit(
        "MAX_COLLECTION_ITEMS",
        9_999,
        "Items that the `limit` of a `for_each` may allow",
        answer="a fault of the definition",
    )
    pattern_characters: int = _limit(
        "MAX_PATTERN_CHARACTERS",
        10_000,
        "Characters of a text in a document whose schema has a pattern for it that looks around or refers back",
        answer="the document is invalid, and its model is told so",
    )
    streams_per_user: int = _limit(
        "STREAMS_PER_USER", 500, "Streams of one user, open at once in one web process", answer="429 `too-many-streams`"
    )
    requests_per_caller: int = _limit(
        "REQUESTS_PER_CALLER",
        8,
        "Requests of one token or session that one web process works at, at once; "
        "logins from one address go by `PASSWORD_HASHES_AT_ONCE`",
        answer="up to 100 more wait for up to 30 seconds; then 503 `busy`",
    )
    executions_per_user: int = _limit(
        "EXECUTIONS_PER_USER",
        15,
        "Executions of one user at work at once, over all workers",
        answer="they wait as `pending`",
    )
    read_statement_seconds: int = _limit(
        "READ_STATEMENT_SECONDS",
        10,
        "Time of one database statement of a request that only reads, in seconds; 0: any",
        answer="503 `read-too-slow`",
        minimum=0,
    )
    password_tries: int = _limit(
        "PASSWORD_TRIES",
        10,
        "Wrong passwords of one name from one address, in 5 minutes",
        answer="429 `too-many-tries`",
    )
    password_tries_per_address: int = _limit(
        "PASSWORD_TRIES_PER_ADDRESS",
        100,
        "Wrong passwords from one address (IPv6: one /64), in 5 minutes",
        answer="429 `too-many-tries`",
    )
    password_hashes_at_once: int = _limit(
        "PASSWORD_HASHES_AT_ONCE",
        1,
        "Passwords that one process checks at once; others wait for up to 5 seconds",
        answer="503 `busy`",
    )


_current = Limits()


def limits() -> Limits:
    """Return the limits in force in this process."""
    return _current


def configure(values: Limits) -> None:
    """Put limits into force; the settings do it once, before anything is read or parsed."""
    global _current
    _current = values


def settings_of_limits() -> list[tuple[str, str, int, int]]:
    """Return (field, setting, default, minimum) of each limit, in order."""
    return [(f.name, f.metadata["setting"], f.metadata["default"], f.metadata["minimum"]) for f in fields(Limits)]
