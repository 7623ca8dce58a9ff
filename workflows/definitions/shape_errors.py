"""What pydantic finds wrong with the shape of a definition, as faults with their places in the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workflows.errors import Fault, pointer
from workflows.json_schema.validation import json_faults


def follows(fault: Fault, found: list[Fault]) -> bool:
    """Whether a list is said to be too short because of what is wrong with its elements: they were not counted."""
    return fault.code == "too_short" and any(each.pointer.startswith(f"{fault.pointer}/") for each in found)


def shape_faults(error: dict[str, Any], source: Any) -> Iterator[Fault]:
    """Yield a fault of pydantic's; the places in a schema are named as they are in the source."""
    match error["loc"]:
        case ("steps", int() as index, "output_schema", _, *_):
            yield from json_faults(source["steps"][index]["output_schema"], "steps", index, "output_schema")
        case loc:
            yield Fault(pointer=pointer(*loc), code=error["type"], detail=error["msg"])
