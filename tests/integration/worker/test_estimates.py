"""Estimates: minimum ≤ expected value ≤ maximum."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from executions.engine.domain.brief import BriefFile, Passage
from executions.engine.domain.calls import TEXT_ONLY, Reading
from executions.engine.estimation import Basis, Span, StepForecast, StepHistory, forecast, span, total
from tests.factories.collections import collection, delivery, over
from tests.factories.engine import LINE, definition
from workflows.definitions.definition import WorkflowDefinition


def dollars(model: str, sent: int, written: int, dearest: bool) -> Decimal | None:
    """Return a price in dollars per million tokens: 1 for input, 2 for output; `unknown` has no price."""
    return None if model == "p:unknown" else Decimal(sent + 2 * written) / 1_000_000


def of(flow: WorkflowDefinition = LINE, **more: Any) -> list[StepForecast]:
    """Return a forecast."""
    names = {name for step in flow.steps for name in step.model_names}
    given: dict[str, Any] = {
        "definition": flow,
        "files": (),
        "document_files": {},
        "reading": lambda _: TEXT_ONLY,
        "brief": "The brief.",
        "models": {name: (name,) for name in names},
        "past": {},
        "scope_documents": {},
        "price": dollars,
        **more,
    }
    return forecast(Basis(**given))


def past(**changes: Any) -> StepHistory:
    """Return what a step took."""
    return StepHistory(
        **{"executions": 5, "calls": 1.5, "items": 1.0, "output_low": 300, "output_likely": 700, **changes}
    )


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
    assert design.calls == span(2, 10, 40 * 3 * (1 + 3))  # a review is asked for up to three times
    assert design.models == ("standard", "strong")
    [_, design] = of(flow, past={"design": past(items=12.0, calls=1.0)})
    assert design.calls.likely == 24


def test_no_more_items_are_expected_than_the_schema_allows_or_an_execution_may_have_steps() -> None:
    schema = collection("epics")
    schema["properties"]["epics"]["maxItems"] = 7
    flow = definition({"id": "epics", "output_schema": schema}, {"id": "design", "for_each": over("epics", "epic")})
    assert of(flow)[1].calls.high == 7 * 3
    endless = delivery()
    assert [step.calls.high for step in of(endless) if step.step_id in {"design", "test"}] == [1_000 * 3, 10_000 * 3]


def test_an_unknown_price_makes_its_step_and_the_sum_unknown() -> None:
    flow = definition({"id": "one", "model": "p:unknown"}, {"id": "two"})
    one, two = of(flow)
    assert one.cost_usd is None
    assert two.cost_usd is not None
    assert total([one.cost_usd, two.cost_usd]) is None


def test_the_dearest_model_that_may_be_asked_is_the_most() -> None:
    flow = definition({"id": "one", "fallbacks": ["p:dear"]})

    def price(model: str, sent: int, written: int, dearest: bool) -> Decimal | None:
        return (dollars(model, sent, written, dearest) or Decimal(0)) * (10 if model in {"p:dear", "p:dearer"} else 1)

    [cheap], [fallback] = of(definition({"id": "one"}), price=price), of(flow, price=price)
    assert cheap.cost_usd is not None
    assert fallback.cost_usd == Span(
        low=cheap.cost_usd.low, likely=cheap.cost_usd.likely, high=cheap.cost_usd.high * 10
    )
    assert fallback.models == ("standard", "p:dear")
    [alias] = of(models={"standard": ("standard", "p:dearer")}, price=price)[:1]
    assert alias.cost_usd == fallback.cost_usd
    [unknown] = of(definition({"id": "one", "fallbacks": ["p:unknown"]}))
    assert unknown.cost_usd is None


def test_items_are_read_as_parts_of_their_collection() -> None:
    flow = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "plain"},
        {"id": "design", "for_each": over("epics", "epic")},
    )
    _, plain, design = of(flow)
    once = design.input_tokens.likely / design.calls.likely
    assert float(once - plain.input_tokens.likely) == pytest.approx(2_000 / 5, rel=0.05)


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


def test_a_file_that_a_model_reads_as_it_is_counts_by_its_pages() -> None:
    text = "Lend 400 tools. " * 25  # 400 characters
    plan = BriefFile(
        id=uuid7(),
        name="plan.pdf",
        media_type="application/pdf",
        passages=tuple(Passage(anchor=f"page={number}", text=text) for number in (1, 2, 3)),
        pages=3,
    )
    flow = definition({"id": "one", "model": "sees:m", "fallbacks": ["reads:m"], "max_attempts": 1})
    readings = {"sees:m": Reading(pdfs=True, picture_tokens=3_000), "reads:m": TEXT_ONLY}
    [seen] = of(flow, files=[plan], reading=readings.__getitem__)
    [read] = of(flow, files=[plan], reading=lambda _: TEXT_ONLY)
    [without] = of(flow)
    assert 200 < read.input_tokens.low - without.input_tokens.low < 400
    assert 3 * (1_000 + 100) <= seen.input_tokens.low - without.input_tokens.low < 3_400
    assert 3 * (3_000 + 400) < seen.input_tokens.high - without.input_tokens.high < 12_000
    of_scope = definition({"id": "one", "inputs": ["charter"]}, scope_documents=["charter"])
    known = {"scope_documents": {"charter": 1_200}, "document_files": {"charter": plan}}
    [document] = of(of_scope, reading=lambda _: readings["sees:m"], **known)
    assert document.input_tokens.likely > 3 * (1_000 + 100)
