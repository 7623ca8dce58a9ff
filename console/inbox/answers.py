"""The form for a step's questions: inputs by answer type, and what they send as answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from common.errors import FieldError
from common.json_pointer import pointer
from executions.engine.domain.clarification import MAX_TEXT, AnswerType, ClarificationRound, Question
from workflows.definitions.definition import OnDeadline

PREFIX = "answers."
#: What happens at the deadline of questions.
AFTER_DEADLINE = {
    OnDeadline.DEFAULTS: gettext_lazy("then the default answers apply"),
    OnDeadline.FAIL: gettext_lazy("then the step fails"),
    OnDeadline.WAIT: gettext_lazy("later answers are accepted, too"),
}
#: Bounds of an answer: both, the lower, the upper.
_CHARACTERS = (
    gettext_lazy("%(low)s to %(high)s characters"),
    gettext_lazy("at least %(low)s characters"),
    gettext_lazy("at most %(high)s characters"),
)
_CHOICES = (
    gettext_lazy("%(low)s to %(high)s choices"),
    gettext_lazy("at least %(low)s choices"),
    gettext_lazy("at most %(high)s choices"),
)
_VALUES = (gettext_lazy("%(low)s to %(high)s"), gettext_lazy("at least %(low)s"), gettext_lazy("at most %(high)s"))
_YES_NO = (("true", gettext_lazy("Yes")), ("false", gettext_lazy("No")))


@dataclass(slots=True)
class AnswerField:
    """A question with what its input shows."""

    question: Question
    number: int
    values: list[str]
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the input."""
        return f"{PREFIX}{self.question.id}"

    @property
    def identity(self) -> str:
        """The id of the input."""
        return f"answer-{self.number}"

    @property
    def kind(self) -> str:
        """The answer type."""
        return self.question.answer_type.value

    @property
    def value(self) -> str:
        """The value of an input that has one."""
        return self.values[0] if self.values else ""

    @property
    def most_characters(self) -> int:
        """Maximum length of a free text."""
        return self.question.max_length or MAX_TEXT

    @property
    def is_choice(self) -> bool:
        """Whether the input is a group of options."""
        return bool(self.options)

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        """The options: value, label, and whether it is chosen."""
        if self.question.answer_type is AnswerType.YES_NO:
            pairs: Iterable[tuple[str, str]] = ((value, str(label)) for value, label in _YES_NO)
        else:
            pairs = ((each.value, each.label) for each in self.question.choices)
        return [(value, label, value in self.values) for value, label in pairs]

    @property
    def bounds(self) -> str:
        """The bounds of an answer in words; empty without bounds."""
        asked = self.question
        low, high, (between, least, most) = {
            AnswerType.FREE_TEXT: (asked.min_length, asked.max_length, _CHARACTERS),
            AnswerType.MULTI_CHOICE: (asked.min_choices, asked.max_choices, _CHOICES),
            AnswerType.NUMBER: (asked.minimum, asked.maximum, _VALUES),
            AnswerType.DATE: (asked.earliest, asked.latest, _VALUES),
        }.get(asked.answer_type, (None, None, _VALUES))
        words = [gettext("whole numbers")] if asked.integer else []
        if low is not None and high is not None:
            words.append(between % {"low": low, "high": high})
        elif low is not None or high is not None:
            words.append(least % {"low": low} if high is None else most % {"high": high})
        return ", ".join(words)


@dataclass(slots=True)
class AnswerForm:
    """The questions of one round with what a person has typed."""

    round: ClarificationRound
    fields: list[AnswerField]
    sentences: list[str] = field(default_factory=list)  # errors that have no field

    @classmethod
    def begin(cls, asked: ClarificationRound) -> AnswerForm:
        """Return the form with the defaults."""
        return cls(asked, [AnswerField(each, n, _shown(each.default)) for n, each in enumerate(asked.questions, 1)])

    @classmethod
    def receive(cls, asked: ClarificationRound, sent: QueryDict) -> AnswerForm:
        """Return the form with what it has sent."""
        questions = enumerate(asked.questions, 1)
        return cls(asked, [AnswerField(each, n, sent.getlist(f"{PREFIX}{each.id}")) for n, each in questions])

    @property
    def answers(self) -> dict[str, Any]:
        """The answers by question id, without empty ones."""
        found = {each.question.id: _answer(each) for each in self.fields}
        return {name: value for name, value in found.items() if value not in (None, "", [])}

    @property
    def deadline(self) -> str:
        """What happens at the deadline; empty without one."""
        return str(AFTER_DEADLINE[self.round.on_deadline]) if self.round.on_deadline else ""

    @property
    def has_faults(self) -> bool:
        """Whether a field or the form has an error."""
        return bool(self.sentences) or any(each.faults for each in self.fields)

    def refuse(self, errors: Iterable[FieldError], sentence: str) -> None:
        """Keep errors for their fields; without such an error, the sentence."""
        fields: Mapping[str, AnswerField] = {pointer("answers", each.question.id): each for each in self.fields}
        placed = [(fields[each.pointer], each.detail) for each in errors if each.pointer in fields]
        for place, detail in placed:
            place.faults.append(detail)
        if not placed:
            self.sentences.append(sentence)


def _shown(default: Any) -> list[str]:
    """Return the values of an input that shows a default."""
    if default is None:
        return []
    if isinstance(default, bool):
        return ["true" if default else "false"]
    return [str(each) for each in default] if isinstance(default, list) else [str(default)]


def _answer(sent: AnswerField) -> Any:
    """Return the answer in the form of the API. A number that is none stays a text, which is refused."""
    if sent.question.answer_type is AnswerType.MULTI_CHOICE:
        return sent.values
    text = sent.value
    if sent.question.answer_type is AnswerType.YES_NO:
        return {"true": True, "false": False}.get(text)
    if sent.question.answer_type is AnswerType.NUMBER:
        return _number(text.strip())
    return text


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if isfinite(found) and "_" not in text else text
    return text
