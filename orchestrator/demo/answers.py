"""Answers to questions: from a file, or from the person at the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.prompt import Prompt

from common.source import SourceError, read_text
from common.yaml_source import read_yaml
from orchestrator.demo.server import DemoError

Question = Mapping[str, Any]


class AnswerSheet:
    """What a file of `examples/answers/` says; the format is explained there."""

    def __init__(self, path: Path) -> None:
        try:
            sheet: Any = read_yaml(read_text(path)).value
        except SourceError as error:
            raise DemoError(f"The answers in {path} cannot be read: {error}") from error
        if not isinstance(sheet, dict) or not isinstance(sheet.get("answers", []), list):
            raise DemoError(f"{path} must hold `answers:`, a list, and may hold `otherwise:`, a text.")
        self._entries = sheet.get("answers", [])
        self._otherwise = sheet.get("otherwise")
        self._decisions = sheet.get("decisions", [])
        self._decided: Counter[str] = Counter()

    def answer(self, question: Question) -> Any:
        """Return an answer of the question's type, None when the sheet has none."""
        text = question["text"].lower()
        for entry in self._entries:
            if any(str(word).lower() in text for word in entry.get("about", ())):
                fitted = fit(question, entry.get("answer"))
                if fitted is not None:
                    return fitted
        return fit(question, self._otherwise)

    def decide(self, step_id: str) -> dict[str, str] | None:
        """Return what is said about a step's document this time, None when the sheet says nothing."""
        self._decided[step_id] += 1
        for entry in self._decisions:
            named = entry.get("step") in {None, step_id, step_id.partition("@")[0]}
            if named and entry.get("round", self._decided[step_id]) == self._decided[step_id]:
                return {"decision": entry["decision"], "comment": entry.get("comment", "")}
        return None


#: What bounds the answers of a type: below, above, and what is counted.
_BOUNDS = {
    "free_text": ("min_length", "max_length", " characters"),
    "multi_choice": ("min_choices", "max_choices", " of them"),
    "number": ("minimum", "maximum", ""),
    "date": ("earliest", "latest", ""),
}


def fit(question: Question, value: Any) -> Any:
    """Return the value as the question's type and bounds want it; None when it cannot be."""
    fitted = None if value is None else _typed(question, value)
    return fitted if fitted is not None and _within(question, fitted) else None


def _within(question: Question, answer: Any) -> bool:
    """Whether the answer, which is of the right type, keeps the bounds."""
    if question["answer_type"] not in _BOUNDS:
        return True
    low, high, unit = _BOUNDS[question["answer_type"]]
    size = len(answer) if unit else answer
    if question["integer"] and not isinstance(answer, int):
        return False
    return (question[low] is None or size >= question[low]) and (question[high] is None or size <= question[high])


def hint(question: Question) -> str:
    """Return in words what an answer has to be; empty when anything goes."""
    kinds = {"yes_no": "yes or no", "number": "a number", "date": "YYYY-MM-DD"}
    said = [kinds.get(question["answer_type"], ""), "whole" if question["integer"] else ""]
    if question["answer_type"] in _BOUNDS:
        low, high, unit = _BOUNDS[question["answer_type"]]
        limits = (("at least", question[low]), ("at most", question[high]))
        said += [f"{word} {limit}{unit}" for word, limit in limits if limit is not None]
    return ", ".join(each for each in said if each)


def _typed(question: Question, value: Any) -> Any:
    match question["answer_type"]:
        case "single_choice":
            return _choice(question, value)
        case "multi_choice":
            found = [_choice(question, each) for each in (value if isinstance(value, list) else [value])]
            return [each for each in dict.fromkeys(found) if each is not None] or None
        case "yes_no":
            return {"yes": True, "true": True, "no": False, "false": False}.get(str(value).strip().lower())
        case "number":
            return _number(value)
        case "date":
            return _date(value)
        case _:
            return str(value)


def _choice(question: Question, value: Any) -> str | None:
    """Return the choice that is meant: the one of this name, else the first that says it in more words, or in fewer."""
    wanted = str(value).strip().lower()
    names = {str(each["value"]): (each["value"].lower(), each["label"].lower()) for each in question["choices"]}
    like = (found for found, known in names.items() if any(wanted in each or each in wanted for each in known))
    return next((found for found, known in names.items() if wanted in known), next(like, None))


def _number(value: Any) -> float | int | None:
    try:
        number = float(str(value).replace(",", ""))
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def _date(value: Any) -> str | None:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def ask_decision(console: Console) -> dict[str, str]:
    """Ask at the terminal what becomes of a document."""
    decision = Prompt.ask(
        "  decision", console=console, choices=["accept", "request_changes", "reject"], default="accept"
    )
    comment = Prompt.ask("  comment", console=console, default="") if decision != "accept" else ""
    return {"decision": decision, "comment": comment}


def ask(console: Console, question: Question) -> Any:
    """Ask at the terminal until the answer fits; an empty one takes the default, if there is one."""
    for number, choice in enumerate(question["choices"], start=1):
        console.print(f"    {number}. {choice['label']}")
    while True:
        said = Prompt.ask(f"  {hint(question)}".rstrip(), console=console, default="")
        if said == "" and (question["default"] is not None or not question["required"]):
            return question["default"]
        if said.isdigit() and 1 <= int(said) <= len(question["choices"]):
            said = question["choices"][int(said) - 1]["value"]
        fitted = fit(question, said) if said else None
        if fitted is not None:
            return fitted
        console.print("  [yellow]That does not fit the question.[/]")
