"""Model requests, model replies, and the call ledger's record of both."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from executions.engine.domain.acceptance import Revision
from executions.engine.domain.copying import IdentityKey, replace
from executions.engine.domain.dry_run import Fault, StepScript
from executions.engine.domain.states import CallKind, CallStatus

#: Document type of a reviewer's output. It is not a slug, so no step can produce documents of this type.
VERDICT = "review verdict"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _finite(value: JsonValue) -> JsonValue:
    """Return the value with every non-finite number (`1e999` is parsed as infinity) replaced by its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


#: Output of a model in a form that every database can store as JSON.
StorableJson = Annotated[JsonValue, AfterValidator(_finite)]


class Usage(_Value):
    """Tokens of one call in disjoint buckets. Only `reasoning_tokens` is a part of another one, `output_tokens`."""

    input_tokens: int = Field(default=0, ge=0)  # without cached tokens
    cache_read_input_tokens: int = Field(default=0, ge=0)
    cache_write_input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    reasoning_tokens: int = Field(default=0, ge=0)

    @property
    def total_tokens(self) -> int:
        """All tokens, each counted once."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_write_input_tokens + self.output_tokens


class Material(_Value):
    """One part of a step's input: an input document, the brief, or an answer."""

    kind: str  # "brief", "file", "item", "document", "answer", "unanswered", "change_request"
    name: str  # document type, name of a file, kind and key of an item, the question's text …
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which files a model reads as they are. By default it reads text alone."""

    pictures: bool = False
    pdfs: bool = False
    picture_tokens: int = 5_000  # maximum of one picture, and of one page as it looks
    picture_bytes: int | None = None  # maximum of one picture; None: only the limit of a call


TEXT_ONLY = Reading()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that a model gets as it is. A request names the bytes by their hash."""

    file_id: UUID
    name: str
    media_type: str
    sha256: str  # of the bytes, in hex
    size: int  # bytes
    tokens: int  # expected
    max_tokens: int
    is_shared: bool = False  # it belongs to the brief, which all prompts begin with


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    TRUNCATED = "truncated"
    REFUSED = "refused"


class ToolCall(_Value):
    """One call of one of the step's tools. `arguments` is the parsed JSON, or the model's text if it was not JSON."""

    name: str
    arguments: StorableJson


class ModelReply(_Value):
    """The reply of a model, as the ledger stores it."""

    provider: str
    model: str  # as the provider names it
    tool_calls: tuple[ToolCall, ...] = ()
    text: str = ""
    finish_reason: FinishReason = FinishReason.STOP
    usage: Usage = Usage()
    usage_known: bool = True  # False: the provider sent no plausible count, so the reserved maximum counts
    billing: dict[str, JsonValue] = {}  # provider's billing terms, as the price list reads them
    cost_usd: Decimal | None = None  # None: the model has no known price, or its usage is unknown
    provider_request_id: str = ""
    latency_ms: int = 0
    raw: StorableJson = None  # the provider's response, kept for inspection


