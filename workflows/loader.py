"""Reads definitions from a folder each: `workflow.yaml`, with prompts, roles and schemas in files beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from workflows.definition import DefinitionError, Fault, WorkflowDefinition, parse_definition, pointer

CATALOG = Path(__file__).resolve().parent / "catalog"


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the folders of a catalog hold, in order of name."""

    definitions: tuple[WorkflowDefinition, ...]
    #: Of each folder whose workflow cannot be run: a text that names the folder and every fault.
    errors: tuple[str, ...]


def folders(catalog: Path = CATALOG) -> list[Path]:
    """Return the folders that hold a workflow, in order of name."""
    return [path.parent for path in sorted(catalog.glob("*/workflow.yaml"))]


def load_catalog(catalog: Path = CATALOG) -> Catalog:
    """Read all folders. A workflow with faults keeps no other from being read; two of the same id are faulty both."""
    found: dict[Path, WorkflowDefinition] = {}
    errors: dict[Path, str] = {}
    for folder in folders(catalog):
        try:
            found[folder] = load_folder(folder)
        except DefinitionError as error:
            errors[folder] = f"{folder}: {error}"
    places: dict[str, list[Path]] = {}
    for folder, definition in found.items():
        places.setdefault(definition.id, []).append(folder)
    for workflow_id, same in places.items():
        if len(same) > 1:
            names = " and ".join(str(folder) for folder in same)
            errors[same[0]] = f"{names}: /id: {workflow_id!r} names one workflow; each folder needs an id of its own."
            for folder in same:
                del found[folder]
    return Catalog(tuple(found.values()), tuple(text for _, text in sorted(errors.items())))


def load_folder(folder: Path) -> WorkflowDefinition:
    """Return the definition in a folder. `{file: path}` stands for a text, or for what a JSON file says.

    Raises:
        DefinitionError: the definition, or a file that it names, is not what it should be.
    """
    try:
        source = yaml.safe_load((folder / "workflow.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _fault((), "unreadable_file", f"'workflow.yaml' cannot be read: {error}") from error
    return parse_definition(_with_files(source, folder.resolve(), ()))


def _with_files(value: object, folder: Path, where: tuple[str | int, ...]) -> object:
    if isinstance(value, dict):
        name = value.get("file")
        if len(value) == 1 and isinstance(name, str):
            return _read(name, folder, where)
        return {key: _with_files(inner, folder, (*where, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_files(inner, folder, (*where, index)) for index, inner in enumerate(value)]
    return value


def _read(name: str, folder: Path, where: tuple[str | int, ...]) -> object:
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise _fault(where, "outside_folder", f"{name!r} lies outside the workflow's folder.")
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else text
    except (OSError, ValueError) as error:
        raise _fault(where, "unreadable_file", f"{name!r} cannot be read: {error}") from error


def _fault(where: tuple[str | int, ...], code: str, detail: str) -> DefinitionError:
    return DefinitionError([Fault(pointer=pointer(*where), code=code, detail=detail)])
