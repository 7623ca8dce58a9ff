"""What is asked of a model, what it replies, and the ledger's record of both."""

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

from executions.engine.domain.copying import IdentityKey, replace
from executions.engine.domain.dry_run import Fault, StepScript
from executions.engine.domain.states import CallKind, CallStatus

#: What a reviewer hands in. No step makes documents of this type: it is no slug.
VERDICT = "review verdict"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _finite(value: JsonValue) -> JsonValue:
    """Return the value with every number that JSON does not know (`1e999` reads as infinity) written out as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


#: What a model sent, in a form that every database keeps as JSON.
StorableJson = Annotated[JsonValue, AfterValidator(_finite)]


class Usage(_Value):
    """Tokens of one call, in disjoint buckets (`reasoning_tokens` alone is a part of `output_tokens`)."""

    input_tokens: int = Field(default=0, ge=0)  # without cached ones
    cache_read_input_tokens: int = Field(default=0, ge=0)
    cache_write_input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    reasoning_tokens: int = Field(default=0, ge=0)

    @property
    def total_tokens(self) -> int:
        """All tokens, each counted once."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_write_input_tokens + self.output_tokens


class Material(_Value):
    """One thing a step was given to read: an input document, the brief, or an answer."""

    kind: str  # "brief", "item", "document", "answer", "unanswered", "change_request"
    name: str  # document type, kind and key of an item, the question's text …
    text: str


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    TRUNCATED = "truncated"
    REFUSED = "refused"


class ToolCall(_Value):
    """One call of one of the step's tools; `arguments` as the model wrote them, parsed if they were JSON."""

    name: str
    arguments: StorableJson


class ModelReply(_Value):
    """What a model replied, as it is kept in the ledger."""

    provider: str
    model: str  # as the provider names it
    tool_calls: tuple[ToolCall, ...] = ()
    text: str = ""
    finish_reason: FinishReason = FinishReason.STOP
    usage: Usage = Usage()
    usage_known: bool = True  # False: the provider did not count, or what it says cannot be; the worst case stands
    billing: dict[str, JsonValue] = {}  # the terms that the provider bills it on, as the price list reads them
    cost_usd: Decimal | None = None  # None: the model has no known price, or what it used is not known
    provider_request_id: str = ""
    latency_ms: int = 0
    raw: StorableJson = None  # the provider's answer, for the record


@dataclass(frozen=True, kw_only=True)  # without slots, as copies are made of it all the time
class ModelRequest:
    """One question to a model. `materials` is what the prompt was made from, for models that work without language."""

    step_id: str
    model: str  # resolved "provider:model"
    instructions: str
    prompt: str
    output_schema: Mapping[str, JsonValue]
    max_questions: int  # 0: the step may not ask
    max_output_tokens: int
    timeout_seconds: int
    document_type: str
    role: str
    materials: tuple[Material, ...] = ()
    scope_id: UUID | None = None  # the root scope that it is made for: turns go round among scopes
    attempt: int = 1
    ordinal: int = 1  # of the call in its attempt
    script: StepScript | None = None  # what the rehearsal shall do in a dry run
    has_waited: bool = False  # as long as the script says; its step was parked meanwhile
    shared: tuple[str, ...] = ()  # what the prompt begins with, when a provider should keep it for other prompts
    offers_questions: bool = False  # the tool is offered, as other steps of the workflow use it

    # The hash names what was sent, not the call: it is stored and checked, but is no part of the ledger's key.
    request_hash: str = ""

    @property
    def scripted_seconds(self) -> float:
        """How long the script of a dry run has the reply take, from now on."""
        script = self.script
        if script is None or self.has_waited or self.scripted_fault is not None:
            return 0.0
        return script.latency_seconds or 0.0

    @property
    def scripted_fault(self) -> Fault | None:
        """How the script of a dry run has this call fail, None: not at all. Reviews do not fail."""
        if self.script is None or self.attempt > 1 or self.document_type == VERDICT:
            return None
        return self.script.fail[self.ordinal - 1] if self.ordinal <= len(self.script.fail) else None


