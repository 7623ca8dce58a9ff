"""Published definitions as folders and as one text: what `load_catalog` and the API read back as the same version."""

from __future__ import annotations

import json
from typing import Any

import yaml
from pydantic import JsonValue

from common.limits import limits
from common.sources.yaml_scalars import plain_value
from documents.rendering.writers.zip_files import deterministic_zip
from workflows.definitions.definition import WorkflowDefinition

_MAIN = "workflow.yaml"
_HOUSE = "house.docx"
#: Texts of steps that become files, by field: folder and suffix.
_TEXTS = {"task": "prompts", "render": "templates"}
#: Characters that YAML takes for the ends of lines in blocks.
_OTHER_BREAKS = frozenset("\x85\u2028\u2029")


def write_zip(definition: WorkflowDefinition, *, house: bytes | None) -> bytes:
    """Return the folder of a definition as zip, with the same bytes for the same version."""
    return deterministic_zip(write_folder(definition, house=house), first=_MAIN)


def write_folder(definition: WorkflowDefinition, *, house: bytes | None) -> dict[str, bytes]:
    """Return the files of a definition by path: the definition, instructions, prompts, templates and schemas.

    Args:
        definition: The definition.
        house: The file that it names as its house.
    """
    files = _write(definition, indent=2)
    if sum(map(len, files.values())) > limits().definition_bytes:
        files = _write(definition, indent=None)
    if house is not None:
        files[_HOUSE] = house
    return files


def write_text(definition: WorkflowDefinition) -> str:
    """Return a definition as one YAML text for people: long texts are blocks of lines, and nothing is in files."""
    source = definition.model_dump(mode="json", exclude_defaults=True)
    return yaml.dump(source, Dumper=_TextDumper, sort_keys=False, allow_unicode=True, width=100)


def _write(definition: WorkflowDefinition, *, indent: int | None) -> dict[str, bytes]:
    source = definition.model_dump(mode="json", exclude_defaults=True)
    files: dict[str, bytes] = {}
    for name, role in source["roles"].items():
        role["instructions"] = _moved(role["instructions"], f"roles/{name}.md", files)
    for step in source["steps"]:
        for field, folder in _TEXTS.items():
            if field in step:
                step[field] = _moved(step[field], f"{folder}/{step['id']}.md", files)
        path = f"schemas/{step['id']}.json"
        text = json.dumps(step["output_schema"], ensure_ascii=False, indent=indent)
        step["output_schema"] = _moved(f"{text}\n", path, files)
    if "house" in source:
        source["house"] = {"file": _HOUSE}
    files[_MAIN] = yaml.dump(source, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100).encode()
    return files


def _moved(text: str, path: str, files: dict[str, bytes]) -> JsonValue:
    """Put a text into a file, and return what names it; a text that no file can hold as it is stays in place."""
    if "\r" in text or text.startswith("\ufeff"):
        return text
    files[path] = text.encode()
    return {"file": path}


class _Dumper(yaml.SafeDumper):
    """Quotes texts that our reader, which follows YAML 1.2, would take for other values."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: nothing is written as an alias."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else '"')


def _is_plain(text: str) -> bool:
    try:
        return plain_value(text) == text and text.isprintable()
    except ValueError:
        return False


class _TextDumper(_Dumper):
    """Writes texts of several lines as blocks."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" not in text or not _OTHER_BREAKS.isdisjoint(text):
        return _text(dumper, text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")


_Dumper.add_representer(str, _text)
_TextDumper.add_representer(str, _block)
