"""Replies of reviewers."""

from __future__ import annotations

from typing import Any

from executions.engine.domain.calls import ModelReply, ToolCall
from tests.factories.engine import reply

FINDING = {"pointer": "/points/0", "detail": "No person is named."}


def verdict(says: str, *findings: dict[str, str]) -> ModelReply:
    """Return what a reviewer hands in."""
    arguments: dict[str, Any] = {"verdict": says, "findings": list(findings)}
    return reply(ToolCall(name="submit_document", arguments=arguments))


SATISFIED = verdict("satisfied")
NEEDS_REVISION = verdict("needs_revision", FINDING)
GIVEN_UP = verdict("failed", FINDING)
