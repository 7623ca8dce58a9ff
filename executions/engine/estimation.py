"""Estimates of calls, tokens and cost before an execution starts, from prompt sizes and earlier executions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pydantic import JsonValue

from common.limits import limits
from executions.engine.domain.brief import BriefFile, with_distinct_names, without_files
from executions.engine.domain.calls import ModelRequest, Reading, max_input_tokens
from executions.engine.domain.execution import Brief
from executions.engine.prompting.attachments import CHARACTERS_PER_TOKEN, choose
from executions.engine.prompting.prompts import PromptInputs, build_request
from executions.engine.prompting.replies import MAX_VIOLATIONS
from executions.engine.transitions.reviews import MAX_REVIEWS, VERDICT_SCHEMA, review_instructions
from workflows.definitions.definition import ForEach, ReviewPolicy, StepDefinition, WorkflowDefinition
from workflows.errors import parts_of

#: Shares of `max_output_tokens` for steps without earlier executions: minimum and expected.
_LEAST_SHARE, _LIKELY_SHARE = Decimal("0.05"), Decimal("0.25")
_LIKELY_ITEMS = 5  # expected items of a collection without earlier executions
_LIKELY_TOKENS = 1_000  # expected tokens of an unknown document of the scope
_VERDICT_TOKENS = 150  # expected output tokens of a review
_BYTES_PER_CHARACTER = 4  # maximum in UTF-8
_TAG_TOKENS = 200  # maximum for the tag around one material
_FAULTS_TOKENS = MAX_VIOLATIONS * 1_000  # maximum for all violations of one output


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
        low, likely = (min(each, Decimal(budget)) for each in (self.low, self.likely))
        most = budget * CHARACTERS_PER_TOKEN * _BYTES_PER_CHARACTER
        return Span(low=low, likely=likely, high=min(self.high, Decimal(most)))


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
    reused: int = 0  # documents that are reused, without a call
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
    files: Sequence[BriefFile]  # of the brief
    document_files: Mapping[str, BriefFile]  # that the scope's documents show, by type
    reading: Callable[[str], Reading]  # which files a `provider:model` reads as they are
    models: Mapping[str, tuple[str, ...]]  # `provider:model` and fallbacks, by the model name in the definition
    past: Mapping[str, StepHistory]  # by step id
    scope_documents: Mapping[str, int]  # bytes of documents that are read as they are, by type
    reused: Mapping[str, int] = field(default_factory=dict)  # documents in place of which no call is made, by step id
    runs: Mapping[str, int] = field(default_factory=dict)  # instances that run, by step id; missing: not known
    price: Pricing


def forecast(basis: Basis) -> list[StepForecast]:
    """Return the estimate of each step, in the order of the definition."""
    return [_of(basis, step) for step in basis.definition.steps]


def sum_of(parts: Iterable[Span]) -> Span:
    """Return the sum of the spans."""
    return sum(parts, start=ZERO)


def total(parts: Iterable[Span | None]) -> Span | None:
    """Return the sum of the spans, None if one is unknown."""
    known = list(parts)
    return None if None in known else sum_of(part for part in known if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """Calls of the same kind, and the tokens of a single call."""

    models: tuple[str, ...]
    number: Span
    sent: Span
    written: Span


def _of(basis: Basis, step: StepDefinition) -> StepForecast:
    reused = basis.reused.get(step.id, 0)
    if basis.runs.get(step.id) == 0:
        spans = {"calls": ZERO, "input_tokens": ZERO, "output_tokens": ZERO, "cost_usd": ZERO}
        return StepForecast(step_id=step.id, reused=reused, models=(), **spans)
    made = _writing(basis, step)
    parts = [made] if step.review is None else [made, _reviewing(basis, step, step.review, made=made)]
    return StepForecast(
        step_id=step.id,
        reused=reused,
        models=tuple(dict.fromkeys(model for part in parts for model in part.models)),
        calls=sum_of(part.number for part in parts),
        input_tokens=sum_of(part.sent.times(part.number) for part in parts),
        output_tokens=sum_of(part.written.times(part.number) for part in parts),
        cost_usd=total(_cost(basis, part) for part in parts),
    )


def _writing(basis: Basis, step: StepDefinition) -> _Calls:
    models = _named(basis, step.model, *step.fallbacks)
    sent = _input(basis, step, models)
    if step.max_attempts > 1:  # the rejected output and its violations are part of the next prompt
        faults = _FAULTS_TOKENS if step.review is None else max(_FAULTS_TOKENS, step.review.max_output_tokens)
        sent += span(0, 0, step.max_output_tokens + faults)
    return _Calls(
        models=models,
        number=_calls(basis, step).times(_items(basis, step)),
        sent=sent,
        written=_output(basis, step),
    )


def _reviewing(basis: Basis, step: StepDefinition, policy: ReviewPolicy, *, made: _Calls) -> _Calls:
    told = len((review_instructions(policy) + json.dumps(VERDICT_SCHEMA)).encode())
    # An invalid verdict and its violations are part of the next prompt.
    unclear = policy.max_output_tokens + _FAULTS_TOKENS
    models = _named(basis, policy.model)
    return _Calls(
        models=models,
        number=made.number.times(span(1, 1, MAX_REVIEWS)),
        sent=_input(basis, step, models) + made.written + span(0, 0, told + unclear + _TAG_TOKENS),
        written=span(20, _VERDICT_TOKENS, policy.max_output_tokens),
    )


def _named(basis: Basis, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for name in names for model in basis.models[name]))


def _cost(basis: Basis, calls: _Calls) -> Span | None:
    """Return the cost in US dollars: expected from the first model, the maximum from the most expensive one."""
    sent, written, first = calls.sent, calls.written, calls.models[0]
    low = basis.price(first, int(sent.low), int(written.low), False)
    likely = basis.price(first, int(sent.likely), int(written.likely), False)
    most = [basis.price(model, math.ceil(sent.high), math.ceil(written.high), True) for model in calls.models]
    known = [each for each in most if each is not None]
    if low is None or likely is None or len(known) < len(most):
        return None
    return Span(low=low, likely=likely, high=max(*known, likely)).times(calls.number)


def _calls(basis: Basis, step: StepDefinition) -> Span:
    """Return the calls per document; the maximum is every attempt, repeated after each round of questions."""
    rounds = 0 if step.clarification is None else step.clarification.max_rounds
    most = (rounds + 1) * step.max_attempts
    past = basis.past.get(step.id)
    likely = past.calls if past is not None else 1 + rounds / 2
    return span(1, min(likely, most), most)


def _items(basis: Basis, step: StepDefinition) -> Span:
    """Return the number of items that a step runs for; 1 without a collection."""
    if (number := basis.runs.get(step.id)) is not None:
        return span(number, number, number)
    most, likely = 1, 1
    for loop in basis.definition.loops[step.id]:
        limit = _most_items(basis, loop)
        most, likely = min(most * limit, limits().steps), likely * min(_LIKELY_ITEMS, limit)
    past = basis.past.get(step.id)
    return span(1, min(past.items if past is not None else likely, most), most)


def _input(basis: Basis, step: StepDefinition, models: Sequence[str]) -> Span:
    """Return the input tokens of one call: expected for the first model, the maximum of all models.

    The maximum is one token per byte of known input, and the maximum of each file that a model reads as it is.
    """
    readings = [*dict.fromkeys(map(basis.reading, models))]
    known = [_known(_request(basis, step, reading)) for reading in readings]
    items = [_item(basis, loop) for loop in basis.definition.loops[step.id]]
    read = [*(_document(basis, kind, step, readings=readings) for kind in step.inputs), *items]
    brief = replace(known[0], high=max(each.high for each in known))
    return brief + sum_of(read).within(step.input_token_budget) + span(0, 0, _TAG_TOKENS * len(read))


def _request(basis: Basis, step: StepDefinition, reading: Reading) -> ModelRequest:
    brief = without_files(basis.brief, [each.id for each in basis.files])
    files = [*with_distinct_names(basis.files)]
    return build_request(
        step_id=step.id,
        step=step,
        role=basis.definition.roles[step.role],
        model="",
        inputs=PromptInputs(brief=brief, files=files, reading=reading),
        rejected=None,
    )


def _known(request: ModelRequest) -> Span:
    attached = sum(each.tokens for each in request.attachments)
    tokens = len(request.instructions + request.prompt) / CHARACTERS_PER_TOKEN + attached
    return span(tokens, tokens, max_input_tokens(request))


def _document(basis: Basis, kind: str, step: StepDefinition, *, readings: Sequence[Reading]) -> Span:
    producer, size = basis.definition.producers.get(kind), basis.scope_documents.get(kind)
    if size is None and producer is not None:
        return _output(basis, producer)
    if size is None:
        return span(0, _LIKELY_TOKENS, step.input_token_budget * CHARACTERS_PER_TOKEN * _BYTES_PER_CHARACTER)
    file = basis.document_files.get(kind)
    free = step.input_token_budget * CHARACTERS_PER_TOKEN
    found = [() if file is None else choose([file], each, shared=(), free=free) for each in readings]
    likely = max([size / CHARACTERS_PER_TOKEN, *(each.tokens for each in found[0])])
    most = max([size, *(each.max_tokens for attached in found for each in attached)])
    return span(size / CHARACTERS_PER_TOKEN, likely, most)


def _item(basis: Basis, loop: ForEach) -> Span:
    """Return the size of an item: a share of the document, or all of it if there are no other items."""
    document, limit = _output(basis, basis.definition.producers[loop.document]), _most_items(basis, loop)
    likely = document.likely / min(_LIKELY_ITEMS, limit)
    return Span(low=min(document.low / limit, likely), likely=likely, high=document.high)


def _most_items(basis: Basis, loop: ForEach) -> int:
    """Return the maximum number of items of a collection; `maxItems` in its schema may lower it."""
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