#: What a provider adds to a request: names of roles and tools, and how they are told apart.
_FRAME_TOKENS = 512


def max_input_tokens(request: ModelRequest) -> int:
    """Return how many tokens the request has at most: no tokenizer makes more of a text than it has bytes."""
    texts = (request.instructions, request.prompt)
    return _FRAME_TOKENS + _schema_bytes(IdentityKey(request.output_schema)) + sum(map(_bytes, texts))


@lru_cache(maxsize=1_000)
def _schema_bytes(schema: IdentityKey[Mapping[str, JsonValue]]) -> int:
    return _bytes(json.dumps(schema.value, ensure_ascii=False))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def max_tokens_of(request: ModelRequest) -> int:
    """Return how many tokens the call uses at most, the reply included."""
    return max_input_tokens(request) + request.max_output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKey:
    """Identity of one try of one call. `ordinal` counts the tries of the same attempt, from 1."""

    execution_id: UUID
    step_id: str
    attempt: int
    kind: CallKind
    ordinal: int = 1


@dataclass(frozen=True, kw_only=True)  # without slots, as copies are made of it all the time
class Call:
    """One row of the ledger."""

    key: CallKey
    model: str  # what was asked for: "provider:model"
    request_hash: str
    status: CallStatus
    started_at: datetime
    reply: ModelReply | None = None
    finished_at: datetime | None = None
    error: str = ""
    estimated_cost_usd: Decimal | None = None  # at most, while what it cost is not known; None: no known price
    reserved_tokens: int = 0  # at most, while what it used is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sum over ledger rows. `cost_usd` is None when one of them has no known cost."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    known_cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0  # those that may have cost something, and nobody knows what (yet)
    cost_final: bool = True  # no call is still under way

    def __add__(self, other: Totals) -> Totals:
        """Return the sum over both."""
        mine, theirs = self.usage, other.usage
        return Totals(
            calls=self.calls + other.calls,
            usage=Usage(**{name: getattr(mine, name) + getattr(theirs, name) for name in Usage.model_fields}),
            known_cost_usd=self.known_cost_usd + other.known_cost_usd,
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
            cost_final=self.cost_final and other.cost_final,
        )

    @property
    def cost_complete(self) -> bool:
        """Whether it is known what every call has cost."""
        return not self.unpriced_calls

    @property
    def cost_usd(self) -> Decimal | None:
        """The whole cost, None when a part of it is unknown."""
        return self.known_cost_usd if self.cost_complete else None


def sum_calls(calls: Iterable[Call]) -> Totals:
    """Return the sum over calls. A failed one without a reply was refused before it cost anything."""
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
            unpriced += 1  # what costs nothing at most is known, whatever became of it
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
    return Usage(**{name: sum(getattr(each, name) for each in usages) for name in Usage.model_fields})


#: What a call may still become.
_SETTLES_TO: dict[CallStatus, frozenset[CallStatus]] = {
    CallStatus.PENDING: frozenset({CallStatus.COMMITTED, CallStatus.DISCARDED, CallStatus.FAILED, CallStatus.UNKNOWN}),
    CallStatus.UNKNOWN: frozenset({CallStatus.DISCARDED}),
    CallStatus.DISCARDED: frozenset({CallStatus.DISCARDED, CallStatus.FAILED}),  # nobody waited, and it cost nothing
    CallStatus.COMMITTED: frozenset(),
    CallStatus.FAILED: frozenset(),
}


def merge_call(known: Call, call: Call) -> Call | None:
    """Return what a known call becomes by what is said of it now; None: it stays as it is.

    What was settled for good stays, and so does a reply. One that comes after its call was given up (cancelled, or
    taken up by another runner) is kept and counted as discarded.
    """
    if known.reply is not None:
        return None
    given_up = known.status in {CallStatus.UNKNOWN, CallStatus.DISCARDED}
    if given_up and call.status is CallStatus.COMMITTED:
        call = replace(call, status=CallStatus.DISCARDED)
    return call if call.status in _SETTLES_TO[known.status] else None
