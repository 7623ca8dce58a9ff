"""Reads definitions from a folder each: `workflow.yaml`, with prompts, roles and schemas in files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from common.limits import limits
from common.sources.json_source import read_json
from common.sources.text_source import SourceError, SourceFault, read_text
from common.sources.yaml_source import TruncatedText, read_yaml
from workflows.definitions.definition import DefinitionError, Fault, WorkflowDefinition, pointer
from workflows.definitions.parser import parse_definition

CATALOG = Path(__file__).resolve().parent / "catalog"
_NAMES = ("workflow.yaml", "workflow.yml")
_YAML = frozenset({".yaml", ".yml"})
#: Files that look as if they were meant as a definition.
_LIKE_DEFINITIONS = frozenset({*_YAML, ".json", ".jsonc", ".json5", ".toml"})
#: Fields whose files are texts, whatever their names end with.
_TEXTS = re.compile(
    r"/(name|description)"
    r"|/roles/[^/]+/(name|instructions)"
    r"|/steps/\d+/(name|description|task|review/rubric|acceptance/instructions)"
)
#: What models and people read of a schema.
_TEXTS_OF_SCHEMAS = re.compile(r"/steps/\d+/output_schema/(.*/)?(title|description)")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the folders of a catalog hold, in order of name."""

    definitions: tuple[WorkflowDefinition, ...]
    #: Of each folder whose workflow cannot be run: a text that names the folder and every fault.
    errors: tuple[str, ...]


def folders(catalog: Path = CATALOG) -> list[Path]:
    """Return the folders that hold a workflow, in order of name."""
    return sorted({path.parent for name in _NAMES for path in catalog.glob(f"*/{name}")})


def load_catalog(catalog: Path = CATALOG) -> Catalog:
    """Read all folders. A workflow with faults keeps no other from being read; two of the same id are faulty both."""
    found: dict[Path, WorkflowDefinition] = {}
    errors = dict(_passed_over(catalog))
    for folder in folders(catalog):
        try:
            found[folder] = load_folder(folder)
        except DefinitionError as error:
            errors[folder] = f"{folder}: {error}"
    for workflow_id, same in _twins(found):
        names = " and ".join(str(folder) for folder in same)
        errors[same[0]] = f"{names}: /id: {workflow_id!r} names one workflow; each folder needs an id of its own."
        for folder in same:
            del found[folder]
    return Catalog(tuple(found.values()), tuple(text for _, text in sorted(errors.items())))


def _twins(found: dict[Path, WorkflowDefinition]) -> list[tuple[str, list[Path]]]:
    """Return the ids that several folders have, with the folders."""
    places: dict[str, list[Path]] = {}
    for folder, definition in found.items():
        places.setdefault(definition.id, []).append(folder)
    return [(workflow_id, same) for workflow_id, same in places.items() if len(same) > 1]


def _passed_over(catalog: Path) -> Iterator[tuple[Path, str]]:
    """Yield what looks like a workflow and is none: it would be passed over in silence."""
    known = set(folders(catalog))
    for path in sorted(catalog.iterdir()) if catalog.is_dir() else ():
        if path.is_file() and path.suffix.lower() in _LIKE_DEFINITIONS:
            yield path, f"{path}: A workflow is a folder with a workflow.yaml; this is a file."
        elif path.is_dir() and path not in known:
            like = [each.name for each in sorted(path.iterdir()) if each.suffix.lower() in _LIKE_DEFINITIONS]
            if like:
                yield path, f"{path}: There is no workflow.yaml, only {', '.join(like)[:200]}."


def load_folder(folder: Path) -> WorkflowDefinition:
    """Return the definition in a folder. `{file: path}` stands for a text, or for what a JSON or YAML file says.

    Raises:
        DefinitionError: the definition, or a file that it names, is not what it should be.
    """
    names = [name for name in _NAMES if (folder / name).exists()]
    if len(names) > 1:
        detail = f"There are {' and '.join(names)}; keep one of them."
        raise DefinitionError([Fault(pointer="", code="two_definitions", detail=detail)])
    return parse_definition(_Files(folder.resolve()).definition(names[0] if names else _NAMES[0]))


class _Files:
    """The files of a folder, as a definition names them; together they have a limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = limits().definition_bytes

    def definition(self, name: str) -> JsonValue:
        """Return what the file says with all files in place.

        Raises:
            DefinitionError: one of them is not what it should be.
        """
        try:
            source = read_yaml(self._text(name))
        except SourceError as error:
            raise _faulty(name, error) from error
        if cuts := [_cut(name, each) for each in source.truncated if _is_prose(pointer(*each.path))]:
            raise DefinitionError(cuts)
        faults: list[Fault] = []
        value = self._with_files(source.value, (), faults)
        if faults:
            raise DefinitionError(faults)
        return value

    def _text(self, name: str) -> str:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise SourceError(SourceFault(f"{name!r} lies outside the workflow's folder.", "outside_folder"))
        text = read_text(path)
        self._left -= len(text.encode())
        if self._left < 0:
            detail = f"All files together are larger than {limits().definition_bytes:,} bytes (MAX_DEFINITION_BYTES)."
            raise SourceError(SourceFault(detail, "too_large"))
        return text

    def _with_files(self, value: JsonValue, where: tuple[str | int, ...], faults: list[Fault]) -> JsonValue:
        if isinstance(value, dict):
            name = value.get("file")
            if len(value) == 1 and isinstance(name, str):
                try:
                    return self._read(name, pointer(*where))
                except SourceError as error:
                    faults += _faulty(name, error, *where).faults
                    return None
            return {key: self._with_files(inner, (*where, key), faults) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._with_files(inner, (*where, index), faults) for index, inner in enumerate(value)]
        return value

    def _read(self, name: str, where: str) -> JsonValue:
        """Return what a file stands for at a place."""
        try:
            text = self._text(name)
        except (ValueError, OSError) as error:  # U+0000, or links in a circle
            raise SourceError(SourceFault(f"{name!r} names no file.")) from error
        suffix = Path(name).suffix.lower()
        if _TEXTS.fullmatch(where):
            return text
        if suffix in {".jsonc", ".json5"}:
            raise SourceError(SourceFault(f"{suffix} is not read; write .json without comments, or .yaml with them."))
        if suffix == ".json":
            return read_json(text)
        if suffix not in _YAML:
            return text
        source = read_yaml(text)
        for cut in source.truncated:
            if cut.path and cut.path[-1] in {"title", "description"}:
                raise SourceError(_cut_fault(cut))
        return source.value


def _is_prose(where: str) -> bool:
    return bool(_TEXTS.fullmatch(where) or _TEXTS_OF_SCHEMAS.fullmatch(where))


def _cut_fault(cut: TruncatedText) -> SourceFault:
    detail = f"YAML takes what follows {cut.text[-40:]!r} for a comment, since a # comes after a space: put the text "
    return SourceFault(f"{detail}between quotes, or the comment on a line of its own.", "cut_text", cut.line, cut.path)


def _cut(name: str, cut: TruncatedText) -> Fault:
    return _faulty(name, SourceError(_cut_fault(cut))).faults[0]


def _faulty(name: str, error: SourceError, *where: str | int) -> DefinitionError:
    """Return what is wrong with a file as faults of the definition."""
    return DefinitionError(
        [
            Fault(
                pointer=pointer(*where, *each.path), code=each.code, detail=each.detail, file=name[:200], line=each.line
            )
            for each in error.faults
        ]
    )
