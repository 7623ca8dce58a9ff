"""Definitions that come over the network: JSON, YAML, or a folder as zip. Each fault has its file and line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from common.errors import FieldError
from common.limits import limits
from common.sources.json_source import read_json
from common.sources.text_source import FileError, SourceError, decode
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.definitions.parser import parse_definition
from workflows.errors import FieldErrorInFile
from workflows.exchange.archives import read_archive
from workflows.loader import definition_error, load_folder_with_places
from workflows.places import Sources


class Form(StrEnum):
    """How a definition is written."""

    JSON = "workflow.json"
    YAML = "workflow.yaml"
    ZIP = "workflow.zip"


@dataclass(frozen=True, slots=True)
class Upload:
    """A definition with the file that it names as its house, if it comes with one."""

    definition: WorkflowDefinition
    house: bytes | None = None


def read_upload(data: bytes, form: Form) -> Upload:
    """Return the valid definition. This computes for up to two seconds; event loops call it in a thread.

    Raises:
        DefinitionError: it is not valid; each error has a file, and a line where there is one.
    """
    try:
        return _read(data, form)
    except SourceError as error:
        raise _with_lines(definition_error(form.value, error), form) from error
    except DefinitionError as error:
        raise _with_lines(error, form) from error


def _read(data: bytes, form: Form) -> Upload:
    match form:
        case Form.JSON:
            return Upload(_read_json(data))
        case Form.YAML:
            return _read_folder({form.value: _bounded(data)})
        case Form.ZIP:
            return _read_folder(read_archive(data))


def _with_lines(error: DefinitionError, form: Form) -> DefinitionError:
    """Return an error whose parts about a whole text have its first line, and which says how files are sent."""

    def told(each: FieldError) -> FieldError:
        if not isinstance(each, FieldErrorInFile) or each.file != form.value or form is Form.ZIP:
            return each
        hint = " A text has no folder: write the content here, or send the folder as zip."
        is_missing = each.code == "missing_file"
        return each.model_copy(update={"line": each.line or 1, "detail": each.detail + (hint if is_missing else "")})

    return DefinitionError([told(each) for each in error.errors])


def _bounded(data: bytes) -> bytes:
    maximum = limits().definition_bytes
    if len(data) > maximum:
        line = data.count(b"\n", 0, maximum) + 1
        raise SourceError(FileError(f"It is larger than {maximum:,} bytes (MAX_DEFINITION_BYTES).", "too_large", line))
    return data


def _read_json(data: bytes) -> WorkflowDefinition:
    text = decode(_bounded(data))
    value = read_json(text)
    try:
        return parse_definition(value)
    except DefinitionError as error:
        sources = Sources(main=Form.JSON.value, texts={Form.JSON.value: text})
        raise DefinitionError(sources.located(error.errors)) from error


def _read_folder(files: dict[str, bytes]) -> Upload:
    """Return the definition in a folder. The files are put into a temporary one, where includes cannot lead out."""
    with TemporaryDirectory(prefix="scriptorium-workflow-") as name:
        folder = Path(name)
        for path, data in files.items():
            target = folder / path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            except OSError as error:  # a file where another path has a folder, or a name that is too long
                fault = SourceError(FileError(f"It cannot be stored: {error.strerror}.", "unreadable_archive"))
                raise definition_error(path, fault) from error
        houses: dict[str, bytes] = {}
        definition = load_folder_with_places(folder, houses=houses)
    return Upload(definition, houses.get(definition.house or ""))
