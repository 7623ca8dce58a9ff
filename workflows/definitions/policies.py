"""What a step of a workflow may do besides asking a model: ask people, be reviewed, wait, and try again."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

#: What a workflow calls models by, besides their names; the server's settings say what they stand for.
ALIASES = ("fast", "standard", "strong")
_MODEL = re.compile(r"[a-z0-9][a-z0-9/_-]*:\S+")
MAX_DEADLINE = 365 * 86_400  # seconds
MAX_TOKENS = 10_000_000  # of a prompt or a reply; no model takes so many


ModelName = Annotated[str, Field(min_length=1, max_length=200)]


def is_model(name: str) -> bool:
    """Whether a name is an alias, or looks like `provider:model`."""
    return name in ALIASES or _MODEL.fullmatch(name) is not None


class FrozenModel(BaseModel):
    """A part of a definition: it never changes, and has no fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class BriefPolicy(StrEnum):
    """Whether an execution is started with a brief."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    #: The workflow reads the documents of the scope alone.
    NONE = "none"


class OnDeadline(StrEnum):
    """What happens when nobody has answered in time."""

    #: The defaults stand in; a required question without one fails the step.
    DEFAULTS = "defaults"
    FAIL = "fail"
    #: Nothing: the deadline is there for people to see.
    WAIT = "wait"


class ClarificationPolicy(FrozenModel):
    """How far a step may go in asking people, and how long it waits for them."""

    max_rounds: int = Field(strict=True, default=3, ge=1, le=10, description="How often it may ask.")
    max_questions: int = Field(strict=True, default=5, ge=1, le=20, description="Questions in one round.")
    deadline_seconds: float | None = Field(
        strict=True,
        default=None,
        gt=0,
        le=MAX_DEADLINE,
        allow_inf_nan=False,
        description="From asking; null: it waits for ever.",
    )
    on_deadline: OnDeadline = Field(default=OnDeadline.DEFAULTS, description="What happens when nobody has answered.")


class RetryPolicy(FrozenModel):
    """How a step meets a provider that cannot answer for now: overloaded, out of reach, or too slow."""

    max_tries: int | None = Field(
        strict=True,
        default=None,
        ge=1,
        le=20,
        description="Calls made for one attempt, of each model; 1: never again. Without it `patience_seconds` decides.",
    )
    patience_seconds: float | None = Field(
        strict=True,
        default=None,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description=(
            "Time from the first failure in which it is asked again, and at least five times in all. "
            "Without it: the server's `MODEL_PATIENCE_SECONDS`; with `max_tries` alone: any time."
        ),
    )
    base_seconds: float = Field(
        strict=True,
        default=1.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Longest wait after the first failure.",
    )
    cap_seconds: float = Field(
        strict=True,
        default=30.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="The wait doubles with every failure up to this.",
    )


class AcceptancePolicy(FrozenModel):
    """The document waits for a person, who accepts it, rejects it or asks for changes."""

    instructions: str = Field(default="", max_length=2000, description="What the person should look at.")


class ReviewPolicy(FrozenModel):
    """Another model judges the document by a rubric. What it finds is sent back, as invalid output is."""

    rubric: str = Field(min_length=1, max_length=20_000, description="By what the document is judged.")
    model: ModelName = Field(default="strong", description="Alias or provider:model of the reviewer.")
    max_output_tokens: int = Field(strict=True, default=2_000, ge=100, le=MAX_TOKENS, description="Longest verdict.")


class OnExhausted(StrEnum):
    """What happens when none of the outputs that a step may try was good enough."""

    FAIL = "fail"
    #: A person decides about the last document that was valid; without one the step fails.
    ACCEPTANCE = "acceptance"
