"""Questions that a step asks people, and the rounds of questions. `answer_validation.py` checks the answers."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainValidator, WithJsonSchema

from workflows.definitions.definition import OnDeadline

MAX_NUMBER = 2**53 - 1  # the greatest integer that every JSON reader represents exactly
MAX_TEXT = 20_000  # characters of one answer
MAX_CHOICES = 20
BY_DEADLINE = "the deadline"  # `answered_by` when the deadline passed without an answer; user names contain no spaces


class AnswerType(StrEnum):
    """Kinds of answers."""

    FREE_TEXT = "free_text"
    SINGLE_CHOICE = "single_choice"
    MULTI_CHOICE = "multi_choice"
    YES_NO = "yes_no"
    NUMBER = "number"
    #: ISO 8601, YYYY-MM-DD.
    DATE = "date"
    #: The id of an uploaded file.
    FILE = "file"


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")
    return value


#: A number that keeps its notation: 3 does not become 3.0.
Number = Annotated[int | float, PlainValidator(_number), WithJsonSchema({"type": "number"})]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Value):
    """One of the answers offered by a choice question."""

    value: str = Field(min_length=1, max_length=200)
    label: str = Field(min_length=1, max_length=500)


class QuestionDraft(_Value):
    """A question as the model asks it. Its JSON schema is the schema of the `ask_clarification` tool."""

    text: str = Field(min_length=3, max_length=1000, description="One question about one thing, in plain words.")
    answer_type: AnswerType = AnswerType.FREE_TEXT
    required: bool = True
    choices: tuple[Choice, ...] = Field(
        default=(), max_length=MAX_CHOICES, description="For single_choice and multi_choice only."
    )
    default: JsonValue = Field(default=None, description="What you would assume without an answer; it has to fit.")
    why: str = Field(default="", max_length=1000, description="What depends on the answer.")
    minimum: Number | None = Field(default=None, description="Least number; for number only.")
    maximum: Number | None = Field(default=None, description="Greatest number; for number only.")
    integer: bool = Field(default=False, description="Whole numbers only; for number only.")
    earliest: date | None = Field(default=None, description="First day, YYYY-MM-DD; for date only.")
    latest: date | None = Field(default=None, description="Last day, YYYY-MM-DD; for date only.")
    min_length: int | None = Field(default=None, ge=1, le=MAX_TEXT, description="Characters; for free_text only.")
    max_length: int | None = Field(default=None, ge=1, le=MAX_TEXT, description="Characters; for free_text only.")
    min_choices: int | None = Field(default=None, ge=1, le=MAX_CHOICES, description="For multi_choice only.")
    max_choices: int | None = Field(default=None, ge=1, le=MAX_CHOICES, description="For multi_choice only.")

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values of the choices."""
        return tuple(dict.fromkeys(choice.value for choice in self.choices))


class Question(QuestionDraft):
    """A question that was asked. Its id is unique within the execution and names its round."""

    id: str


class ClarificationRound(_Value):
    """One set of questions of one step, open until `answered_at` is set."""

    number: int
    questions: tuple[Question, ...]
    asked_at: datetime
    expires_at: datetime | None = None  # None: the questions stay open without a deadline
    on_deadline: OnDeadline | None = None  # what happens at the deadline; None when there is no deadline
    answers: dict[str, JsonValue] | None = None  # by question id; None while open
    answered_at: datetime | None = None
    answered_by: str | None = None  # user name, or BY_DEADLINE

    @property
    def due_at(self) -> datetime | None:
        """When the deadline takes effect if the round is still open then; None: never."""
        waits = self.answered_at is not None or self.on_deadline is OnDeadline.WAIT
        return None if waits else self.expires_at

    def is_overdue(self, now: datetime) -> bool:
        """Return whether the round is still open although its deadline has passed and takes effect."""
        return self.due_at is not None and self.due_at <= now

    def reopened(self, now: datetime) -> ClarificationRound:
        """Return the round with its questions asked anew: people get the same time as before."""
        expires_at = None if self.expires_at is None else now + (self.expires_at - self.asked_at)
        return self.model_copy(update={"asked_at": now, "expires_at": expires_at})


def number_questions(step_id: str, round_number: int, drafts: tuple[QuestionDraft, ...]) -> tuple[Question, ...]:
    """Return the questions with ids `<step>.<round>.<n>`."""
    return tuple(
        Question(id=f"{step_id}.{round_number}.{n}", **draft.model_dump()) for n, draft in enumerate(drafts, start=1)
    )
