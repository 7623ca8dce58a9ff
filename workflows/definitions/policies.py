"""Policies of steps: brief, questions, retries, acceptance and review."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema

#: Aliases of models; the server's settings map them to models.
ALIASES = ("fast", "standard", "strong")
_MODEL = re.compile(r"[a-z0-9][a-z0-9/_-]*:\S+")
MAX_DEADLINE = 365 * 86_400  # seconds
MAX_TOKENS = 10_000_000  # of a prompt or a reply; above the limits of all models
MAX_TEMPLATE = 64 * 1024  # characters
MAX_ASSIGNEES = 50  # of one step


ModelName = Annotated[str, Field(min_length=1, max_length=200)]
#: A Markdown template. Its first lines stay, because errors name lines.
Template = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEMPLATE, strip_whitespace=False)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
UserName = Annotated[str, Field(min_length=1, max_length=150)]


def is_model(name: str) -> bool:
    """Return whether a name is an alias, or has the form `provider:model`."""
    return name in ALIASES or _MODEL.fullmatch(name) is not None


class FrozenModel(BaseModel):
    """Base class of definition parts: immutable, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class BriefPolicy(StrEnum):
    """Whether a start needs a brief."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    #: The workflow reads only documents of the scope.
    NONE = "none"


class OnDeadline(StrEnum):
    """What happens when a deadline passes without answers."""

    #: The default answers apply; a required question without a default fails the step.
    DEFAULTS = "defaults"
    FAIL = "fail"
    #: Nothing happens: the deadline is only displayed.
    WAIT = "wait"


class ClarificationPolicy(FrozenModel):
    """Limits and deadline of a step's questions to people."""

    max_rounds: int = Field(strict=True, default=3, ge=1, le=10, description="Max rounds of questions.")
    max_questions: int = Field(strict=True, default=5, ge=1, le=20, description="Max questions in one round.")
    deadline_seconds: float | None = Field(
        strict=True,
        default=None,
        gt=0,
        le=MAX_DEADLINE,
        allow_inf_nan=False,
        description="Seconds to answer; null: no deadline.",
    )
    on_deadline: OnDeadline = Field(default=OnDeadline.DEFAULTS, description="What happens after the deadline.")


class RetryPolicy(FrozenModel):
    """Retries of calls after temporary errors: the provider is overloaded, unreachable or too slow."""

    max_tries: int | None = Field(
        strict=True,
        default=None,
        ge=1,
        le=20,
        description="Max calls to each model per attempt; 1: no retry. Default: limited by `patience_seconds`.",
    )
    patience_seconds: float | None = Field(
        strict=True,
        default=None,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description=(
            "Time for retries, from the first failure; at least five calls are made. "
            "Default: the server's `MODEL_PATIENCE_SECONDS`; if only `max_tries` is set: no time limit."
        ),
    )
    base_seconds: float = Field(
        strict=True,
        default=1.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Max wait after the first failure.",
    )
    cap_seconds: float = Field(
        strict=True,
        default=30.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="Upper limit of the wait, which doubles with each failure.",
    )


class AcceptancePolicy(FrozenModel):
    """A person has to accept the document, reject it, or request changes."""

    instructions: str = Field(default="", max_length=2000, description="What the person should check.")


def _votes(value: object) -> int | Literal["all"]:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ASSIGNEES:
        return value
    if value == "all":
        return "all"
    raise ValueError(f"expected a whole number from 1 to {MAX_ASSIGNEES}, or all")


_VOTES = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_ASSIGNEES}, {"type": "string", "const": "all"}]}
#: One type, so that an error has the place of the field.
Votes = Annotated[int | Literal["all"], PlainValidator(_votes), WithJsonSchema(_VOTES)]


class ApproversPolicy(FrozenModel):
    """Votes that accept a document. One rejection, or one request for changes, decides."""

    required: Votes = Field(
        default=1, description="Number of votes that accept the document; all: those of all assignees."
    )
    four_eyes: bool = Field(
        strict=True,
        default=False,
        description="Whether the user who started the execution, and the one who edited the version, have no vote.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPolicy:
    """Who acts on a step that waits for people, and until when."""

    assignees: tuple[str, ...] = ()  # user names; empty: all users with the role
    approvers: ApproversPolicy | None = None  # None: one decision of a reviewer is enough
    due_seconds: float | None = None  # None: no due date
    remind_seconds_before: float | None = None  # before the due date; None: no reminder


ANY_REVIEWER = WaitPolicy()


class ReviewPolicy(FrozenModel):
    """Another model reviews the document by a rubric. Its findings go back to the author, like schema errors."""

    rubric: str = Field(min_length=1, max_length=20_000, description="Criteria of the review.")
    model: ModelName = Field(default="strong", description="Alias or provider:model of the reviewer.")
    max_output_tokens: int = Field(
        strict=True, default=2_000, ge=100, le=MAX_TOKENS, description="Max length of the review."
    )


class OnExhausted(StrEnum):
    """What happens when no output within `max_attempts` was good enough."""

    FAIL = "fail"
    #: A person decides about the last valid document; without one the step fails.
    ACCEPTANCE = "acceptance"
