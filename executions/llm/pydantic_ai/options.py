"""Options for calls to providers. A module of its own, because the providers' libraries take long to import."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Output(StrEnum):
    """How a model returns a document."""

    #: By tools that are the same for every step, so that the start of prompts can be cached.
    SHARED_TOOLS = "shared-tools"
    #: By a tool whose argument schema is the document's schema.
    TOOLS = "tools"
    #: The provider enforces the schema for the whole reply.
    NATIVE = "native"
    #: As JSON, because the prompt demands it.
    PROMPTED = "prompted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options for all providers."""

    streaming: bool = True  # receive replies piece by piece
    output: Output | None = None  # None: the best way for each provider
    connect_seconds: float = 10.0  # maximum time to connect
    first_token_seconds: float = 120.0  # from the start of a call to the first piece of a streamed reply
