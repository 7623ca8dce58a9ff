"""What an execution may take: the least is no more than what is likely, and that no more than the most."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.forecast import Basis, Past, StepForecast, forecast, span, total
from tests.engine.collections import collection, over
from tests.engine.world import LINE, definition
from workflows.definition import WorkflowDefinition


def dollars(model: str, sent: int, written: int, dearest: bool) -> Decimal | None:
    """Return a price: a dollar for a million tokens read, two for those written; nobody knows that of `unknown`."""
    return None if model == "unknown" else Decimal(sent + 2 * written) / 1_000_000


def of(flow: WorkflowDefinition = LINE, **more: Any) -> list[StepForecast]:
    """Return a forecast."""
    names = {name for step in flow.steps for name in step.model_names}
    given: dict[str, Any] = {
        "definition": flow,
        "brief": "The brief.",
        "models": {name: name for name in names},
        "past": {},
        "scope_documents": {},
        "price": dollars,
        **more,
    }
    return forecast(Basis(**given))


def past(**changes: Any) -> Past:
    """Return what a step took."""
    return Past(**{"executions": 5, "calls": 1.5, "items": 1.0, "output_low": 300, "output_likely": 700, **changes})


def test_a_step_reads_what_the_steps_before_it_may_write() -> None:
    one, two = of()
    assert float(two.input_tokens.likely - one.input_tokens.likely) == pytest.approx(2_000, rel=0.05)
    assert one.output_tokens.high == 8_000 * 3  # every attempt as long as it may be
    assert one.calls == span(1, 1, 3)


def test_what_earlier_executions_took_is_likely() -> None:
    [one, _] = of(past={"one": past()})
    assert one.calls.likely == Decimal("1.5")
    assert one.output_tokens.likely == Decimal("1.5") * 700
    assert one.output_tokens.low == 300


def test_questions_reviews_and_items_are_counted() -> None:
    flow = definition(
        {"id": "epics", "output_schema": collection("epics"), "clarification": {"max_rounds": 2}},
        {"id": "design", "for_each": over("epics", "epic", limit=40), "review": {"rubric": "Short."}},
    )
    epics, design = of(flow)
    assert epics.calls.high == 3 * 3
    assert design.calls == span(2, 10, 40 * 3 * 2)
    assert design.models == ("standard", "strong")
    [_, design] = of(flow, past={"design": past(items=12.0, calls=1.0)})
    assert design.calls.likely == 24


def test_a_price_that_nobody_knows_makes_its_step_and_the_whole_unknown() -> None:
    flow = definition({"id": "one", "model": "unknown"}, {"id": "two"})
    one, two = of(flow)
    assert one.cost_usd is None
    assert two.cost_usd is not None
    assert total([one.cost_usd, two.cost_usd]) is None


def test_documents_of_the_scope_count_with_their_size_and_no_more_than_the_step_reads() -> None:
    flow = definition({"id": "one", "inputs": ["charter"], "input_token_budget": 5_000}, scope_documents=["charter"])
    [unknown], [small], [large] = (
        of(flow),
        of(flow, scope_documents={"charter": 400}),
        of(flow, scope_documents={"charter": 10**6}),
    )
    assert small.input_tokens.likely < unknown.input_tokens.likely < large.input_tokens.likely
    assert large.input_tokens.likely - small.input_tokens.likely == 5_000 - 100


@given(
    st.text(max_size=2_000),
    st.integers(1, 10),
    st.integers(100, 9_000),
    st.floats(1, 12),
    st.floats(1, 50),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
)
def test_spans_are_in_order_whatever_was_measured(
    brief: str, attempts: int, longest: int, calls: float, items: float, low: int, likely: int
) -> None:
    flow = definition(
        {"id": "one", "max_attempts": attempts, "max_output_tokens": longest, "clarification": {}},
        {"id": "two", "inputs": ["one"], "review": {"rubric": "Short."}},
    )
    measured = past(calls=calls, items=items, output_low=low, output_likely=likely)
    for step in of(flow, brief=brief or "x", past={"one": measured, "two": measured}):
        assert step.cost_usd is not None
        for each in (step.calls, step.input_tokens, step.output_tokens, step.cost_usd):
            assert 0 <= each.low <= each.likely <= each.high
    assert span(5, 1, 3).likely == 3
