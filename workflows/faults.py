"""What can be wrong with a definition, and where."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Fault(BaseModel):
    """One thing that is wrong with a definition, and where (RFC 6901 pointer)."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    code: str
    detail: str


class DefinitionError(Exception):
    """A definition that cannot be run; `faults` names everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = faults


def pointer(*parts: str | int) -> str:
    """Return the RFC 6901 JSON Pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts_of(path: str) -> list[str]:
    """Return the parts of an RFC 6901 JSON Pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
