"""A reply without token counts: the ledger keeps its maximum cost and usage."""

from __future__ import annotations

from decimal import Decimal

from executions.engine.domain.budget_usage import BudgetUsage
from executions.engine.domain.calls import Usage
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions.core import Change, Context
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import LINE, document

AT_MOST = Decimal("0.1000000000")
UNCOUNTED = document().model_copy(update={"usage": Usage(), "usage_known": False, "cost_usd": None})


async def spent(world: AnyWorld) -> BudgetUsage:
    """Return what the execution's budget counts."""
    found: list[BudgetUsage] = []

    def look(execution: Execution, context: Context) -> Change:
        found.append(context.spent())
        return Change(execution=execution)

    await world.decide(look)
    return found[0]


async def test_a_reply_without_token_counts_keeps_its_maximum(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    world = world_of(LINE, {"one": [UNCOUNTED], "two": [document()]})
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.estimated_cost_usd = AT_MOST
    await world.start()
    execution = await world.runner("a").run()
    assert execution.status is ExecutionStatus.COMPLETED
    [uncounted] = await world.ports.ledger.calls(world.execution_id, "one")
    [counted] = await world.ports.ledger.calls(world.execution_id, "two")
    assert (uncounted.estimated_cost_usd, counted.estimated_cost_usd) == (AT_MOST, None)
    assert uncounted.reserved_tokens > 500
    assert counted.reserved_tokens == 0
    assert counted.reply is not None
    assert counted.reply.cost_usd is not None
    whole = await spent(world)
    assert whole.cost_usd == AT_MOST + counted.reply.cost_usd
    assert whole.tokens == uncounted.reserved_tokens + counted.reply.usage.total_tokens
