"""Conversion of answers to the types of questions, and questions at the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

Question = Mapping[str, Any]

_WORD = re.compile(r"\w+")
#: A number as in JSON. A comma is rejected, because it is ambiguous: thousands or decimals.
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_MAX_NUMBER_LENGTH = 40  # characters


def words_of(text: object) -> list[str]:
    """Return the words of a text, case-folded."""
    return _WORD.findall(str(text).casefold())


def contains_words(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Return whether `words` contains the words of the phrase consecutively."""
    return bool(phrase) and any(
        list(words[start : start + len(phrase)]) == list(phrase) for start in range(len(words) - len(phrase) + 1)
    )


#: Bounds by answer type: fields of the lower and the upper bound, and the unit of a length.
_BOUNDS = {
    "free_text": ("min_length", "max_length", " characters"),
    "multi_choice": ("min_choices", "max_choices", " choices"),
    "number": ("minimum", "maximum", ""),
    "date": ("earliest", "latest", ""),
}


def convert_answer(question: Question, value: Any) -> Any:
    """Convert a value to the question's type; None if it is impossible, or out of bounds.

    The answer to a question for a file is its path; the demo uploads the file.
    """
    converted = None if value is None else _to_type(question, value)
    return converted if converted is not None and _is_within_bounds(question, converted) else None


def _is_within_bounds(question: Question, answer: Any) -> bool:
    """Return whether an answer of the right type is within the question's bounds."""
    if question["answer_type"] not in _BOUNDS:
        return True
    low, high, unit = _BOUNDS[question["answer_type"]]
    size = len(answer) if unit else answer
    if question["integer"] and not isinstance(answer, int):
        return False
    return (question[low] is None or size >= question[low]) and (question[high] is None or size <= question[high])


def hint(question: Question) -> str:
    """Describe valid answers; empty if any text is valid."""
    kinds = {
        "yes_no": "yes or no",
        "number": "a number",
        "date": "YYYY-MM-DD",
        "multi_choice": "choices, separated by commas",
        "file": "path of a file",
    }
    parts = [kinds.get(question["answer_type"], ""), "whole" if question["integer"] else ""]
    if question["answer_type"] in _BOUNDS:
        low, high, unit = _BOUNDS[question["answer_type"]]
        limits = (("at least", question[low]), ("at most", question[high]))
        parts += [f"{word} {limit}{unit}" for word, limit in limits if limit is not None]
    return ", ".join(each for each in parts if each)


def _to_type(question: Question, value: Any) -> Any:
    match question["answer_type"]:
        case "single_choice":
            return _choice(question, value)
        case "multi_choice":
            found = [_choice(question, each) for each in (value if isinstance(value, list) else [value])]
            return None if None in found else list(dict.fromkeys(found)) or None
        case "yes_no":
            return {"yes": True, "true": True, "no": False, "false": False}.get(str(value).strip().lower())
        case "number":
            return _number(value)
        case "date":
            return _date(value)
        case "file":
            path = Path(str(value)).expanduser()
            return path if path.is_file() else None
        case _:
            return str(value)


def _choice(question: Question, value: Any) -> str | None:
    """Return the choice with this value or label, or else the only choice that contains the answer's words.

    A label of several words may also be contained in the answer. None if no choice or several choices match.
    """
    wanted = str(value).strip().casefold()
    choices = [(str(each["value"]), str(each["label"])) for each in question["choices"]]
    for name, label in choices:
        if wanted in {name.casefold(), label.strip().casefold()}:
            return name
    words = words_of(wanted)
    matching = [
        name
        for name, label in choices
        if contains_words(words_of(label), words)
        or contains_words(words_of(name), words)
        or (len(words_of(label)) > 1 and contains_words(words, words_of(label)))
    ]
    return matching[0] if len(matching) == 1 else None


def _number(value: Any) -> float | int | None:
    """Parse a number; None if the text is ambiguous or not a number."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if len(text) > _MAX_NUMBER_LENGTH or _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(text) if text.lstrip("+-").isdigit() else int(number) if number.is_integer() else number


def _date(value: Any) -> str | None:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def ask_decision(console: Console) -> dict[str, str]:
    """Ask at the terminal for a decision about a document."""
    decision = Prompt.ask(
        "  decision", console=console, choices=["accept", "request_changes", "reject"], default="accept"
    )
    comment = Prompt.ask("  comment", console=console, default="") if decision != "accept" else ""
    return {"decision": decision, "comment": comment}


def ask(console: Console, question: Question) -> Any:
    """Ask at the terminal until the answer is valid; an empty answer means the default, if there is one."""
    for number, choice in enumerate(question["choices"], start=1):
        console.print(f"    {number}. {escape(choice['label'])}")
    while True:
        text = Prompt.ask(f"  {hint(question)}".rstrip(), console=console, default="").strip()
        if text == "" and (question["default"] is not None or not question["required"]):
            return question["default"]
        converted = convert_answer(question, _replace_numbers(question, text)) if text else None
        if converted is not None:
            return converted
        console.print(f"  [yellow]This is not a valid answer. {_advice(question)}[/]")


def _advice(question: Question) -> str:
    """Return a sentence about valid input."""
    if question["answer_type"] == "number":
        return f"Write {hint(question)}, such as 1500 or 0.75; a comma is ambiguous."
    if question["choices"]:
        return "Write the number of a choice, or words that occur in only one choice."
    return f"Write {hint(question)}."


def _replace_numbers(question: Question, text: str) -> str | list[str]:
    """Return the input with numbers of choices replaced by the choices."""
    choices = question["choices"]

    def choice_of(part: str) -> str:
        is_number = part.isascii() and part.isdigit() and len(part) < _MAX_NUMBER_LENGTH
        return str(choices[int(part) - 1]["value"]) if is_number and 1 <= int(part) <= len(choices) else part

    if question["answer_type"] == "multi_choice":
        return [choice_of(part.strip()) for part in text.split(",") if part.strip()]
    return choice_of(text)
