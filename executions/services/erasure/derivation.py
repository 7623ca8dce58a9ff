"""What others have made from texts: versions of documents, and steps that have read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from documents.erasure import Pin, VersionLink
from executions.persistence.person_traces import StepLink

StepKey = tuple[UUID, str]  # execution and step


@dataclass(slots=True)
class Derived:
    """Versions and steps that hold a text, or something that was made from it."""

    versions: dict[Pin, VersionLink] = field(default_factory=dict)
    steps: dict[StepKey, StepLink] = field(default_factory=dict)

    @property
    def left(self) -> list[VersionLink]:
        """The versions that are not erased yet."""
        return [each for each in self.versions.values() if not each.is_erased]

    def add(self, versions: Iterable[VersionLink]) -> None:
        """Add versions."""
        self.versions |= {each.key: each for each in versions}


def derive(found: Derived, versions: Sequence[VersionLink], steps: Sequence[StepLink]) -> Derived:
    """Return what was made from the found versions, through any depth, with these.

    A version was made from another one if a person has edited or restored that one, or if a step has read it, or was
    asked to change it. All versions of such a step count.
    """
    while True:
        hashes = {(key[0], each.content_hash) for key, each in found.versions.items() if each.content_hash}
        new = [each for each in versions if each.key not in found.versions and _is_made_from(each, found, hashes)]
        found.add(new)
        makers = {(each.execution_id, each.step_id) for each in found.versions.values()}
        readers = [
            each
            for each in steps
            if each.key not in found.steps
            and (each.key in makers or not found.versions.keys().isdisjoint(each.reads | each.revised))
        ]
        found.steps |= {each.key: each for each in readers}
        if not new and not readers:
            return found


def _is_made_from(version: VersionLink, found: Derived, hashes: set[tuple[UUID, str]]) -> bool:
    if version.execution_id is None:
        is_copy = (version.key[0], version.content_hash) in hashes  # restored
        return is_copy or version.base in found.versions or not found.versions.keys().isdisjoint(version.reads)
    made_by = (version.execution_id, version.step_id)
    return made_by in found.steps or not found.versions.keys().isdisjoint(version.reads)


def labelled(found: Derived, steps: Sequence[StepLink]) -> set[StepKey]:
    """Return the steps, begun or not, whose items may be those of a list that was found."""
    makers = {(each.execution_id, each.step_id) for each in found.versions.values()}
    makers |= {each.key for each in steps if each.made in found.versions}
    return {each.key for each in steps if not makers.isdisjoint((each.key[0], other) for other in each.labelled_after)}


def undecidable(found: Derived, steps: Sequence[StepLink]) -> set[UUID]:
    """Return the executions that wait for a decision about a version that goes, or beside a head that goes."""
    left = found.left
    gone, heads = {each.key for each in left}, {each.key[0] for each in left if each.is_head}
    waiting = [each for each in steps if each.waits and each.made is not None]
    return {each.key[0] for each in waiting if each.made in gone or (each.made and each.made[0] in heads)}
