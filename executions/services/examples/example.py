"""The example that a person can start at once: a brief and a workflow that have prepared replies."""

from __future__ import annotations

from dataclasses import dataclass

from common.sources.text_source import read_text
from executions.llm.rehearsal.prepared_replies import BRIEFS

_BRIEF, _WORKFLOW = "tool-library", "strategy-document"


@dataclass(frozen=True, slots=True)
class BriefExample:
    """A workflow on a brief."""

    brief: str  # name of the file, without its suffix
    workflow: str
    title: str
    text: str


def read_example() -> BriefExample:
    """Return the example."""
    text = read_text(BRIEFS / f"{_BRIEF}.md")
    return BriefExample(_BRIEF, _WORKFLOW, title=text.partition("\n")[0].strip("# "), text=text)
