"""Answers of the type that a question asks for, and the questions at the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

Question = Mapping[str, Any]

_WORD = re.compile(r"\w+")
#: A number as JSON writes it. A comma is refused: it may mean thousands or a fraction.
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 40  # characters


def words_of(text: object) -> list[str]:
    """Return the words of a text, without regard to upper and lower case."""
    return _WORD.findall(str(text).casefold())


def contains_words(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Return whether the whole words of the phrase stand in `words`, one after another."""
    return bool(phrase) and any(
        list(words[start : start + len(phrase)]) == list(phrase) for start in range(len(words) - len(phrase) + 1)
    )


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
    kinds = {
        "yes_no": "yes or no",
        "number": "a number",
        "date": "YYYY-MM-DD",
        "multi_choice": "choices with commas between",
    }
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
            return None if None in found else list(dict.fromkeys(found)) or None
        case "yes_no":
            return {"yes": True, "true": True, "no": False, "false": False}.get(str(value).strip().lower())
        case "number":
            return _number(value)
        case "date":
            return _date(value)
        case _:
            return str(value)


def _choice(question: Question, value: Any) -> str | None:
    """Return the choice of this value or label, else the only one that shares the answer's whole words.

    A label of several words may also stand within the answer. None where no choice, or more than one, is meant.
    """
    wanted = str(value).strip().casefold()
    choices = [(str(each["value"]), str(each["label"])) for each in question["choices"]]
    for name, label in choices:
        if wanted in {name.casefold(), label.strip().casefold()}:
            return name
    said = words_of(wanted)
    like = [
        name
        for name, label in choices
        if contains_words(words_of(label), said)
        or contains_words(words_of(name), said)
        or (len(words_of(label)) > 1 and contains_words(said, words_of(label)))
    ]
    return like[0] if len(like) == 1 else None


def _number(value: Any) -> float | int | None:
    """Return the number that is written, None for anything that could be read in two ways."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if len(text) > _LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
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
    """Ask at the terminal what becomes of a document."""
    decision = Prompt.ask(
        "  decision", console=console, choices=["accept", "request_changes", "reject"], default="accept"
    )
    comment = Prompt.ask("  comment", console=console, default="") if decision != "accept" else ""
    return {"decision": decision, "comment": comment}


def ask(console: Console, question: Question) -> Any:
    """Ask at the terminal until the answer fits; an empty one takes the default, if there is one."""
    for number, choice in enumerate(question["choices"], start=1):
        console.print(f"    {number}. {escape(choice['label'])}")
    while True:
        said = Prompt.ask(f"  {hint(question)}".rstrip(), console=console, default="").strip()
        if said == "" and (question["default"] is not None or not question["required"]):
            return question["default"]
        fitted = fit(question, _chosen(question, said)) if said else None
        if fitted is not None:
            return fitted
        console.print(f"  [yellow]That does not fit the question. {_advice(question)}[/]")


def _advice(question: Question) -> str:
    """Return a sentence that says what to type instead."""
    if question["answer_type"] == "number":
        return f"Write {hint(question)}, such as 1500 or 0.75; a comma could mean either."
    if question["choices"]:
        return "Write the number of a choice, or words that stand in one choice alone."
    return f"Write {hint(question)}."


def _chosen(question: Question, said: str) -> str | list[str]:
    """Return what was typed, with the numbers of choices replaced by what they stand for."""
    choices = question["choices"]

    def meant(part: str) -> str:
        is_number = part.isascii() and part.isdigit() and len(part) < _LONGEST_NUMBER
        return str(choices[int(part) - 1]["value"]) if is_number and 1 <= int(part) <= len(choices) else part

    if question["answer_type"] == "multi_choice":
        return [meant(part.strip()) for part in said.split(",") if part.strip()]
    return meant(said)
