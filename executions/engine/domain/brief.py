"""Files that prompts show: those of a brief (`{"text": …, "files": [ids]}`), of answers, and of documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import splitext
from uuid import UUID

from pydantic import JsonValue

from executions.engine.domain.clarification import AnswerType, ClarificationRound
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Brief, Execution

#: Name in an object brief that is reserved for the ids of files.
FILES = "files"
_TEXT = "text"
#: Key in the provenance of a document that was made from a file.
FILE = "file"
_PICTURES = frozenset({"image/png", "image/jpeg"})
_PDF = "application/pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A part of a file that can be cited by its anchor, such as `page=7`."""

    anchor: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefFile:
    """A file as models read it. It never changes."""

    id: UUID
    name: str
    media_type: str
    passages: tuple[Passage, ...]
    sha256: str = ""  # of the bytes, in hex
    size: int = 0  # bytes
    pages: int | None = None  # a PDF's
    width: int | None = None  # pixels of a picture; None: not known
    height: int | None = None  # pixels of a picture; None: not known
    encrypted: bool = False  # a PDF that opens without a password; providers refuse it

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture."""
        return self.media_type in _PICTURES

    @property
    def is_pdf(self) -> bool:
        """Whether it is a PDF."""
        return self.media_type == _PDF

    @property
    def text(self) -> str:
        """All passages, each below its citation; a sentence if there are none."""
        if not self.passages:
            return f"This file ({self.media_type}) has no text that can be read."
        return "\n\n".join(f"[{self.cited(each)}]\n{each.text}" for each in self.passages)

    def cited(self, passage: Passage) -> str:
        """Return how a text cites a passage."""
        place = f"{self.name}#{passage.anchor}"
        return f'"{place}"' if " " in place else place


def file_ids(brief: Brief | None) -> tuple[UUID, ...]:
    """Return the ids of the brief's files, in its order."""
    return _file_ids(brief) or ()


def without_files(brief: Brief | None, known: Collection[UUID]) -> Brief | None:
    """Return the brief as models read it beside its files: a text, an object, or None if it has only files.

    Args:
        brief: The brief.
        known: Ids of the files that exist. Other ids stay in the brief: it can be older than the reserved name.
    """
    if brief is None or isinstance(brief, str) or (listed := _file_ids(brief)) is None:
        return brief
    others: list[JsonValue] = [str(each) for each in listed if each not in known]
    rest = {name: value for name, value in brief.items() if name != FILES} | ({FILES: others} if others else {})
    text = rest.get(_TEXT)
    return text if len(rest) == 1 and isinstance(text, str) else rest or None


def _file_ids(brief: Brief | None) -> tuple[UUID, ...] | None:
    """Return the ids of the brief's files; None if `files` is no list of ids in their canonical form.

    Stored briefs can be older than the reserved name: in them, `files` is like any other name.
    """
    listed = None if brief is None or isinstance(brief, str) else brief.get(FILES)
    if not isinstance(listed, list | tuple):
        return None
    ids = tuple(_file_id(each) for each in listed)
    found = tuple(each for each in ids if each is not None)
    return found if len(found) == len(ids) else None


def _file_id(value: JsonValue) -> UUID | None:
    try:
        found = UUID(value if isinstance(value, str) else "")
    except ValueError:
        return None
    return found if str(found) == value else None


def answered_files(rounds: Sequence[ClarificationRound]) -> tuple[UUID, ...]:
    """Return the ids of the files that are answers, oldest first."""
    return tuple(
        UUID(str(round_.answers[question.id]))
        for round_ in rounds
        if round_.answers is not None
        for question in round_.questions
        if question.answer_type is AnswerType.FILE and question.id in round_.answers
    )


def answers_in_order(execution: Execution) -> tuple[UUID, ...]:
    """Return the ids of the files that are answers in an execution, by the time of the answer: later ones are last."""
    asked = [step for step in execution.steps.values() if step.rounds]
    rounds = [each for step in asked for each in step.rounds if each.answered_at is not None]
    return answered_files(sorted(rounds, key=lambda each: each.answered_at or each.asked_at))


def file_of(provenance: Mapping[str, JsonValue]) -> UUID | None:
    """Return the id of the file that a document was made from; None: it was made from no file."""
    origin = provenance.get(FILE)
    return _file_id(origin.get("id")) if origin is not None and isinstance(origin, Mapping) else None


def with_distinct_names(files: Iterable[BriefFile]) -> Iterator[BriefFile]:
    """Yield each file once. A later file with the name of another one gets a number: `plan-2.pdf`."""
    seen: set[UUID] = set()
    names: set[str] = set()
    for file in files:
        if file.id in seen:
            continue
        name, number = file.name, 1
        while name.casefold() in names:
            number += 1
            stem, extension = splitext(file.name)
            name = f"{stem}-{number}{extension}"
        seen.add(file.id)
        names.add(name.casefold())
        yield file if name == file.name else replace(file, name=name)
