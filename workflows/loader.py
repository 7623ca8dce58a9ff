"""Loads definitions from folders: `workflow.yaml`, with prompts, roles, schemas and looks in files beside it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from common.sources.json_source import read_json
from common.sources.text_source import FileError, SourceError, read_bytes, read_text, too_many_values
from common.sources.yaml_source import TruncatedText, YamlSource, read_yaml
from documents.rendering.errors import HouseStyleError
from documents.rendering.render import check_house
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.definitions.parser import parse_definition
from workflows.errors import FieldErrorInFile, FieldErrorInText
from workflows.places import YAML, Sources

CATALOG = Path(__file__).resolve().parent / "catalog"
_NAMES = ("workflow.yaml", "workflow.yml")
#: Suffixes of files that may be misplaced definitions.
_DEFINITION_SUFFIXES = frozenset({*YAML, ".json", ".jsonc", ".json5", ".toml"})
#: Fields whose files are texts, whatever their suffixes.
_TEXTS = re.compile(
    r"/(name|description)"
    r"|/roles/[^/]+/(name|instructions)"
    r"|/steps/\d+/(name|description|task|render|review/rubric|acceptance/instructions)"
)
#: The field whose file is a `.docx`.
_HOUSE = "/house"
#: Files at the top of a folder that have no effect unless the definition names them.
_LOOKS = re.compile(r"render[^/]*\.md|.*\.(docx|docm|dotx|dotm)", re.IGNORECASE)
#: Texts within a schema.
_SCHEMA_TEXTS = re.compile(r"/steps/\d+/output_schema/(.*/)?(title|description)")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Contents of a catalog, sorted by folder name."""

    definitions: tuple[WorkflowDefinition, ...]
    #: One text for each folder with an invalid workflow: the folder and all errors.
    errors: tuple[str, ...]
    #: House files by their SHA-256 (hex), as definitions name them.
    houses: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def folders(catalog: Path = CATALOG) -> list[Path]:
    """Return the folders with a workflow, sorted by name."""
    return sorted({path.parent for name in _NAMES for path in catalog.glob(f"*/{name}")})


def load_catalog(catalog: Path = CATALOG) -> Catalog:
    """Load all folders. An invalid workflow does not affect others; workflows with the same id are all invalid."""
    found: dict[Path, WorkflowDefinition] = {}
    errors = dict(_misplaced(catalog))
    houses: dict[str, bytes] = {}
    for folder in folders(catalog):
        try:
            found[folder] = load_folder(folder, houses=houses)
        except DefinitionError as error:
            errors[folder] = f"{folder}: {error}"
    for workflow_id, same in _duplicates(found):
        names = " and ".join(str(folder) for folder in same)
        errors[same[0]] = f"{names}: /id: Duplicate id {workflow_id!r}; each workflow needs an id of its own."
        for folder in same:
            del found[folder]
    return Catalog(tuple(found.values()), tuple(text for _, text in sorted(errors.items())), houses)


def _duplicates(found: dict[Path, WorkflowDefinition]) -> list[tuple[str, list[Path]]]:
    """Return the ids of several folders, with the folders."""
    places: dict[str, list[Path]] = {}
    for folder, definition in found.items():
        places.setdefault(definition.id, []).append(folder)
    return [(workflow_id, same) for workflow_id, same in places.items() if len(same) > 1]


def _misplaced(catalog: Path) -> Iterator[tuple[Path, str]]:
    """Yield files and folders that look like workflows, but are not: they would be ignored silently."""
    known = set(folders(catalog))
    for path in sorted(catalog.iterdir()) if catalog.is_dir() else ():
        if path.is_file() and path.suffix.lower() in _DEFINITION_SUFFIXES:
            yield path, f"{path}: A workflow is a folder with a workflow.yaml, not a file."
        elif path.is_dir() and path not in known:
            candidates = [each.name for each in sorted(path.iterdir()) if each.suffix.lower() in _DEFINITION_SUFFIXES]
            if candidates:
                yield path, f"{path}: There is no workflow.yaml, only {', '.join(candidates)[:200]}."


