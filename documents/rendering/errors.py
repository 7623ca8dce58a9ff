"""Errors of rendering. Each has a stable `code`, and a sentence that a client may see."""

from __future__ import annotations


class RenderingError(Exception):
    """The document cannot be rendered."""

    code = "rendering-failed"


class RenderingLimitExceeded(RenderingError):
    """The document needs more time, memory or bytes than one file may use."""

    code = "rendering-too-large"


class RenderingBusy(RenderingError):
    """All processes that render are in use."""

    code = "rendering-busy"


class HouseStyleError(RenderingError):
    """The house `.docx` is damaged, or has a part that is refused."""

    code = "house-style-refused"


class TemplateError(RenderingError):
    """A template cannot be used; `line` counts from 1, 0 stands for the whole template."""

    code = "template-invalid"

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"line {line}: {detail}" if line else detail)
        self.line = line
        self.detail = detail
