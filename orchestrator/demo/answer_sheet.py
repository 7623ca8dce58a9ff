"""Answers and decisions from a file; `examples/answers/tool-library.yaml` explains the format."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from common.sources.text_source import SourceError, read_text
from common.sources.yaml_source import read_yaml
from orchestrator.demo.answers import Question, contains_words, convert_answer, words_of
from orchestrator.demo.server import DemoError


def _as_list(value: Any) -> Any:
    """Wrap a single value in a list."""
    return [value] if isinstance(value, str | int | float) else value


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Answer(_StrictModel):
    """An answer, and the words or phrases of the questions that it applies to."""

    about: Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
    answer: Any


class _Decision(_StrictModel):
    """A decision about the document of a step; `round` counts the requests of the step."""

    decision: Literal["accept", "reject", "request_changes"]
    step: str | None = None
    round: Annotated[int, Field(ge=1, strict=True)] | None = None
    comment: str = ""


class _Sheet(_StrictModel):
    answers: list[_Answer] = []
    otherwise: Any = None
    decisions: list[_Decision] = []


class AnswerSheet:
    """An answer file. An invalid file is rejected before the server starts."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            DemoError: the file is unreadable or invalid; the message lists all errors.
        """
        try:
            content: Any = read_yaml(read_text(path)).value
            self._sheet = _Sheet.model_validate({} if content is None else content)
        except SourceError as error:
            raise DemoError(f"The answers in {path} cannot be read: {error}") from error
        except ValidationError as error:
            raise DemoError("\n".join([f"The answers in {path} are invalid:", *_error_lines(error)])) from error
        self._rounds: Counter[str] = Counter()

    def answer(self, question: Question) -> Any:
        """Return an answer of the question's type; None if the file has none."""
        words = words_of(question["text"])
        for entry in self._sheet.answers:
            if any(contains_words(words, words_of(each)) for each in entry.about):
                converted = convert_answer(question, entry.answer)
                if converted is not None:
                    return converted
        return convert_answer(question, self._sheet.otherwise)

    def decide(self, step_id: str) -> dict[str, str] | None:
        """Return the decision about a step's document in this round; None if the file has none."""
        self._rounds[step_id] += 1
        for entry in self._sheet.decisions:
            fits_step = entry.step in {None, step_id, step_id.partition("@")[0]}
            if fits_step and entry.round in {None, self._rounds[step_id]}:
                return {"decision": entry.decision, "comment": entry.comment}
        return None


def _error_lines(error: ValidationError) -> list[str]:
    places = ((".".join(map(str, each["loc"])) or "the file", each["msg"]) for each in error.errors())
    return [f"  {place}: {message}" for place, message in places]
