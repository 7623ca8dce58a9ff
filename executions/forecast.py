"""What an execution may take, before it is started: by the sizes of its prompts, and by what earlier ones took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from executions.engine.prompts import CHARACTERS_PER_TOKEN, Given, build_request
from workflows.definition import StepDefinition, WorkflowDefinition

#: Of `max_output_tokens`, where nothing is known of earlier documents: the least, and what is likely.
_LEAST_SHARE, _LIKELY_SHARE = Decimal("0.05"), Decimal("0.25")
_LIKELY_ITEMS = 5  # of a collection of which nothing is known
_VERDICT_TOKENS = 150  # that a review is likely to write


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

    def at_most(self, most: int) -> Span:
        """Return it with nothing in it greater than this."""
        low, likely, high = (min(each, Decimal(most)) for each in (self.low, self.likely, self.high))
        return Span(low=low, likely=likely, high=high)


def span(low: float, likely: float, high: float) -> Span:
    """Return a span of numbers, in order whatever was measured."""
    first, last = Decimal(str(min(low, high))), Decimal(str(high))
    return Span(low=first, likely=max(first, min(Decimal(str(likely)), last)), high=last)


NOTHING = span(0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
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
    models: tuple[str, ...]
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
    brief: str | Mapping[str, JsonValue]
    models: Mapping[str, str]  # `provider:model` by what a definition calls it
    past: Mapping[str, Past]  # by the step's id
    scope_documents: Mapping[str, int]  # characters of those that are there, by type
    price: Pricing


def forecast(basis: Basis) -> list[StepForecast]:
    """Return what each step may take, in the order of the definition."""
    return [_of(basis, step) for step in basis.definition.steps]


def total(parts: Iterable[Span | None]) -> Span | None:
    """Return the sum, None when a part is not known."""
    whole = NOTHING
    for part in parts:
        if part is None:
            return None
        whole += part
    return whole


def _of(basis: Basis, step: StepDefinition) -> StepForecast:
    model, documents = basis.models[step.model], _calls(basis, step).times(_items(basis, step))
    sent, written = _input(basis, step), _output(basis, step)
    calls, tokens_in, tokens_out = documents, sent.times(documents), written.times(documents)
    costs = [_cost(basis, model, sent, written=written, calls=documents)]
    models = [model]
    if step.review is not None:
        reviewer, verdict = basis.models[step.review.model], span(20, _VERDICT_TOKENS, step.review.max_output_tokens)
        read = sent + written
        calls, tokens_in, tokens_out = (
            calls + documents,
            tokens_in + read.times(documents),
            tokens_out + verdict.times(documents),
        )
        costs.append(_cost(basis, reviewer, read, written=verdict, calls=documents))
        models.append(reviewer)
    return StepForecast(
        step_id=step.id,
        models=tuple(dict.fromkeys(models)),
        calls=calls,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=total(costs),
    )


def _cost(basis: Basis, model: str, sent: Span, *, written: Span, calls: Span) -> Span | None:
    low = basis.price(model, int(sent.low), int(written.low), False)
    likely = basis.price(model, int(sent.likely), int(written.likely), False)
    high = basis.price(model, int(sent.high), int(written.high), True)
    if low is None or likely is None or high is None:
        return None
    return Span(low=low, likely=likely, high=max(high, likely)).times(calls)


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
        most, likely = most * loop.limit, likely * min(_LIKELY_ITEMS, loop.limit)
    past = basis.past.get(step.id)
    return span(1, min(past.items if past is not None else likely, most), most)


def _input(basis: Basis, step: StepDefinition) -> Span:
    role = basis.definition.roles[step.role]
    request = build_request(
        step_id=step.id,
        step=step,
        role=role,
        model="",
        given=Given(brief=basis.brief),
        rejected=None,
    )
    text = request.instructions + request.prompt
    fixed = span(len(text) / CHARACTERS_PER_TOKEN, len(text) / CHARACTERS_PER_TOKEN, len(text.encode()))
    read = NOTHING
    for kind in step.inputs:
        producer = basis.definition.producers.get(kind)
        if producer is not None:
            read += _output(basis, producer)
            continue
        size = basis.scope_documents.get(kind)
        known = None if size is None else size / CHARACTERS_PER_TOKEN
        read += span(0, 1_000, step.input_token_budget) if known is None else span(known, known, size or 0)
    return fixed + read.at_most(step.input_token_budget)


def _output(basis: Basis, step: StepDefinition) -> Span:
    most = step.max_output_tokens
    past = basis.past.get(step.id)
    if past is None:
        return span(float(most * _LEAST_SHARE), float(most * _LIKELY_SHARE), most)
    return span(min(past.output_low, most), past.output_likely, most)
