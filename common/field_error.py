"""The error of one value in a structure: in a request, a workflow definition, or a document."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """An invalid value: its place (RFC 6901 pointer), a stable code, and a text for people."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    code: str
    detail: str

    def __str__(self) -> str:
        """Return the place and the text."""
        return f"{self.pointer}: {self.detail}"
