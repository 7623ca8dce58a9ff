"""Reads definitions from a folder each: `workflow.yaml`, with prompts, roles and schemas in files beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from workflows.definition import DefinitionError, Fault, WorkflowDefinition, parse_definition, pointer

CATALOG = Path(__file__).resolve().parent / "catalog"


class CatalogError(Exception):
    """A folder whose workflow cannot be run; the text names the folder and every fault."""


def folders(catalog: Path = CATALOG) -> list[Path]:
    """Return the folders that hold a workflow, in order of name."""
    return [path.parent for path in sorted(catalog.glob("*/workflow.yaml"))]


def load_catalog(catalog: Path = CATALOG) -> Iterator[WorkflowDefinition]:
    """Yield the definitions of all folders, in order of name.

    Raises:
        CatalogError: one of them is not what it should be.
    """
    for folder in folders(catalog):
        try:
            definition = load_folder(folder)
        except DefinitionError as error:
            raise CatalogError(f"{folder}: {error}") from error
        yield definition


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
