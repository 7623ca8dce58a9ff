"""Parameters that some servers refuse: they are sent at first, and left out where a server has refused them."""

from __future__ import annotations

import json
import os
import re

from pydantic_ai import exceptions
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

_PARALLEL = "parallel_tool_calls"  # false: one call of a tool in one answer
_MAX_TOKENS = "max_tokens"  # the older name of max_completion_tokens, and the only one that some servers know
_NAMED = re.compile(rf"\b({_PARALLEL}|{_MAX_TOKENS})\b")
#: How servers say that they do not know a parameter, or not beside another; others say that its value is too large.
_UNKNOWN = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|extra_forbidden|not permitted|not allowed|same time",
    re.IGNORECASE,
)
_BAD_REQUEST = frozenset({400, 422})
_OLDER = frozenset({"openai", "openai-chat", "ollama"})  # providers that may be servers which know the older name only


class Extras:
    """What is added to requests, and which of it each model's server has refused."""

    def __init__(self) -> None:
        self._refused: dict[str, frozenset[str]] = {}

    def add_to(self, settings: ModelSettings, *, name: str, model: Model) -> None:
        """Add what the model's server may know.

        Args:
            settings: Of the request.
            name: `provider:model`.
            model: Who is asked.
        """
        refused = self.refused(name)
        if _PARALLEL not in model.unsupported_settings | refused:
            settings["parallel_tool_calls"] = False
        if _is_older(name) and _MAX_TOKENS not in refused:
            settings["extra_body"] = {_MAX_TOKENS: settings["max_tokens"]}

    def refused(self, name: str) -> frozenset[str]:
        """Return what the model's server has refused so far."""
        return self._refused.get(name, frozenset())

    def note(self, name: str, error: exceptions.ModelHTTPError) -> None:
        """Note which of them a request was refused for, if it was for one of them."""
        said = json.dumps(error.body, default=str)
        if error.status_code in _BAD_REQUEST and not error.in_stream and _UNKNOWN.search(said):
            self._refused[name] = self.refused(name) | frozenset(_NAMED.findall(said))


def _is_older(name: str) -> bool:
    provider = name.partition(":")[0]
    return provider in _OLDER and (provider == "ollama" or "OPENAI_BASE_URL" in os.environ)
