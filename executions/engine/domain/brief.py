"""Files in a brief: `{"text": …, "files": [ids]}`, or any object with `files`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

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
    listed = None if brief is None or isinstance(brief, str) else brief.get(FILES)
    return tuple(UUID(str(each)) for each in listed) if isinstance(listed, Sequence) else ()


def without_files(brief: Brief | None) -> Brief | None:
    """Return the brief as models read it beside its files: a text, an object, or None if it has only files."""
    if brief is None or isinstance(brief, str) or FILES not in brief:
        return brief
    rest = {name: value for name, value in brief.items() if name != FILES}
    text = rest.get(_TEXT)
    return text if len(rest) == 1 and isinstance(text, str) else rest or None
