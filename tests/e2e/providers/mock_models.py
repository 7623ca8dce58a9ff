"""A third-party model server (PyPI's `llmock`) as a process; it implements each provider's API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.processes import STOP_SECONDS, free_port, wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How one provider is reached on the mock."""

    name: str
    model: str
    key: str  # these two are variables
    address: str
    path: str

    def environment(self, url: str) -> dict[str, str]:
        """Return what has this provider asked at the mock's address."""
        return {self.key: "none", self.address: f"{url}{self.path}"}

    def fitting(self, behaviour: Mapping[str, Any]) -> dict[str, Any]:
        """Return the behaviour as it can be done to this provider's streams: Google calls a tool in a single piece."""
        return (
            {**behaviour, "after_chunks": 0} if self.name == "google" and "after_chunks" in behaviour else {**behaviour}
        )


OPENAI = Provider(name="openai", model="openai:gpt-5", key="OPENAI_API_KEY", address="OPENAI_BASE_URL", path="/v1")
#: What OpenAI itself is asked in; servers of others speak the older language.
RESPONSES = replace(OPENAI, name="openai-responses", model="openai-responses:gpt-5")
ANTHROPIC = Provider(
    name="anthropic",
    model="anthropic:claude-sonnet-5-5",
    key="ANTHROPIC_API_KEY",
    address="ANTHROPIC_BASE_URL",
    path="/anthropic",
)
GOOGLE = Provider(
    name="google",
    model="google:gemini-3.8-flash",
    key="GOOGLE_API_KEY",
    address="GOOGLE_GEMINI_BASE_URL",
    path="/gemini",
)


@dataclass(frozen=True, slots=True)
class MockModels:
    """A running server."""

    url: str

    def will(self, *behaviours: Mapping[str, Any]) -> None:
        """Queue what it does with the requests that come."""
        queued = httpx.post(f"{self.url}/_llmock/scenario", json={"behaviors": behaviours})
        assert queued.status_code == 201, queued.text

    def asked(self) -> list[dict[str, Any]]:
        """Return its record of every request, in their order."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/_llmock/requests").json()["requests"]
        return found

    def verdict(self) -> dict[str, Any]:
        """Return what it thinks of how its faults were met."""
        found: dict[str, Any] = httpx.get(f"{self.url}/_llmock/verdict").json()
        return found

    def reset(self) -> None:
        """Have it forget everything."""
        httpx.post(f"{self.url}/_llmock/reset").raise_for_status()


@contextmanager
def mock_models() -> Iterator[MockModels]:
    """Provide a running server and end it afterwards."""
    mock = MockModels(f"http://127.0.0.1:{free_port()}")
    program = str(Path(sys.executable).with_name("llmock"))
    command = [program, "serve", "--port", mock.url.rpartition(":")[2], "--log-level", "warning"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_up(mock.url) or process.poll() is not None, what="the mock's answer")
        assert process.poll() is None, "llmock has ended"
        yield mock
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def is_up(url: str) -> bool:
    """Return whether the server answers."""
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.TransportError:
        return False


def reply(content: object = None, *, tool: str = "submit_document", **more: Any) -> dict[str, Any]:
    """Return what has it hand in a document, or call another tool."""
    return {"type": "reply", "tool_calls": [{"name": tool, "arguments": content}], **more}