@dataclass(frozen=True, kw_only=True)  # without slots: copies are made often
class ModelRequest:
    """One request to a model.

    `materials` holds the parts that the prompt was made from, for models that do not read the prompt's text.
    """

    step_id: str
    model: str  # resolved "provider:model"
    instructions: str
    prompt: str
    output_schema: Mapping[str, JsonValue]
    max_questions: int  # 0: the step may not ask questions
    max_output_tokens: int
    timeout_seconds: int
    document_type: str
    role: str
    materials: tuple[Material, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    scope_id: UUID | None = None  # root scope of the execution: rate limit permits are shared fairly among scopes
    attempt: int = 1
    ordinal: int = 1  # number of the call within its attempt
    script: StepScript | None = None  # what the rehearsal simulates in a dry run
    revision: Revision | None = None  # the version to change; the prompt shows it
    has_waited: bool = False  # the scripted latency has passed already, while the step was deferred
    shared: tuple[str, ...] = ()  # prefix of the prompt that the provider should cache for other prompts
    offers_questions: bool = False  # the tool is offered because other steps of the workflow use it

    # The hash identifies the request's content, not the call. It is stored and checked, but is not in the ledger's key.
    request_hash: str = ""

    @property
    def scripted_seconds(self) -> float:
        """How long a scripted reply of a dry run still takes."""
        script = self.script
        if script is None or self.has_waited or self.scripted_fault is not None:
            return 0.0
        return script.latency_seconds or 0.0

    @property
    def scripted_fault(self) -> Fault | None:
        """The failure that the script of a dry run prescribes for this call; None: no failure. Reviews never fail."""
        if self.script is None or self.attempt > 1 or self.document_type == VERDICT:
            return None
        return self.script.fail[self.ordinal - 1] if self.ordinal <= len(self.script.fail) else None


#: Tokens that a provider adds to a request: names of roles and tools, and separators.
_FRAME_TOKENS = 512


def max_input_tokens(request: ModelRequest) -> int:
    """Return the maximum of the request's tokens: no tokenizer makes more tokens of a text than it has bytes."""
    texts = (request.instructions, request.prompt)
    attached = sum(each.max_tokens for each in request.attachments)
    return _FRAME_TOKENS + _schema_bytes(IdentityKey(request.output_schema)) + sum(map(_bytes, texts)) + attached


@lru_cache(maxsize=1_000)
def _schema_bytes(schema: IdentityKey[Mapping[str, JsonValue]]) -> int:
    return _bytes(json.dumps(schema.value, ensure_ascii=False))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def max_tokens_of(request: ModelRequest) -> int:
    """Return the maximum of tokens that the call uses, the reply included."""
    return max_input_tokens(request) + request.max_output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKey:
    """Identity of one try of a call. `ordinal` counts the tries of one attempt, from 1."""

    execution_id: UUID
    step_id: str
    attempt: int
    kind: CallKind
    ordinal: int = 1


@dataclass(frozen=True, kw_only=True)  # without slots: copies are made often
class Call:
    """One row of the ledger."""

    key: CallKey
    model: str  # requested model, "provider:model"
    request_hash: str
    status: CallStatus
    started_at: datetime
    reply: ModelReply | None = None
    finished_at: datetime | None = None
    error: str = ""
    estimated_cost_usd: Decimal | None = None  # maximum, while the real cost is unknown; None: no known price
    reserved_tokens: int = 0  # maximum, while the real usage is unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sum over ledger rows. `cost_usd` is None if the cost of a row is unknown."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    known_cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0  # calls that may have cost something, but without a known cost (yet)
    cost_final: bool = True  # False while a call is under way

    def __add__(self, other: Totals) -> Totals:
        """Return the sum over both."""
        own, added = self.usage, other.usage
        return Totals(
            calls=self.calls + other.calls,
            usage=Usage(**{name: getattr(own, name) + getattr(added, name) for name in Usage.model_fields}),
            known_cost_usd=self.known_cost_usd + other.known_cost_usd,
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
            cost_final=self.cost_final and other.cost_final,
        )

    @property
    def cost_complete(self) -> bool:
        """Whether the cost of every call is known."""
        return not self.unpriced_calls

    @property
    def cost_usd(self) -> Decimal | None:
        """The total cost, None if the cost of a call is unknown."""
        return self.known_cost_usd if self.cost_complete else None


def sum_calls(calls: Iterable[Call]) -> Totals:
    """Return the sum over calls. A call that failed without a reply was rejected before it could cost anything."""
    number, unpriced, is_final, cost = 0, 0, True, Decimal(0)
    usages: list[Usage] = []
    for call in calls:
        number += 1
        is_final = is_final and call.status is not CallStatus.PENDING
        reply = call.reply
        if reply is not None:
            usages.append(reply.usage)
        if reply is not None and reply.cost_usd is not None:
            cost += reply.cost_usd
        elif call.status is not CallStatus.FAILED and call.estimated_cost_usd != 0:
            unpriced += 1  # a maximum of zero is the known cost, whatever the outcome
    return Totals(
        calls=number,
        usage=_sum_of_usage(usages),
        known_cost_usd=cost,
        unpriced_calls=unpriced,
        cost_final=is_final,
    )


def _sum_of_usage(usages: Sequence[Usage]) -> Usage:
    if len(usages) == 1:
        return usages[0]
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in Usage.model_fields})


#: The legal moves between call statuses.
_CALL_TRANSITIONS: dict[CallStatus, frozenset[CallStatus]] = {
    CallStatus.PENDING: frozenset({CallStatus.COMMITTED, CallStatus.DISCARDED, CallStatus.FAILED, CallStatus.UNKNOWN}),
    CallStatus.UNKNOWN: frozenset({CallStatus.DISCARDED}),
    CallStatus.DISCARDED: frozenset({CallStatus.DISCARDED, CallStatus.FAILED}),  # the call turned out to cost nothing
    CallStatus.COMMITTED: frozenset(),
    CallStatus.FAILED: frozenset(),
}


def merge_call(known: Call, call: Call) -> Call | None:
    """Return the known call after a new report about it; None: the call stays unchanged.

    A final status and a stored reply never change. A reply may arrive after its call was given up, because the
    execution was cancelled or another worker claimed it. It is stored and counted as discarded.
    """
    if known.reply is not None:
        return None
    given_up = known.status in {CallStatus.UNKNOWN, CallStatus.DISCARDED}
    if given_up and call.status is CallStatus.COMMITTED:
        call = replace(call, status=CallStatus.DISCARDED)
    return call if call.status in _CALL_TRANSITIONS[known.status] else None
