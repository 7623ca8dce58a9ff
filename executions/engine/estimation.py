"""Estimates of calls, tokens and cost before an execution starts, from prompt sizes and earlier executions."""

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

#: Shares of `max_output_tokens` for steps without earlier executions: minimum and expected.
_MIN_SHARE, _LIKELY_SHARE = Decimal("0.05"), Decimal("0.25")
_EXPECTED_ITEMS = 5  # expected items of a collection without earlier executions
_LIKELY_TOKENS = 1_000  # expected tokens of an unknown document of the scope
_VERDICT_TOKENS = 150  # expected output tokens of a review
_BYTES_PER_CHARACTER = 4  # maximum in UTF-8
_TAG_TOKENS = 200  # maximum for the tag around one material
_VIOLATIONS_TOKENS = MAX_VIOLATIONS * 1_000  # maximum for all violations of one output


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A minimum, an expected value, and a maximum."""

    low: Decimal
    likely: Decimal
    high: Decimal

    def __add__(self, other: Span) -> Span:
        """Return the component-wise sum."""
        return Span(low=self.low + other.low, likely=self.likely + other.likely, high=self.high + other.high)

    def times(self, other: Span) -> Span:
        """Return the component-wise product."""
        return Span(low=self.low * other.low, likely=self.likely * other.likely, high=self.high * other.high)

    def within(self, budget: int) -> Span:
        """Return the span after inputs are cut to this token budget, which is enforced in characters."""
        low, likely = (min(value, Decimal(budget)) for value in (self.low, self.likely))
        max_bytes = budget * CHARACTERS_PER_TOKEN * _BYTES_PER_CHARACTER
        return Span(low=low, likely=likely, high=min(self.high, Decimal(max_bytes)))


def span(low: float, likely: float, high: float) -> Span:
    """Return a span of the numbers, brought into ascending order."""
    first, last = Decimal(str(min(low, high))), Decimal(str(high))
    return Span(low=first, likely=max(first, min(Decimal(str(likely)), last)), high=last)


ZERO = span(0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHistory:
    """Averages of a step over earlier executions."""

    executions: int
    calls: float  # average per document
    items: float  # average items per execution
    output_low: int  # tokens of one call, 10th percentile
    output_likely: int  # tokens of one call, 50th percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    """The estimate of a step, over all its items and calls. Cost is None if a model has no known price."""

    step_id: str
    models: tuple[str, ...]  # models that it may use, as `provider:model`
    calls: Span
    input_tokens: Span
    output_tokens: Span
    cost_usd: Span | None


#: Returns the US dollars of one call for `provider:model`, input and output tokens. True: with expensive cache use.
Pricing = Callable[[str, int, int, bool], Decimal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The data that an estimate is based on."""

    definition: WorkflowDefinition
    brief: Brief | None
    models: Mapping[str, tuple[str, ...]]  # `provider:model` and fallbacks, by the model name in the definition
    past: Mapping[str, StepHistory]  # by step id
    scope_documents: Mapping[str, int]  # bytes of existing documents, by type
    price: Pricing


def forecast(basis: Basis) -> list[StepForecast]:
    """Return the estimate of each step, in the order of the definition."""
    return [_step_forecast(basis, step) for step in basis.definition.steps]


def sum_of(parts: Iterable[Span]) -> Span:
    """Return the sum of the spans."""
    return sum(parts, start=ZERO)


def total(parts: Iterable[Span | None]) -> Span | None:
    """Return the sum of the spans, None if one is unknown."""
    known = list(parts)
    return None if None in known else sum_of(part for part in known if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """Calls of the same kind, and the tokens of one of them."""

    models: tuple[str, ...]
    number: Span
    input_tokens: Span
    output_tokens: Span


def _step_forecast(basis: Basis, step: StepDefinition) -> StepForecast:
    writing = _writing(basis, step)
    parts = [writing] if step.review is None else [writing, _reviewing(basis, step, step.review, writing=writing)]
    return StepForecast(
        step_id=step.id,
        models=tuple(dict.fromkeys(model for part in parts for model in part.models)),
        calls=sum_of(part.number for part in parts),
        input_tokens=sum_of(part.input_tokens.times(part.number) for part in parts),
        output_tokens=sum_of(part.output_tokens.times(part.number) for part in parts),
        cost_usd=total(_cost(basis, part) for part in parts),
    )


def _writing(basis: Basis, step: StepDefinition) -> _Calls:
    input_tokens = _input(basis, step)
    if step.max_attempts > 1:  # the rejected output and its violations are part of the next prompt
        findings = 0 if step.review is None else step.review.max_output_tokens
        violations = max(_VIOLATIONS_TOKENS, findings)
        input_tokens += span(0, 0, step.max_output_tokens + violations)
    return _Calls(
        models=_models(basis, step.model, *step.fallbacks),
        number=_calls_per_document(basis, step).times(_items(basis, step)),
        input_tokens=input_tokens,
        output_tokens=_output(basis, step),
    )


def _reviewing(basis: Basis, step: StepDefinition, policy: ReviewPolicy, *, writing: _Calls) -> _Calls:
    instructions = len((review_instructions(policy) + json.dumps(VERDICT_SCHEMA)).encode())
    # an invalid verdict and its violations are part of the next prompt
    rejected = policy.max_output_tokens + _VIOLATIONS_TOKENS
    return _Calls(
        models=_models(basis, policy.model),
        number=writing.number.times(span(1, 1, MAX_REVIEWS)),
        input_tokens=_input(basis, step) + writing.output_tokens + span(0, 0, instructions + rejected + _TAG_TOKENS),
        output_tokens=span(20, _VERDICT_TOKENS, policy.max_output_tokens),
    )


def _models(basis: Basis, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for name in names for model in basis.models[name]))


