"""The provider prefixes of model names."""

from __future__ import annotations

import inspect
import re

import pytest
from pydantic_ai.providers import infer_provider_class

from executions.llm.known_providers import PROVIDERS, is_known

#: They make vectors or speech; none writes documents.
OTHERS = {"elevenlabs", "sentence-transformers", "voyageai"}


def test_they_are_those_of_the_library() -> None:
    cases = re.findall(r"^ +case (.+'):$", inspect.getsource(infer_provider_class), re.MULTILINE)
    names = {name.strip("' ") for case in cases for name in case.split("|")}
    assert len(names) > len(OTHERS)
    assert names - OTHERS == PROVIDERS - {"rehearsal"}


@pytest.mark.parametrize(
    "model", ["openai:gpt-6.1-terra", "rehearsal:rehearsal", "gateway/anthropic:claude-sonnet-5-5"]
)
def test_what_begins_with_one_is_known(model: str) -> None:
    assert is_known(model)


@pytest.mark.parametrize("model", ["opnai:gpt-6.1-terra", "gateway/:x", "OpenAI:gpt-6.1-terra", ":x"])
def test_what_does_not_is_not(model: str) -> None:
    assert not is_known(model)
