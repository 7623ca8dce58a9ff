"""How providers are asked. In a module of its own: their libraries take long to import."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Output(StrEnum):
    """How a model is brought to hand in a document."""

    #: By tools that are the same for every step: what prompts begin with can be read from a cache.
    SHARED_TOOLS = "shared-tools"
    #: By a tool whose arguments are the document, with its schema.
    TOOLS = "tools"
    #: The provider holds the whole answer to the schema.
    NATIVE = "native"
    #: The answer is JSON because the prompt asks for it.
    PROMPTED = "prompted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How providers are asked, whichever it is."""

    streaming: bool = True  # replies come piece by piece
    output: Output | None = None  # None: as suits each provider best
    connect_seconds: float = 10.0  # to reach one
    first_token_seconds: float = 120.0  # from the start of a call to the first piece of its reply, when it is streamed
