"""Files in a brief: `{"text": …, "files": [ids]}`, or any object with `files`."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import JsonValue

from executions.engine.domain.execution import Brief

#: Name in an object brief that is reserved for the ids of files.
FILES = "files"
_TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A part of a file that can be cited by its anchor, such as `page=7`."""

    anchor: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefFile:
    """A file of a brief as models read it. It never changes."""

    id: UUID
    name: str
    media_type: str
    passages: tuple[Passage, ...]

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


def without_files(brief: Brief | None) -> Brief | None:
    """Return the brief as models read it beside its files: a text, an object, or None if it has only files."""
    if brief is None or isinstance(brief, str) or _file_ids(brief) is None:
        return brief
    rest = {name: value for name, value in brief.items() if name != FILES}
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
