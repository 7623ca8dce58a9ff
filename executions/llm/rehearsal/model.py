"""The rehearsal model: free, deterministic, without network. It knows no language; it arranges what it was given.

It writes documents that are valid against their schema and drawn from the brief, the inputs and the answers, asks a
question where the brief says that something is open, and never claims to be more than a rehearsal.
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
from executions.engine.prompting.prompts import CHARACTERS_PER_TOKEN
from executions.engine.prompting.replies import ASK_CLARIFICATION, SUBMIT_DOCUMENT
from executions.engine.transitions.reviews import ReviewVerdict
from executions.llm.known_providers import REHEARSAL
from executions.llm.rehearsal.document_generator import Writer
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.unwritable import Unwritable

_MOST_QUESTIONS = 3
_MOST_OF_A_POINT = 600  # characters
#: Where documents are written, beside the event loop. Each piece of the work is short, and all of it is bounded.
_writers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="rehearsal")
_PAUSE_SECONDS = 0.05  # between two pieces of what it writes, at least
_EITHER_OR = re.compile(r"\bwhether\s+(?:to\s+)?(.+?)\s+or\s+(?:to\s+)?(.+?)(?:[.,;?]|$)", re.I)
_DATE = re.compile(r"\b(date|deadline|when|by when|go[- ]live|launch|start)\b", re.I)
_NUMBER = re.compile(r"\b(how many|how much|number of|budget|amount|cost)\b", re.I)
_MONEY = re.compile(r"\b(budget|cost|price|eur|usd|gbp|chf)\b|[€$£]", re.I)


class RehearsalModel:
    """Answers requests for the provider `rehearsal`."""

    def __init__(self, *, latency_seconds: float) -> None:
        self._latency_seconds = latency_seconds

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Return a document, questions, or a refusal that says what it cannot write; the same request gets the same.

        What takes time is told piece by piece meanwhile.
        """
        call, refusal = _scripted(request) or _verdict(request), ""
        if call is None:
            try:
                call = await asyncio.get_running_loop().run_in_executor(_writers, _written, request)
            except Unwritable as error:
                refusal = str(error)
        seconds = self._seconds(request)
        if seconds and call is not None and not request.has_waited:
            await self._write(json.dumps(call.arguments, ensure_ascii=False, indent=1), on_text, seconds=seconds)
        prompt_length = len(request.instructions) + len(request.prompt)
        written = refusal if call is None else call.model_dump_json()
        usage = Usage(
            input_tokens=-(-prompt_length // CHARACTERS_PER_TOKEN),
            output_tokens=-(-len(written) // CHARACTERS_PER_TOKEN),
        )
        return ModelReply(
            provider=REHEARSAL,
            model=REHEARSAL,
            tool_calls=() if call is None else (call,),
            text=refusal,
            finish_reason=FinishReason.REFUSED if call is None else FinishReason.STOP,
            usage=usage,
            cost_usd=Decimal(0),
            provider_request_id=f"rehearsal-{request.request_hash[:16]}",
            latency_ms=round(seconds * 1000),
        )

    def _seconds(self, request: ModelRequest) -> float:
        """Return how long the reply takes."""
        scripted = None if request.script is None else request.script.latency_seconds
        return self._latency_seconds if scripted is None else scripted

    async def _write(self, text: str, on_text: OnText, *, seconds: float) -> None:
        """Write the text within the model's time, at an even pace; who was asleep meanwhile catches up."""
        pieces = max(1, min(len(text), round(seconds / _PAUSE_SECONDS)))
        clock = asyncio.get_running_loop().time
        began = clock()
        for number in range(pieces):
            due = began + seconds * (number + 1) / pieces
            if (left := due - clock()) > 0:
                await asyncio.sleep(left)
            on_text(text[len(text) * number // pieces : len(text) * (number + 1) // pieces])


def _written(request: ModelRequest) -> ToolCall:
    """Return questions or a document.

    Raises:
        Unwritable: no document is found that is valid.
    """
    facts = Facts(request.materials)
    if (asked := _questions(request, facts)) is not None:
        return asked
    writer = Writer(facts, root=dict(request.output_schema), document_type=request.document_type)
    return ToolCall(name=SUBMIT_DOCUMENT, arguments=writer.write())


def _questions(request: ModelRequest, facts: Facts) -> ToolCall | None:
    """Ask once, at the start of the line, and only about what the brief itself leaves open."""
    if request.script is not None and request.script.ask:
        return None  # it has asked what it was to ask
    is_first = not any(material.kind in {"document", "unanswered"} for material in request.materials)
    if request.max_questions == 0 or facts.answers or not is_first:
        return None
    asked = [_question(point) for point in facts.open_points] if facts.brief else [_brief_question()]
    if not asked and not _MONEY.search(facts.brief):
        asked = [_budget_question()]
    if not asked:
        return None
    questions: list[JsonValue] = list(asked[: min(request.max_questions, _MOST_QUESTIONS)])
    return ToolCall(name=ASK_CLARIFICATION, arguments={"questions": questions})


def _scripted(request: ModelRequest) -> ToolCall | None:
    """Return what the script has this call say, by its number and what was answered; None: it says nothing of it.

    Raises:
        ModelError: it has the call fail.
    """
    script = request.script
    if script is None:
        return None
    if request.document_type == VERDICT:
        at = request.attempt - script.first_valid
        said = script.verdicts[at] if 0 <= at < len(script.verdicts) else ReviewVerdict.SATISFIED.value
        finding: JsonValue = {"pointer": "", "detail": "The script of this dry run has it so."}
        findings: list[JsonValue] = [] if said == ReviewVerdict.SATISFIED.value else [finding]
        return ToolCall(name=SUBMIT_DOCUMENT, arguments={"verdict": said, "findings": findings})
    if request.scripted_fault is not None:
        code = FailureCode(request.scripted_fault)
        raise ModelError(code, "The script of this dry run has it fail.", transient=code in TRANSIENT)
    answered = any(material.kind in {"answer", "unanswered"} for material in request.materials)
    if script.ask and request.max_questions and not answered:
        asked: list[JsonValue] = [each.model_dump(mode="json") for each in script.ask]
        return ToolCall(name=ASK_CLARIFICATION, arguments={"questions": asked})
    return ToolCall(name=SUBMIT_DOCUMENT, arguments={}) if request.attempt < script.first_valid else None


def _verdict(request: ModelRequest) -> ToolCall | None:
    """Return the verdict of a review, None when none is asked for. Who cannot read finds no fault."""
    if request.document_type != VERDICT:
        return None
    return ToolCall(name=SUBMIT_DOCUMENT, arguments={"verdict": ReviewVerdict.SATISFIED.value, "findings": []})


def _question(point: str) -> dict[str, JsonValue]:
    """Return a question about one open point, typed by what it is about."""
    point = point[:_MOST_OF_A_POINT]
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
