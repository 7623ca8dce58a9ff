"""The people and the empty queue of `worker/`, for what is stored."""

from __future__ import annotations

from tests.integration.worker.conftest import ann, bob, quiet

__all__ = ["ann", "bob", "quiet"]
