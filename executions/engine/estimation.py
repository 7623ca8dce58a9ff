"""What an execution may take, before it is started: by the sizes of its prompts, and by what earlier ones took."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from common.limits import limits
from executions.engine.domain.calls import ModelRequest, max_input_tokens
from executions.engine.domain.execution import Brief
from executions.engine.prompting.prompts import CHARACTERS_PER_TOKEN, PromptInputs, build_request
from executions.engine.prompting.replies import MAX_VIOLATIONS
from executions.engine.transitions.reviews import MAX_REVIEWS, VERDICT_SCHEMA, review_instructions
from workflows.definitions.definition import ForEach, ReviewPolicy, StepDefinition, WorkflowDefinition
from workflows.errors import parts_of

#: Of `max_output_tokens`, where nothing is known of earlier documents: the least, and what is likely.
_LEAST_SHARE, _LIKELY_SHARE = Decimal("0.05"), Decimal("0.25")
_LIKELY_ITEMS = 5  # of a collection of which nothing is known
_LIKELY_TOKENS = 1_000  # of a document of the scope that is not known
_VERDICT_TOKENS = 150  # that a review is likely to write
_BYTES_PER_CHARACTER = 4  # at most, in UTF-8
_TAG_TOKENS = 200  # at most, around one thing that is read
_FAULTS_TOKENS = MAX_VIOLATIONS * 1_000  # at most, of all that is said to be wrong with an output


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The least, what is likely, and the most."""

    low: Decimal
    likely: Decimal
    high: Decimal

    def __add__(self, other: Span) -> Span:
        """Return the sum, each for itself."""
        return Span(low=self.low + other.low, likely=self.likely + other.likely, high=self.high + other.high)

    def times(self, other: Span) -> Span:
        """Return the product, each for itself."""
        return Span(low=self.low * other.low, likely=self.likely * other.likely, high=self.high * other.high)

    def within(self, budget: int) -> Span:
        """Return what is left of it when what is read is cut to so many tokens, which are counted by characters."""
        low, likely = (min(each, Decimal(budget)) for each in (self.low, self.likely))
        most = budget * CHARACTERS_PER_TOKEN * _BYTES_PER_CHARACTER
        return Span(low=low, likely=likely, high=min(self.high, Decimal(most)))


def span(low: float, likely: float, high: float) -> Span:
    """Return a span of numbers, in order whatever was measured."""
    first, last = Decimal(str(min(low, high))), Decimal(str(high))
    return Span(low=first, likely=max(first, min(Decimal(str(likely)), last)), high=last)


