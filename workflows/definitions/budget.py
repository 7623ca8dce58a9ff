"""Budgets: limits of one execution, in a workflow definition, a start request, or an execution."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_INTEGER = 2**53 - 1  # largest integer that all JSON clients represent exactly


class Budget(BaseModel):
    """Limits of one execution; null: no limit. They are hard: a call that could exceed a limit is not made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cost_usd: Decimal | None = Field(
        default=None, ge=0, max_digits=20, decimal_places=10, description="US dollars for all calls to models."
    )
    max_tokens: int | None = Field(
        strict=True, default=None, ge=0, le=MAX_INTEGER, description="Sum of input and output tokens."
    )
    max_calls: int | None = Field(
        strict=True, default=None, ge=0, le=MAX_INTEGER, description="Calls to models; each try counts."
    )
    max_seconds: float | None = Field(
        strict=True,
        default=None,
        ge=0,
        le=MAX_INTEGER,
        allow_inf_nan=False,
        description="Running time in seconds, without waiting.",
    )

    @field_validator("max_cost_usd")
    @classmethod
    def _unsigned(cls, amount: Decimal | None) -> Decimal | None:
        return None if amount is None else abs(amount)  # removes the sign of a negative zero

    @property
    def has_limits(self) -> bool:
        """Whether there is any limit."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)


def merge_limits(budget: Budget | None, limits: Mapping[str, Any] | None) -> Budget | None:
    """Return the budget with these limits replaced; None if no limit remains."""
    known = {} if budget is None else budget.model_dump()
    budget = Budget(**{**known, **(limits or {})})
    return budget if budget.has_limits else None
