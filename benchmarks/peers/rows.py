"""Rows that a peer does not store itself: a document version, an event and a call per step."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.workload import TEXT

TABLES = (
    "CREATE TABLE IF NOT EXISTS document_version (execution text, version int, content json, created_at timestamptz, "
    "PRIMARY KEY (execution, version))",
    "CREATE TABLE IF NOT EXISTS event (execution text, sequence int, type text, data json, created_at timestamptz, "
    "PRIMARY KEY (execution, sequence))",
    "CREATE TABLE IF NOT EXISTS model_call (execution text, step text, reply json, input_tokens int, "
    "output_tokens int, cost numeric, started_at timestamptz, PRIMARY KEY (execution, step))",
)
CONTENT = {"title": "T", "text": TEXT}

Statement = tuple[str, tuple[Any, ...]]


def statements_of(execution: str, number: int) -> list[Statement]:
    """Return the statements of one step, for one transaction."""
    content = json.dumps(CONTENT)
    return [
        ("INSERT INTO document_version VALUES (%s, %s, %s, now())", (execution, number, content)),
        ("INSERT INTO event VALUES (%s, %s, 'step_completed', '{}', now())", (execution, number)),
        (
            "INSERT INTO model_call VALUES (%s, %s, %s, 100, 100, 0.001, now())",
            (execution, f"s{number}", content),
        ),
    ]
