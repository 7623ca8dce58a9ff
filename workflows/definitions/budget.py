"""What an execution may spend at most: part of a workflow's definition, of a start, and of an execution."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST = 2**53 - 1  # what every client's JSON can count


class Budget(BaseModel):
    """Limits of one execution; null: none. They are hard: a call that might pass one is not made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cost_usd: Decimal | None = Field(
        default=None, ge=0, max_digits=20, decimal_places=10, description="US dollars, for all calls to models."
    )
    max_tokens: int | None = Field(
        strict=True, default=None, ge=0, le=MOST, description="Tokens of all buckets together."
    )
    max_calls: int | None = Field(
        strict=True, default=None, ge=0, le=MOST, description="Calls to models, each try counted."
    )
    max_seconds: float | None = Field(
        strict=True,
        default=None,
        ge=0,
        le=MOST,
        allow_inf_nan=False,
        description="Running time; waiting does not count.",
    )

    @field_validator("max_cost_usd")
    @classmethod
    def _unsigned(cls, amount: Decimal | None) -> Decimal | None:
        return None if amount is None else abs(amount)  # there is a negative zero

    @property
    def has_limits(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)