ZERO = span(0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHistory:
    """What a step took in earlier executions."""

    executions: int
    calls: float  # made for one document, on average
    items: float  # that it ran for in one execution, on average
    output_low: int  # tokens of one call, at the 10th percentile
    output_likely: int  # at the 50th


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    """What a step may take, over all its items and calls; US dollars are None when a model has no known price."""

    step_id: str
    models: tuple[str, ...]  # that it may ask, as `provider:model`
    calls: Span
    input_tokens: Span
    output_tokens: Span
    cost_usd: Span | None


#: Returns the US dollars of one call: `provider:model`, tokens in, tokens out, and whether caches are used dearly.
Pricing = Callable[[str, int, int, bool], Decimal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a forecast goes by."""

    definition: WorkflowDefinition
    brief: Brief | None
    models: Mapping[str, tuple[str, ...]]  # `provider:model`, then its fallbacks, by what a definition calls it
    past: Mapping[str, StepHistory]  # by the step's id
    scope_documents: Mapping[str, int]  # bytes of those that are there, by type
    price: Pricing


def forecast(basis: Basis) -> list[StepForecast]:
    """Return what each step may take, in the order of the definition."""
    return [_of(basis, step) for step in basis.definition.steps]


def sum_of(parts: Iterable[Span]) -> Span:
    """Return the sum."""
    return sum(parts, start=ZERO)


def total(parts: Iterable[Span | None]) -> Span | None:
    """Return the sum, None when a part is not known."""
    known = list(parts)
    return None if None in known else sum_of(part for part in known if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """Calls that are alike, and what one of them takes."""

    models: tuple[str, ...]
    number: Span
    sent: Span
    written: Span


def _of(basis: Basis, step: StepDefinition) -> StepForecast:
    made = _writing(basis, step)
    parts = [made] if step.review is None else [made, _reviewing(basis, step, step.review, made=made)]
    return StepForecast(
        step_id=step.id,
        models=tuple(dict.fromkeys(model for part in parts for model in part.models)),
        calls=sum_of(part.number for part in parts),
        input_tokens=sum_of(part.sent.times(part.number) for part in parts),
        output_tokens=sum_of(part.written.times(part.number) for part in parts),
        cost_usd=total(_cost(basis, part) for part in parts),
    )


def _writing(basis: Basis, step: StepDefinition) -> _Calls:
    sent = _input(basis, step)
    if step.max_attempts > 1:  # what was wrong, and with what, is sent back
        faults = _FAULTS_TOKENS if step.review is None else max(_FAULTS_TOKENS, step.review.max_output_tokens)
        sent += span(0, 0, step.max_output_tokens + faults)
    return _Calls(
        models=_named(basis, step.model, *step.fallbacks),
        number=_calls(basis, step).times(_items(basis, step)),
        sent=sent,
        written=_output(basis, step),
    )


def _reviewing(basis: Basis, step: StepDefinition, policy: ReviewPolicy, *, made: _Calls) -> _Calls:
    told = len((review_instructions(policy) + json.dumps(VERDICT_SCHEMA)).encode())
    unclear = policy.max_output_tokens + _FAULTS_TOKENS  # a verdict that could not be understood is sent back
    return _Calls(
        models=_named(basis, policy.model),
        number=made.number.times(span(1, 1, MAX_REVIEWS)),
        sent=_input(basis, step) + made.written + span(0, 0, told + unclear + _TAG_TOKENS),
        written=span(20, _VERDICT_TOKENS, policy.max_output_tokens),
    )


def _named(basis: Basis, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for name in names for model in basis.models[name]))


def _cost(basis: Basis, calls: _Calls) -> Span | None:
    """Return US dollars: by the first model that is asked, and at most by the dearest one that may be."""
    sent, written, first = calls.sent, calls.written, calls.models[0]
    low = basis.price(first, int(sent.low), int(written.low), False)
    likely = basis.price(first, int(sent.likely), int(written.likely), False)
    most = [basis.price(model, math.ceil(sent.high), math.ceil(written.high), True) for model in calls.models]
    known = [each for each in most if each is not None]
    if low is None or likely is None or len(known) < len(most):
        return None
    return Span(low=low, likely=likely, high=max(*known, likely)).times(calls.number)


def _calls(basis: Basis, step: StepDefinition) -> Span:
    """Return how often a step asks for one document; at most every attempt, and again after each round of questions."""
    rounds = 0 if step.clarification is None else step.clarification.max_rounds
    most = (rounds + 1) * step.max_attempts
    past = basis.past.get(step.id)
    likely = past.calls if past is not None else 1 + rounds / 2
    return span(1, min(likely, most), most)


def _items(basis: Basis, step: StepDefinition) -> Span:
    """Return for how many items a step runs; 1 for one that goes over no collection."""
    most, likely = 1, 1
    for loop in basis.definition.loops[step.id]:
        limit = _most_items(basis, loop)
        most, likely = min(most * limit, limits().steps), likely * min(_LIKELY_ITEMS, limit)
    past = basis.past.get(step.id)
    return span(1, min(past.items if past is not None else likely, most), most)


def _input(basis: Basis, step: StepDefinition) -> Span:
    """Return what one call that makes a document is sent; at most a token for each byte of what is known already."""
    request = build_request(
        step_id=step.id,
        step=step,
        role=basis.definition.roles[step.role],
        model="",
        inputs=PromptInputs(brief=basis.brief),
        rejected=None,
    )
    items = [_item(basis, loop) for loop in basis.definition.loops[step.id]]
    read = [*(_document(basis, kind, step) for kind in step.inputs), *items]
    return _known(request) + sum_of(read).within(step.input_token_budget) + span(0, 0, _TAG_TOKENS * len(read))


def _known(request: ModelRequest) -> Span:
    tokens = len(request.instructions + request.prompt) / CHARACTERS_PER_TOKEN
    return span(tokens, tokens, max_input_tokens(request))


def _document(basis: Basis, kind: str, step: StepDefinition) -> Span:
    producer = basis.definition.producers.get(kind)
    if producer is not None:
        return _output(basis, producer)
    size = basis.scope_documents.get(kind)
    if size is None:
        return span(0, _LIKELY_TOKENS, step.input_token_budget * CHARACTERS_PER_TOKEN * _BYTES_PER_CHARACTER)
    return span(size / CHARACTERS_PER_TOKEN, size / CHARACTERS_PER_TOKEN, size)


def _item(basis: Basis, loop: ForEach) -> Span:
    """Return an item of a collection: a part of the document, which may have no other."""
    document, limit = _output(basis, basis.definition.producers[loop.document]), _most_items(basis, loop)
    likely = document.likely / min(_LIKELY_ITEMS, limit)
    return Span(low=min(document.low / limit, likely), likely=likely, high=document.high)


def _most_items(basis: Basis, loop: ForEach) -> int:
    """Return how many items a collection may have: as its schema says, where it does so plainly."""
    schema: JsonValue = dict(basis.definition.producers[loop.document].output_schema)
    for part in parts_of(loop.items):
        properties = schema.get("properties") if isinstance(schema, dict) else None
        schema = properties.get(part) if isinstance(properties, dict) else None
    most = schema.get("maxItems") if isinstance(schema, dict) else None
    return max(1, min(loop.max_items, most)) if isinstance(most, int) else loop.max_items


def _output(basis: Basis, step: StepDefinition) -> Span:
    most = step.max_output_tokens
    past = basis.past.get(step.id)
    if past is None:
        return span(float(most * _LEAST_SHARE), float(most * _LIKELY_SHARE), most)
    return span(min(past.output_low, most), past.output_likely, most)
