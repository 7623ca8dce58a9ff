"""Keys of providers for tests that ask a model server of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.llm.models import forget_models


@pytest.fixture
async def keys(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
    await forget_models()
    yield
    await forget_models()
