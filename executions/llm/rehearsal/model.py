"""The rehearsal model: free, deterministic, and without network. It only rearranges its inputs.

It returns documents that are valid against their schema and consist of text from the brief, the inputs and the answers.
For the briefs that ship with the product, people have prepared replies, which come instead (`prepared.py`).
It asks a question if the brief says that something is open.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from pydantic import JsonValue

from executions.engine.domain.calls import VERDICT, FinishReason, ModelReply, ModelRequest, ToolCall, Usage
from executions.engine.domain.dry_run import TRANSIENT
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.engine.ports import OnText
from executions.engine.prompting.attachments import CHARACTERS_PER_TOKEN
from executions.engine.prompting.replies import ASK_CLARIFICATION, SUBMIT_DOCUMENT
from executions.engine.transitions.reviews import ReviewVerdict
from executions.llm.known_providers import PREPARED, REHEARSAL
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.prepared_replies import prepared_reply
from executions.llm.rehearsal.revision import revise
from executions.llm.rehearsal.unwritable import Unwritable

_MAX_QUESTIONS = 3
_MAX_POINT = 600  # characters
#: Threads that generate documents beside the event loop. Each piece of work is short and limited.
_generator_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="rehearsal")
_PAUSE_SECONDS = 0.05  # minimum time between two pieces of text
_EITHER_OR = re.compile(r"\bwhether\s+(?:to\s+)?(.+?)\s+or\s+(?:to\s+)?(.+?)(?:[.,;?]|$)", re.I)
_UPLOAD = re.compile(r"\b(attach(?:ed|ment)?|upload(?:ed)?)\b", re.I)
_DATE = re.compile(r"\b(date|deadline|when|by when|go[- ]live|launch|start)\b", re.I)
_NUMBER = re.compile(r"\b(how many|how much|number of|budget|amount|cost)\b", re.I)
_MONEY = re.compile(r"\b(budget|cost|price|eur|usd|gbp|chf)\b|[€$£]", re.I)


class RehearsalModel:
    """Serves requests for the provider `rehearsal`."""

    def __init__(self, *, latency_seconds: float) -> None:
        self._latency_seconds = latency_seconds

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Return a document, questions, or a refusal with the reason; equal requests get equal replies.

        A reply that was prepared for the brief and the workflow comes first. With a latency, the text is passed on
        piece by piece in that time.
        """
        call, refusal, example = _scripted(request) or _verdict(request), "", ""
        if call is None:
            try:
                in_thread = asyncio.get_running_loop().run_in_executor
                call, example = await in_thread(_generator_threads, _prepared_or_generated, request)
            except Unwritable as error:
                refusal = str(error)
        seconds = self._seconds(request)
        if seconds and call is not None and not request.has_waited:
            await self._stream_text(json.dumps(call.arguments, ensure_ascii=False, indent=1), on_text, seconds=seconds)
        prompt_length = len(request.instructions) + len(request.prompt)
        written = refusal if call is None else call.model_dump_json()
        usage = Usage(
            input_tokens=-(-prompt_length // CHARACTERS_PER_TOKEN),
            output_tokens=-(-len(written) // CHARACTERS_PER_TOKEN),
        )
        return ModelReply(
            provider=PREPARED if example else REHEARSAL,
            model=example or REHEARSAL,
            tool_calls=() if call is None else (call,),
            text=refusal,
            finish_reason=FinishReason.REFUSED if call is None else FinishReason.STOP,
            usage=usage,
            cost_usd=Decimal(0),
            provider_request_id=f"rehearsal-{request.request_hash[:16]}",
            latency_ms=round(seconds * 1000),
        )

    def _seconds(self, request: ModelRequest) -> float:
        """Return the latency of the reply."""
        scripted = None if request.script is None else request.script.latency_seconds
        return self._latency_seconds if scripted is None else scripted

    async def _stream_text(self, text: str, on_text: OnText, *, seconds: float) -> None:
        """Pass the text on within the latency, at an even pace; after a delay it catches up."""
        pieces = max(1, min(len(text), round(seconds / _PAUSE_SECONDS)))
        clock = asyncio.get_running_loop().time
        started = clock()
        for number in range(pieces):
            due = started + seconds * (number + 1) / pieces
            if (remaining := due - clock()) > 0:
                await asyncio.sleep(remaining)
            on_text(text[len(text) * number // pieces : len(text) * (number + 1) // pieces])


def _prepared_or_generated(request: ModelRequest) -> tuple[ToolCall, str]:
    """Return the reply and the example that it was prepared for; an empty name: it is made up.

    Raises:
        Unwritable: no valid document was found.
    """
    prepared = prepared_reply(request)
    return (_generate(request), "") if prepared is None else (prepared.call, prepared.example)


def _generate(request: ModelRequest) -> ToolCall:
    """Return questions or a document: the version that a person has commented on, revised, or a new one.

    Raises:
        Unwritable: no valid document was found.
    """
    facts = Facts(request.materials)
    if (questions := _ask(request, facts)) is not None:
        return questions
    schema = dict(request.output_schema)
    generator = DocumentGenerator(facts, root=schema, document_type=request.document_type)
    if request.revision is not None:
        revised = revise(request.revision, generator, schema=schema)
        if revised is not None:
            return ToolCall(name=SUBMIT_DOCUMENT, arguments=revised)
    return ToolCall(name=SUBMIT_DOCUMENT, arguments=generator.write())


def _ask(request: ModelRequest, facts: Facts) -> ToolCall | None:
    """Return questions only in the first step, and only about what the brief leaves open."""
    if request.script is not None and request.script.ask:
        return None  # the scripted questions have been asked
    is_first = not any(material.kind in {"document", "unanswered"} for material in request.materials)
    if request.max_questions == 0 or facts.answers or not is_first:
        return None
    questions = [_question(point) for point in facts.open_points] if facts.brief else [_brief_question()]
    if not questions and not _MONEY.search(facts.brief):
        questions = [_budget_question()]
    if not questions:
        return None
    limited: list[JsonValue] = list(questions[: min(request.max_questions, _MAX_QUESTIONS)])
    return ToolCall(name=ASK_CLARIFICATION, arguments={"questions": limited})


def _scripted(request: ModelRequest) -> ToolCall | None:
    """Return the scripted reply of this call, by its number and the answers so far; None: not scripted.

    Raises:
        ModelError: the script makes the call fail.
    """
    script = request.script
    if script is None:
        return None
    if request.document_type == VERDICT:
        index = request.attempt - script.first_valid
        verdict = script.verdicts[index] if 0 <= index < len(script.verdicts) else ReviewVerdict.SATISFIED.value
        finding: JsonValue = {"pointer": "", "detail": "The dry run's script prescribes this verdict."}
        findings: list[JsonValue] = [] if verdict == ReviewVerdict.SATISFIED.value else [finding]
        return ToolCall(name=SUBMIT_DOCUMENT, arguments={"verdict": verdict, "findings": findings})
    if request.scripted_fault is not None:
        code = FailureCode(request.scripted_fault)
        raise ModelError(code, "The dry run's script prescribes this failure.", transient=code in TRANSIENT)
    answered = any(material.kind in {"answer", "unanswered"} for material in request.materials)
    if script.ask and request.max_questions and not answered:
        questions: list[JsonValue] = [question.model_dump(mode="json") for question in script.ask]
        return ToolCall(name=ASK_CLARIFICATION, arguments={"questions": questions})
    return ToolCall(name=SUBMIT_DOCUMENT, arguments={}) if request.attempt < script.first_valid else None


def _verdict(request: ModelRequest) -> ToolCall | None:
    """Return the verdict of a review, None for other requests.

    The rehearsal cannot judge, so it is always satisfied.
    """
    if request.document_type != VERDICT:
        return None
    return ToolCall(name=SUBMIT_DOCUMENT, arguments={"verdict": ReviewVerdict.SATISFIED.value, "findings": []})


def _question(point: str) -> dict[str, JsonValue]:
    """Return a question about one open point, with an answer type that matches its words."""
    point = point[:_MAX_POINT]
    either = _EITHER_OR.search(point)
    question: dict[str, JsonValue] = {
        "text": f"The brief leaves this open: “{point}” What was decided?",
        "why": "Goals, constraints and everything that follows from them depend on it.",
        "required": True,
    }
    if either:
        options = [either[1].strip()[:120], either[2].strip()[:120]]
        choices: list[JsonValue] = [{"value": option, "label": option} for option in options]
        return {**question, "answer_type": "single_choice", "choices": choices}
    if _UPLOAD.search(point):
        return {**question, "answer_type": "file"}
    if _NUMBER.search(point):
        return {**question, "answer_type": "number", "minimum": 0}
    return {**question, "answer_type": "date" if _DATE.search(point) else "free_text"}


def _brief_question() -> dict[str, JsonValue]:
    return {
        "text": "What is it about? No brief was given.",
        "answer_type": "free_text",
        "why": "Without a brief nothing is known of the matter.",
        "required": True,
    }


def _budget_question() -> dict[str, JsonValue]:
    return {
        "text": "What may the whole project cost, in euros?",
        "answer_type": "number",
        "minimum": 0,
        "why": "The brief names no budget, and without one no option can be ruled out.",
        "required": True,
    }
