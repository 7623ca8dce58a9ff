"""Pictures and PDFs as they are: which models get them, in the providers' formats, and what is recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from access.user import User
from documents.extraction.results import Extraction, FileType, Segment
from documents.files import storage
from documents.models import File, StoredContent
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.calls import TEXT_ONLY, Attachment, ModelRequest
from executions.engine.domain.states import ExecutionStatus
from executions.engine.runtime.runner import ExecutionRunner
from executions.llm.file_support import reading_of, rules_of
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options, Output
from executions.persistence import notifier
from executions.persistence.journal import connection as line
from executions.services.prompts import get_prompt
from telemetry.models import ModelCall
from tests.factories.engine import definition
from tests.factories.executions import start
from tests.factories.files import pdfs
from tests.factories.files.workbooks import picture
from tests.integration.llm import wire_formats
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.model_server import DOCUMENT, Answer, model_server
from tests.integration.llm.text_listeners import ignore

pytestmark = pytest.mark.usefixtures("keys")

OPENAI, ANTHROPIC = "openai:gpt-5", "anthropic:claude-sonnet-5-5"
SITE, PLAN = picture("PNG"), pdfs.simple("Lend 400 tools.", "From three branches.")
FILES = {sha256(each).hexdigest(): each for each in (PLAN, SITE)}


def attachments(*, shared: bool) -> Iterator[Attachment]:
    kinds = (("plan.pdf", "application/pdf"), ("site.png", "image/png"))
    for (name, media_type), (key, data) in zip(kinds, FILES.items(), strict=True):
        yield Attachment(
            file_id=uuid4(),
            name=name,
            media_type=media_type,
            sha256=key,
            size=len(data),
            tokens=10,
            max_tokens=30,
            is_shared=shared and media_type == "application/pdf",
        )


async def sent(monkeypatch: pytest.MonkeyPatch, request: ModelRequest, output: Output) -> list[Any]:
    """Return the content of the user's message that a server gets."""
    said = (wire_formats.completion if request.model == OPENAI else wire_formats.message)("submit_document", DOCUMENT)
    with model_server(Answer(streamed=said)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        await providers.ProviderModel(Options(output=output)).complete(request, ignore, files=FILES)
        [body] = server.asked
    content: list[Any] = next(each for each in body["messages"] if each["role"] == "user")["content"]
    return content


def as_sent(part: dict[str, Any]) -> tuple[str, bytes | str]:
    """Return the kind of a part and its bytes, in the format of OpenAI or Anthropic."""
    match part:
        case {"type": "image_url", "image_url": {"url": url}} | {"type": "file", "file": {"file_data": url}}:
            head, _, data = url.partition(";base64,")
            return head.removeprefix("data:"), base64.b64decode(data)
        case {"type": "image" | "document", "source": {"type": "base64", "media_type": kind, "data": data}}:
            return kind, base64.b64decode(data)
    return "text", part["text"]


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("output", [Output.NATIVE, Output.TOOLS, Output.SHARED_TOOLS])
async def test_a_server_gets_each_file_in_the_format_of_its_provider(
    monkeypatch: pytest.MonkeyPatch, model: str, output: Output
) -> None:
    request = replace(request_to(model), prompt="Brief.\n\nWrite.", attachments=tuple(attachments(shared=False)))
    content = await sent(monkeypatch, request, output)
    assert [as_sent(each) for each in content] == [
        ("text", '<data kind="attached file" name="plan.pdf">\n'),
        ("application/pdf", PLAN),
        ("text", "\n</data>\n\n"),
        ("text", '<data kind="attached file" name="site.png">\n'),
        ("image/png", SITE),
        ("text", "\n</data>\n\n"),
        ("text", "Brief.\n\nWrite."),
    ]


async def test_the_files_of_the_brief_are_in_the_part_that_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    known: Any = {"prompt": "Brief.\n\nWrite.", "shared": ("Brief.",), "attachments": tuple(attachments(shared=True))}
    content = await sent(monkeypatch, replace(request_to(ANTHROPIC), **known), Output.SHARED_TOOLS)
    kinds = [as_sent(each)[0] for each in content]
    assert kinds == ["text", "application/pdf", *["text"] * 3, "image/png", "text", "text"]
    assert [index for index, each in enumerate(content) if "cache_control" in each] == [3]  # the brief


@pytest.mark.parametrize(
    ("model", "reads"),
    [
        ("anthropic:claude-sonnet-5-5", (True, True)),
        ("anthropic:claude-3-haiku-20240307", (True, False)),
        ("openai:gpt-6.1-terra", (True, True)),
        ("openai-chat:gpt-4", (False, False)),
        ("openai:gpt-4o-audio-preview", (False, False)),
        ("google:gemini-3.8-flash", (True, True)),
        ("rehearsal:rehearsal", (False, False)),
        ("openrouter:anthropic/claude", (False, False)),
    ],
)
def test_what_models_read(monkeypatch: pytest.MonkeyPatch, model: str, reads: tuple[bool, bool]) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    found = reading_of(model, ())
    assert (found.pictures, found.pdfs) == reads


def test_the_setting_comes_first_and_names_of_a_server_of_ones_own_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    rules = rules_of(["openai:qwen-vl*=pictures", "anthropic:*=none"])
    assert reading_of("openai:gpt-5", rules) == TEXT_ONLY
    assert (reading_of("openai:qwen-vl-7b", rules).pictures, reading_of("openai:qwen-vl-7b", rules).pdfs) == (
        True,
        False,
    )
    assert not reading_of("anthropic:claude-sonnet-5-5", rules).pictures
    for wrong in ("qwen=pictures", "openai:qwen", "openai:qwen=videos"):
        with pytest.raises(ValueError, match="is not provider:model="):
            rules_of([wrong])


def _uploaded(user: User) -> list[UUID]:
    """Store a PDF and a picture of a user."""
    pages = [Segment(f"page={number}", "", text) for number, text in enumerate(["Lend 400 tools.", ""], 1)]
    read = [
        ("plan.pdf", PLAN, Extraction.of(FileType.PDF, pages, pages=2)),
        ("site.png", SITE, Extraction.of(FileType.PNG, [], pixels=(8, 6))),
    ]
    return [
        storage.store_file(user=user, name=name, data=data, extraction=found, now=timezone.now()).id
        for name, data, found in read
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_a_call_is_recorded_with_hashes_and_its_bytes_are_stored_once(
    monkeypatch: pytest.MonkeyPatch, alice: User, model: str
) -> None:
    retries = {"max_tries": 2, "base_seconds": 0.01}
    flow = definition({"id": "one", "model": model, "timeout_seconds": 20, "retries": retries})
    ports = build_ports()
    monkeypatch.setattr(ports.models, "_readings", rules_of([f"{OPENAI}=all"]))
    overloaded = Answer(status=503, body={"error": {"message": "Later."}})
    files = await in_thread(_uploaded, alice)
    with model_server(overloaded, Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        stored = await in_thread(start, alice, flow, brief={"files": [str(each) for each in files]})
        execution = await ExecutionRunner(ports, execution_id=stored.id, worker="tests").run()
        assert execution.status is ExecutionStatus.COMPLETED, execution.failure
        bodies = [json.dumps(each) for each in server.asked]
    assert all(base64.b64encode(each).decode() in body for each in (PLAN, SITE) for body in bodies)
    assert len(bodies) == 2
    rows: Any = await in_thread(lambda: list(ModelCall.objects.values()))
    assert len({each["request_hash"] for each in rows}) == 1
    assert base64.b64encode(SITE).decode() not in json.dumps(rows, default=str)
    shown = await get_prompt(user=alice, execution_id=stored.id, step_id="one", attempt=None, kind=None, ordinal=None)
    assert shown.is_exact
    assert [each.sha256 for each in shown.request.attachments] == list(FILES)
    assert await in_thread(StoredContent.objects.count) == await in_thread(File.objects.count) == 2
    notifier.stop()
    line.close()
