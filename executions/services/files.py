"""Files of executions and documents: checks, limits, and their first use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import JsonValue

from access.selectors import Person
from common.errors import FieldError, Invalid
from common.json_pointer import pointer
from common.limits import limits
from documents.files import storage
from documents.files.storage import UsableFile
from executions.engine.domain.brief import FILE, FILES, BriefFile, answered_files, file_ids
from executions.engine.domain.errors import InvalidAnswers
from executions.engine.domain.execution import Brief, Execution
from executions.persistence.repositories import get_files

_UNKNOWN = "There is no such file that you can use in this scope."


def use_files(*, user: Person, brief: Brief | None, root_id: UUID) -> None:
    """Make the files of a brief visible to the readers of a root scope. Call it in a transaction.

    Raises:
        Invalid: the user may not use a file in this scope, two files have the same name, or the files have more bytes
            than an execution or the scope may have; with pointers.
    """
    if ids := file_ids(brief):
        found = storage.use_files(user=user, file_ids=ids, root_id=root_id)
        _check(ids, found)
        _check_scope(found, root_id, at=pointer("input", FILES))


def read_files(
    *, user: Person, brief: Brief | None, root_id: UUID | None, of_any_scope: bool = False
) -> list[BriefFile]:
    """Return the files of a brief, in its order.

    Args:
        user: The user who may use them in the scope.
        brief: The brief.
        root_id: The scope; None: a new one.
        of_any_scope: No scope is named yet. So the user only has to be able to read the files.

    Raises:
        Invalid: as `use_files`, without the limit of the scope.
    """
    ids = file_ids(brief)
    if not ids:
        return []
    if of_any_scope:
        _check(ids, storage.readable_files(user=user, file_ids=ids))
    else:
        _check(ids, storage.usable_files(user=user, file_ids=ids, root_id=root_id))
    return get_files(ids)


def use_answers(*, user: Person, execution: Execution, named: Mapping[str, UUID]) -> Collection[UUID]:
    """Make files that are answers visible to the readers of the execution's scope; return those that can be used.

    Call it in a transaction, with the execution locked.

    Args:
        user: The user who answers.
        execution: The execution.
        named: Ids of files, by the keys of the answers.

    Raises:
        InvalidAnswers: the execution or its scope would have too many files or bytes; with pointers.
    """
    if not named:
        return ()
    root_id = execution.scope.id
    found = storage.use_files(user=user, file_ids=[*named.values()], root_id=root_id)
    before = {*file_ids(execution.input)}.union(*(answered_files(step.rounds) for step in execution.steps.values()))
    added = {key: each for key, each in named.items() if each in found and each not in before}
    at = pointer("answers", next(iter(added or named)))
    size = storage.size_of(before) + sum(found[each].size for each in {*added.values()})
    if faults := list(_limit_faults(len(before | {*added.values()}), size, at=at)):
        raise InvalidAnswers(faults[0].detail, faults)
    _check_scope(found, root_id, at=at)
    return found.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDocument:
    """A file as a document."""

    name: str = ""
    text: str = ""  # with its anchors
    provenance: Mapping[str, JsonValue] = field(default_factory=dict)


NO_FILE = FileDocument()


def use_document_file(*, user: Person, file_id: UUID, root_id: UUID) -> FileDocument:
    """Make a file visible to the readers of a root scope, and return it as a document. Call it in a transaction.

    Raises:
        Invalid: the user may not use the file in this scope, its text is longer than a document that a person may
            send, or the scope's files would have too many bytes.
    """
    found = storage.use_files(user=user, file_ids=[file_id], root_id=root_id)
    if file_id not in found:
        raise Invalid(_UNKNOWN, [FieldError(pointer="/file", code="unknown_file", detail=_UNKNOWN)])
    _check_scope(found, root_id, at="/file")
    [file] = get_files([file_id])
    size, most = len(file.text.encode()), limits().request_bytes
    if size > most:
        detail = f"The text of {file.name} has {size:,} bytes; {most:,} bytes are the limit of a document."
        raise Invalid(detail, [FieldError(pointer="/file", code="too_long", detail=detail)])
    described: JsonValue = {"id": str(file.id), "name": file.name, "type": file.media_type, "sha256": file.sha256}
    return FileDocument(name=file.name, text=file.text, provenance={FILE: described})


def _check(ids: Sequence[UUID], found: Mapping[UUID, UsableFile]) -> None:
    size = sum(each.size for each in found.values())
    faults = [*_faults(ids, found), *_limit_faults(len(ids), size, at=pointer("input", FILES))]
    if faults:
        raise Invalid("Some files of the brief cannot be used.", faults)


def _limit_faults(number: int, size: int, *, at: str) -> Iterator[FieldError]:
    """Yield which limits the files of one execution exceed."""
    if number > limits().execution_files:
        detail = f"The execution would have {number} files; {limits().execution_files} are the limit."
        yield FieldError(pointer=at, code="too_many_files", detail=detail)
    if size > limits().execution_file_bytes:
        most = limits().execution_file_bytes
        detail = f"The files of the execution would have {size:,} bytes; {most:,} bytes are the limit."
        yield FieldError(pointer=at, code="too_many_bytes", detail=detail)


def _check_scope(found: Mapping[UUID, UsableFile], root_id: UUID, *, at: str) -> None:
    """Check the limit of a root scope after files were given to it.

    Raises:
        Invalid: new files exceed it.
    """
    if not any(each.is_new for each in found.values()):
        return
    size, most = storage.bytes_in(root_id), limits().scope_file_bytes
    if size > most:
        detail = f"The files that are used in this scope would have {size:,} bytes; {most:,} bytes are the limit."
        raise Invalid(detail, [FieldError(pointer=at, code="scope_full", detail=detail)])


def _faults(ids: Sequence[UUID], found: Mapping[UUID, UsableFile]) -> Iterator[FieldError]:
    """Yield what is wrong with the files. An unknown one and one of another user give the same answer."""
    seen: set[str] = set()
    for index, each in enumerate(ids):
        place, file = pointer("input", FILES, index), found.get(each)
        if file is None:
            yield FieldError(pointer=place, code="unknown_file", detail=_UNKNOWN)
        elif file.name.casefold() in seen:
            detail = f"Two files are named {file.name!r}; a citation could mean either."
            yield FieldError(pointer=place, code="duplicate_name", detail=detail)
        else:
            seen.add(file.name.casefold())
