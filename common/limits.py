"""All limits on external input: name, default, environment variable, and the response above the limit.

The settings read the environment and call `configure`; all other code calls `limits()`. `docs/limits.md` has the same
table, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

MAX_ERRORS = 20  # errors that a problem lists; it counts all


def _limit(setting: str, default: int, meaning: str, *, answer: str, minimum: int = 1) -> Any:
    """Return a field of `Limits`. `setting` is the environment variable; `minimum` is its smallest valid value."""
    metadata = {"setting": setting, "default": default, "meaning": meaning, "answer": answer, "minimum": minimum}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Limits:
    """All limits. Names that end in `_bytes` count bytes; a depth counts levels of nesting."""

    request_bytes: int = _limit(
        "MAX_REQUEST_BYTES", 2 * 1024 * 1024, "Size of a request body, in bytes", answer="413 `too-large`", minimum=1024
    )
    request_depth: int = _limit(
        "MAX_REQUEST_DEPTH", 64, "Levels of objects and lists in a JSON body", answer="400 `too-deep`"
    )
    request_fields: int = _limit(
        "MAX_REQUEST_FIELDS",
        200_000,
        "Members of objects and items of lists in a JSON body, in total",
        answer="400 `too-many-fields`",
    )
    query_fields: int = _limit("MAX_QUERY_FIELDS", 1_000, "Fields of a query, or of a form", answer="400 `bad-request`")
    tags: int = _limit("MAX_TAGS", 20, "Tags of an execution", answer="422 with a pointer")
    bulk_executions: int = _limit(
        "MAX_BULK_EXECUTIONS",
        200,
        "Executions that one request cancels or retries; repeated ids count each time",
        answer="422 with a pointer",
    )
    audit_rows: int = _limit(
        "MAX_AUDIT_ROWS",
        10_000,
        "Entries of the audit log in one CSV file",
        answer="the header `Link` names the next file",
    )
    bulk_steps: int = _limit(
        "MAX_BULK_STEPS",
        200,
        "Documents that one request accepts; repeated ones count each time",
        answer="422 with a pointer",
    )
    patch_operations: int = _limit(
        "MAX_PATCH_OPERATIONS", 1_000, "Operations of one JSON Patch", answer="422 with a pointer"
    )
    steps: int = _limit(
        "MAX_STEPS",
        10_000,
        "Steps of one execution, items of collections included",
        answer="the collection's document is invalid, and the model gets the error",
    )
    definition_bytes: int = _limit(
        "MAX_DEFINITION_BYTES",
        1024 * 1024,
        "Size of a workflow definition with its files, in bytes",
        answer="an error of the definition",
        minimum=1024,
    )
    definition_values: int = _limit(
        "MAX_DEFINITION_VALUES",
        40_000,
        "Values of a workflow definition with its files: texts, numbers, lists and objects",
        answer="an error of the definition",
        minimum=100,
    )
    definition_files: int = _limit(
        "MAX_DEFINITION_FILES",
        1_000,
        "Files of a workflow that is sent as a zip archive",
        answer="an error of the definition",
    )
    schema_bytes: int = _limit(
        "MAX_SCHEMA_BYTES",
        256 * 1024,
        "Size of a step's output schema as JSON, in bytes",
        answer="an error of the definition",
        minimum=1024,
    )
    schema_depth: int = _limit(
        "MAX_SCHEMA_DEPTH",
        64,
        "Levels of an output schema, and length of a chain of references",
        answer="an error of the definition",
        minimum=8,
    )
    schema_parts: int = _limit(
        "MAX_SCHEMA_PARTS",
        20_000,
        "Subschemas of an output schema, with references expanded",
        answer="an error of the definition",
        minimum=100,
    )
    collection_items: int = _limit(
        "MAX_COLLECTION_ITEMS",
        9_999,
        "Items that the `limit` of a `for_each` may allow",
        answer="an error of the definition",
    )
    pattern_characters: int = _limit(
        "MAX_PATTERN_CHARACTERS",
        10_000,
        "Characters of a text in a document if its schema pattern has lookarounds or backreferences",
        answer="the document is invalid, and the model gets the error",
    )
    streams_per_user: int = _limit(
        "STREAMS_PER_USER", 500, "Open streams of one user in one web process", answer="429 `too-many-streams`"
    )
    requests_per_caller: int = _limit(
        "REQUESTS_PER_CALLER",
        8,
        "Concurrent requests of one token or session in one web process; "
        "for logins from one address see `PASSWORD_HASHES_AT_ONCE`",
        answer="up to 100 more wait for up to 30 seconds; then 503 `busy`",
    )
    executions_per_user: int = _limit(
        "EXECUTIONS_PER_USER",
        15,
        "Running executions of one user, over all workers",
        answer="more stay `pending`",
    )
    read_statement_seconds: int = _limit(
        "READ_STATEMENT_SECONDS",
        10,
        "Time of one database statement of a read-only request, in seconds; 0: no limit",
        answer="503 `read-too-slow`",
        minimum=0,
    )
    password_tries: int = _limit(
        "PASSWORD_TRIES",
        10,
        "Wrong passwords for one name from one address, in 5 minutes",
        answer="429 `too-many-tries`",
    )
    password_tries_per_address: int = _limit(
        "PASSWORD_TRIES_PER_ADDRESS",
        100,
        "Wrong passwords from one address (IPv6: one /64), in 5 minutes",
        answer="429 `too-many-tries`",
    )
    rendering_seconds: int = _limit(
        "RENDERING_SECONDS",
        30,
        "Processor time for one DOCX, PDF or zip file of documents, in seconds",
        answer="an error with the code `rendering-too-large`",
    )
    rendering_memory_bytes: int = _limit(
        "RENDERING_MEMORY_BYTES",
        1024 * 1024 * 1024,
        "Address space of the process that makes such a file, in bytes",
        answer="an error with the code `rendering-too-large`",
        minimum=512 * 1024 * 1024,
    )
    rendering_processes: int = _limit(
        "RENDERING_PROCESSES",
        2,
        "Such files that one web process makes at once; others wait for up to 30 seconds",
        answer="an error with the code `rendering-busy`",
    )
    house_style_bytes: int = _limit(
        "MAX_HOUSE_STYLE_BYTES",
        5 * 1024 * 1024,
        "Size of a house `.docx` of a workflow, in bytes",
        answer="a fault of the workflow",
        minimum=1024,
    )
    export_bytes: int = _limit(
        "MAX_EXPORT_BYTES",
        8 * 1024 * 1024,
        "Contents of the documents of an execution that one file can hold, in bytes",
        answer="409 `rendering-too-large`",
    )
    password_hashes_at_once: int = _limit(
        "PASSWORD_HASHES_AT_ONCE",
        1,
        "Passwords that one process hashes at once; others wait for up to 5 seconds",
        answer="503 `busy`",
    )
    open_invitations: int = _limit(
        "MAX_OPEN_INVITATIONS", 200, "Open invitations into one scope", answer="409 `too-many-invitations`"
    )
    oidc_bytes: int = _limit(
        "OIDC_MAX_BYTES",
        512 * 1024,
        "Size of one answer of the provider of single sign-on, in bytes",
        answer="a sentence on the page of the login",
        minimum=1024,
    )
    oidc_seconds: int = _limit(
        "OIDC_SECONDS",
        10,
        "Time of one answer of the provider of single sign-on, in seconds",
        answer="a sentence on the page of the login",
    )
    file_bytes: int = _limit(
        "MAX_FILE_BYTES",
        20 * 1024 * 1024,
        "Size of an uploaded file, in bytes",
        answer="the file is refused: `too-large`",
        minimum=1024,
    )
    file_pages: int = _limit(
        "MAX_FILE_PAGES", 500, "Pages of a PDF", answer="the file is refused: `too-many-pages`", minimum=1
    )
    file_characters: int = _limit(
        "MAX_FILE_CHARACTERS",
        2_000_000,
        "Characters of the text of a file",
        answer="the file is refused: `too-large`",
        minimum=1000,
    )
    file_cells: int = _limit(
        "MAX_FILE_CELLS",
        200_000,
        "Cells with content of a workbook or CSV file",
        answer="the file is refused: `too-many-cells`",
        minimum=100,
    )
    file_pixels: int = _limit(
        "MAX_FILE_PIXELS",
        64_000_000,
        "Pixels of a picture",
        answer="the file is refused: `too-many-pixels`",
        minimum=1000,
    )
    file_seconds: int = _limit(
        "FILE_SECONDS", 30, "Time to read a file, in seconds", answer="the file is refused: `timed-out`", minimum=1
    )
    file_memory_bytes: int = _limit(
        "FILE_MEMORY_BYTES",
        512 * 1024 * 1024,
        "Memory of the process that reads a file, in bytes; macOS does not limit it",
        answer="the file is refused: `out-of-memory` or `damaged`",
        minimum=128 * 1024 * 1024,
    )
    file_readers: int = _limit(
        "FILE_READERS",
        2,
        "Files that one web process reads at once; others wait for up to 5 seconds",
        answer="503 `busy`",
    )
    execution_files: int = _limit(
        "MAX_EXECUTION_FILES", 20, "Files of one execution: of its brief, and of answers", answer="422 with a pointer"
    )
    execution_file_bytes: int = _limit(
        "MAX_EXECUTION_FILE_BYTES",
        50 * 1024 * 1024,
        "Bytes of all files of one execution",
        answer="422 with a pointer",
        minimum=1024,
    )
    scope_file_bytes: int = _limit(
        "MAX_SCOPE_FILE_BYTES",
        2 * 1024 * 1024 * 1024,
        "Bytes of all files that are used in one root scope",
        answer="422 with a pointer",
        minimum=1024,
    )
    call_file_bytes: int = _limit(
        "MAX_CALL_FILE_BYTES",
        12 * 1024 * 1024,
        "Bytes of the files that one call to a model has as they are; 0: no file",
        answer="the model gets the text of further files, and is told",
        minimum=0,
    )
    call_characters: int = _limit(
        "MAX_CALL_CHARACTERS",
        1_000_000,
        "Characters of a prompt, or of a reply, that the API shows of one call",
        answer="the text is cut and ends in `…`; `cut` is true",
    )


_current = Limits()


def limits() -> Limits:
    """Return the limits of this process."""
    return _current


def configure(values: Limits) -> None:
    """Set the limits; the settings call this once, before any input is parsed."""
    global _current
    _current = values


def settings_of_limits() -> list[tuple[str, str, int, int]]:
    """Return (field, setting, default, minimum) of each limit, in order."""
    return [(f.name, f.metadata["setting"], f.metadata["default"], f.metadata["minimum"]) for f in fields(Limits)]
