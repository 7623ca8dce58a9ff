"""Reads definitions from a folder each: `workflow.yaml`, with prompts, roles and schemas in files beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from workflows.definition import DefinitionError, Fault, WorkflowDefinition, parse_definition, pointer

CATALOG = Path(__file__).resolve().parent / "catalog"


def load_folder(folder: Path) -> WorkflowDefinition:
    """Return the definition in a folder. `{file: path}` stands for a text, or for what a JSON file says.

    Raises:
        DefinitionError: the definition, or a file that it names, is not what it should be.
    """
    source = yaml.safe_load((folder / "workflow.yaml").read_text(encoding="utf-8"))
    return parse_definition(_with_files(source, folder.resolve(), ()))


def load_catalog(catalog: Path = CATALOG) -> Iterator[WorkflowDefinition]:
    """Yield the definitions of all folders, in order of name."""
    for path in sorted(catalog.glob("*/workflow.yaml")):
        yield load_folder(path.parent)


def _with_files(value: object, folder: Path, where: tuple[str | int, ...]) -> object:
    if isinstance(value, dict):
        if set(value) == {"file"}:
            return _read(str(value["file"]), folder, where)
        return {key: _with_files(inner, folder, (*where, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_files(inner, folder, (*where, index)) for index, inner in enumerate(value)]
    return value


def _read(name: str, folder: Path, where: tuple[str | int, ...]) -> object:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        detail = f"{name!r} lies outside the workflow's folder."
        raise DefinitionError([Fault(pointer=pointer(*where), code="outside_folder", detail=detail)])
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else text
    except (OSError, ValueError) as error:
        detail = f"{name!r} cannot be read: {error}"
        raise DefinitionError([Fault(pointer=pointer(*where), code="unreadable_file", detail=detail)]) from error