def _cost(basis: Basis, calls: _Calls) -> Span | None:
    """Return the cost in US dollars: expected from the first model, the maximum from the most expensive one."""
    input_tokens, output_tokens, first = calls.input_tokens, calls.output_tokens, calls.models[0]
    low = basis.price(first, int(input_tokens.low), int(output_tokens.low), False)
    likely = basis.price(first, int(input_tokens.likely), int(output_tokens.likely), False)
    max_input, max_output = math.ceil(input_tokens.high), math.ceil(output_tokens.high)
    maxima = [basis.price(model, max_input, max_output, True) for model in calls.models]
    known = [each for each in maxima if each is not None]
    if low is None or likely is None or len(known) < len(maxima):
        return None
    return Span(low=low, likely=likely, high=max(*known, likely)).times(calls.number)


def _calls_per_document(basis: Basis, step: StepDefinition) -> Span:
    """Return the calls per document; the maximum is every attempt, repeated after each round of questions."""
    rounds = 0 if step.clarification is None else step.clarification.max_rounds
    maximum = (rounds + 1) * step.max_attempts
    past = basis.past.get(step.id)
    likely = past.calls if past is not None else 1 + rounds / 2
    return span(1, min(likely, maximum), maximum)


def _items(basis: Basis, step: StepDefinition) -> Span:
    """Return the number of items that a step runs for; 1 without a collection."""
    maximum, likely = 1, 1
    for loop in basis.definition.loops[step.id]:
        limit = _max_items(basis, loop)
        maximum, likely = min(maximum * limit, limits().steps), likely * min(_EXPECTED_ITEMS, limit)
    past = basis.past.get(step.id)
    return span(1, min(past.items if past is not None else likely, maximum), maximum)


def _input(basis: Basis, step: StepDefinition) -> Span:
    """Return the input tokens of one writing call; the maximum is one token per byte of known input."""
    request = build_request(
        step_id=step.id,
        step=step,
        role=basis.definition.roles[step.role],
        model="",
        inputs=PromptInputs(brief=basis.brief),
        rejected=None,
    )
    items = [_item(basis, loop) for loop in basis.definition.loops[step.id]]
    parts = [*(_document(basis, kind, step) for kind in step.inputs), *items]
    return _known(request) + sum_of(parts).within(step.input_token_budget) + span(0, 0, _TAG_TOKENS * len(parts))


def _known(request: ModelRequest) -> Span:
    tokens = len(request.instructions + request.prompt) / CHARACTERS_PER_TOKEN
    return span(tokens, tokens, max_input_tokens(request))


def _document(basis: Basis, document_type: str, step: StepDefinition) -> Span:
    producer = basis.definition.producers.get(document_type)
    if producer is not None:
        return _output(basis, producer)
    size = basis.scope_documents.get(document_type)
    if size is None:
        return span(0, _LIKELY_TOKENS, step.input_token_budget * CHARACTERS_PER_TOKEN * _BYTES_PER_CHARACTER)
    return span(size / CHARACTERS_PER_TOKEN, size / CHARACTERS_PER_TOKEN, size)


def _item(basis: Basis, loop: ForEach) -> Span:
    """Return the size of an item: a share of the document, or all of it if there are no other items."""
    document, limit = _output(basis, basis.definition.producers[loop.document]), _max_items(basis, loop)
    likely = document.likely / min(_EXPECTED_ITEMS, limit)
    return Span(low=min(document.low / limit, likely), likely=likely, high=document.high)


def _max_items(basis: Basis, loop: ForEach) -> int:
    """Return the maximum number of items of a collection; `maxItems` in its schema may lower it."""
    schema: JsonValue = dict(basis.definition.producers[loop.document].output_schema)
    for part in parts_of(loop.items):
        properties = schema.get("properties") if isinstance(schema, dict) else None
        schema = properties.get(part) if isinstance(properties, dict) else None
    max_items = schema.get("maxItems") if isinstance(schema, dict) else None
    return max(1, min(loop.most_items, max_items)) if isinstance(max_items, int) else loop.most_items


def _output(basis: Basis, step: StepDefinition) -> Span:
    maximum = step.max_output_tokens
    past = basis.past.get(step.id)
    if past is None:
        return span(float(maximum * _MIN_SHARE), float(maximum * _LIKELY_SHARE), maximum)
    return span(min(past.output_low, maximum), past.output_likely, maximum)
