"""The demonstration on third-party servers that implement the APIs of OpenAI and Anthropic."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.processes import ROOT, free_port, wait_until
from tests.support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

#: What the address ends with, which is all that the environment has to say; README.md has these commands.
LANGUAGES = {"OPENAI": "/v1", "ANTHROPIC": ""}
RULES = ("a question, before anything is written", "discovery", "requirements", "architecture", "review")


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """The address of a provider that is none, from PyPI; it answers as `examples/mock-provider.yaml` says."""
    port = free_port()
    program = Path(sys.executable).with_name("fakellm")
    with (tmp_path / "fakellm.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", "--config", str(ROOT / "examples/mock-provider.yaml"), "--port", str(port)],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), what="the mock of a provider")
        yield url
    finally:
        process.terminate()
        process.wait(HANG_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_fakellm/stats").is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("language", "streaming"),
    [
        pytest.param("ANTHROPIC", True, id="ANTHROPIC-streamed"),
        pytest.param("ANTHROPIC", False, id="ANTHROPIC-whole", marks=pytest.mark.torture),
        pytest.param("OPENAI", True, id="OPENAI-streamed", marks=pytest.mark.torture),
        pytest.param("OPENAI", False, id="OPENAI-whole", marks=pytest.mark.torture),
    ],
)
def test_the_demo_runs_on_a_mock_of_a_provider_with_a_question(
    tmp_path: Path, provider: str, language: str, streaming: bool
) -> None:
    said = {f"{language}_BASE_URL": provider + LANGUAGES[language], "MODEL_STREAMING": str(int(streaming))}
    done = subprocess.run(
        ["make", "--no-print-directory", "demo"],
        cwd=ROOT,
        env={**os.environ, **said, "DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200", "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in ("a yearly membership fee?", "ended: completed", "review version 1", f"({language.lower()}:"):
        assert words in done.stdout
    assert "rehearsal" not in done.stdout
    stats: dict[str, Any] = httpx.get(f"{provider}/_fakellm/stats").json()
    assert stats["by_rule"] == dict.fromkeys(RULES, 1)
    assert {(each["api"], each["stream"]) for each in stats["recent"]} == {(language.lower(), streaming)}
