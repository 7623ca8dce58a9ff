"""The users and the empty queue of `worker/`, for tests of persistence."""

from __future__ import annotations

from tests.integration.worker.conftest import ann, bob, quiet

__all__ = ["ann", "bob", "quiet"]
