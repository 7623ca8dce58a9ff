"""Files of briefs: checks, and their first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from access.selectors import Person
from common.errors import FieldError, Invalid
from documents.files import storage
from executions.engine.domain.brief import FILES, BriefFile, file_ids
from executions.engine.domain.execution import Brief
from executions.persistence.repositories import get_files
from workflows.definitions.definition import pointer


def use_files(*, user: Person, brief: Brief | None, root_id: UUID) -> None:
    """Make the files of a brief visible to the readers of a root scope. Call it in a transaction.

    Raises:
        Invalid: the user may not use a file in this scope, or two files have the same name; with pointers.
    """
    if ids := file_ids(brief):
        _check(ids, storage.use_files(user=user, file_ids=ids, root_id=root_id))


def read_files(*, user: Person, brief: Brief | None, root_id: UUID | None) -> list[BriefFile]:
    """Return the files of a brief, in its order.

    Raises:
        Invalid: as `use_files`.
    """
    ids = file_ids(brief)
    if not ids:
        return []
    _check(ids, storage.usable_files(user=user, file_ids=ids, root_id=root_id))
    return get_files(ids)


def _check(ids: Sequence[UUID], names: Mapping[UUID, str]) -> None:
    if faults := list(_faults(ids, names)):
        raise Invalid("Some files of the brief cannot be used.", faults)


def _faults(ids: Sequence[UUID], names: Mapping[UUID, str]) -> Iterator[FieldError]:
    """Yield what is wrong with the files. An unknown one and one of another user give the same answer."""
    seen: set[str] = set()
    for index, each in enumerate(ids):
        place, name = pointer("input", FILES, index), names.get(each)
        if name is None:
            detail = "There is no such file that you can use in this scope."
            yield FieldError(pointer=place, code="unknown_file", detail=detail)
        elif name.casefold() in seen:
            detail = f"Two files are named {name!r}; a citation could mean either."
            yield FieldError(pointer=place, code="duplicate_name", detail=detail)
        else:
            seen.add(name.casefold())