def load_folder(folder: Path, *, houses: dict[str, bytes] | None = None) -> WorkflowDefinition:
    """Load the definition in a folder. `{file: path}` includes a text, or the value of a JSON or YAML file.

    Args:
        folder: The folder.
        houses: Gets the definition's house file, by its SHA-256.

    Raises:
        DefinitionError: the definition, or an included file, is invalid.
    """
    files = _Files(folder.resolve(), {} if houses is None else houses)
    value = files.definition(_name_in(folder))
    try:
        definition = parse_definition(value)
    except DefinitionError as error:
        raise DefinitionError([files.located(each) for each in error.errors]) from error
    if unused := list(files.unused_looks()):
        raise DefinitionError(unused)
    return definition


def load_folder_with_places(folder: Path, *, houses: dict[str, bytes]) -> WorkflowDefinition:
    """Load the definition in a folder, as `load_folder` does. Each error has a file, and a line if the file has lines.

    Raises:
        DefinitionError: the definition, or an included file, is invalid.
    """
    files = _Files(folder.resolve(), houses)
    name = _NAMES[0]
    try:
        name = _name_in(folder)
        definition = parse_definition(files.definition(name))
        if unused := list(files.unused_looks()):
            raise DefinitionError(unused)
    except DefinitionError as error:
        sources = Sources(main=name, texts=files.texts, included=files.included)
        raise DefinitionError(sources.located(error.errors)) from error
    return definition


def _name_in(folder: Path) -> str:
    """Return the name of the definition's file."""
    names = [name for name in _NAMES if (folder / name).exists()]
    if len(names) > 1:
        detail = f"There are {' and '.join(names)}; keep only one."
        raise DefinitionError([FieldError(pointer="", code="two_definitions", detail=detail)])
    return names[0] if names else _NAMES[0]


class _Files:
    """Reads the files of a folder, up to a limit of bytes in total."""

    def __init__(self, folder: Path, houses: dict[str, bytes]) -> None:
        self._folder = folder
        self._left = limits().definition_bytes
        self._values_left = limits().definition_values
        self._houses = houses
        self.included: dict[str, str] = {}  # names of files by the pointer to their content
        self.texts: dict[str, str] = {}  # by names of files

    def definition(self, name: str) -> JsonValue:
        """Return the value of the file, with all included files.

        Raises:
            DefinitionError: a file is invalid.
        """
        try:
            source = self._read_yaml(self._text(name))
        except SourceError as error:
            raise definition_error(name, error) from error
        if truncated := [each for each in source.truncated if _is_prose(pointer(*each.path))]:
            raise definition_error(name, SourceError(*map(_truncation_error, truncated)))
        errors: list[FieldError] = []
        value = self._with_files(source.value, (), errors)
        if errors:
            raise DefinitionError(errors)
        return value

    def located(self, error: FieldError) -> FieldError:
        """Return an error with the file whose text it is in, if it has a line there."""
        name = self.included.get(error.pointer)
        if name is None or not isinstance(error, FieldErrorInText):
            return error
        return FieldErrorInFile(**error.model_dump(), file=name)

    def unused_looks(self) -> Iterator[FieldError]:
        """Yield templates and house files that the definition does not name."""
        used = {self._path(name) for name in self.included.values()}
        for path in sorted(self._folder.iterdir()):
            if _LOOKS.fullmatch(path.name) and path not in used and path.is_file():
                name = path.name[:200]
                example = f"`render: {{file: {name}}}` in its step" if name.endswith(".md") else "`house: {file: …}`"
                detail = f"The workflow does not use it; name it, as {example}."
                yield FieldErrorInFile(pointer="", code="unused_file", detail=detail, file=name)

    def _path(self, name: str) -> Path:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise SourceError(FileError(f"{name!r} is outside of the workflow's folder.", "outside_folder"))
        return path

    def _wrong_name(self, name: str) -> FileError | None:
        """Return why a name is of no file in the folder; None: there is such a file."""
        try:
            with suppress(ValueError, OSError):  # U+0000, or circular links: there is no such file
                if self._path(name).is_file():
                    return None
        except SourceError as error:
            return error.errors[0]
        return FileError(f"There is no file {name[:200]!r} in the workflow's folder.", "missing_file")

    def _house(self, name: str) -> str:
        """Return the hash of a house file, which is kept aside."""
        data = read_bytes(self._path(name), max_bytes=limits().house_style_bytes, setting="MAX_HOUSE_STYLE_BYTES")
        try:
            check_house(data)
        except HouseStyleError as error:
            raise SourceError(FileError(str(error), "house_refused")) from error
        sha256 = hashlib.sha256(data).hexdigest()
        self._houses[sha256] = data
        return sha256

    def _text(self, name: str) -> str:
        text = self.texts[name] = read_text(self._path(name))
        self._left -= len(text.encode())
        if self._left < 0:
            detail = f"All files together are larger than {limits().definition_bytes:,} bytes (MAX_DEFINITION_BYTES)."
            raise SourceError(FileError(detail, "too_large"))
        return text

    def _with_files(self, value: JsonValue, where: tuple[str | int, ...], errors: list[FieldError]) -> JsonValue:
        if isinstance(value, dict):
            name = value.get("file")
            if len(value) == 1 and isinstance(name, str):
                if wrong := self._wrong_name(name):  # a fault of the text that names it
                    errors.append(FieldError(pointer=pointer(*where), code=wrong.code, detail=wrong.detail))
                    return None
                try:
                    return self._read(name, pointer(*where))
                except SourceError as error:
                    errors += definition_error(name, error, *where).errors
                    return None
            return {key: self._with_files(inner, (*where, key), errors) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._with_files(inner, (*where, index), errors) for index, inner in enumerate(value)]
        return value

    def _read(self, name: str, where: str) -> JsonValue:
        """Return the value of an included file; for a house file its hash."""
        self.included[where] = name
        if where == _HOUSE:
            return self._house(name)
        return self._value_of(self._text(name), name, where)

    def _value_of(self, text: str, name: str, where: str) -> JsonValue:
        """Return the value of an included text at a place of the definition."""
        suffix = Path(name).suffix.lower()
        if _TEXTS.fullmatch(where):
            return text
        if suffix in {".jsonc", ".json5"}:
            raise SourceError(FileError(f"{suffix} is not supported; use .json without comments, or .yaml."))
        if suffix == ".json":
            return read_json(text)
        if suffix not in YAML:
            return text
        source = self._read_yaml(text)
        for text_before_comment in source.truncated:
            if text_before_comment.path and text_before_comment.path[-1] in {"title", "description"}:
                raise SourceError(_truncation_error(text_before_comment))
        return source.value

    def _read_yaml(self, text: str) -> YamlSource:
        """Parse a YAML file; the values of all files count together, because YAML takes time to parse."""
        if self._values_left >= 0:
            source = read_yaml(text)
            self._values_left -= source.values
        if self._values_left < 0:
            raise SourceError(too_many_values(None))
        return source


def _is_prose(where: str) -> bool:
    return bool(_TEXTS.fullmatch(where) or _SCHEMA_TEXTS.fullmatch(where))


def _truncation_error(found: TruncatedText) -> FileError:
    detail = f"After {found.text[-40:]!r} a space and # begin a comment in YAML: quote the text, "
    return FileError(f"{detail}or write the comment on a line of its own.", "cut_text", found.line, found.path)


def definition_error(name: str, error: SourceError, *where: str | int) -> DefinitionError:
    """Convert the errors of a file to errors of the definition."""
    return DefinitionError(
        [
            FieldErrorInFile(
                pointer=pointer(*where, *each.path), code=each.code, detail=each.detail, file=name[:200], line=each.line
            )
            for each in error.errors
        ]
    )
