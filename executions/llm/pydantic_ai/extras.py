"""Optional request parameters: sent at first, and omitted for servers that have rejected them."""

from __future__ import annotations

import json
import os
import re

from pydantic_ai import exceptions
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

_PARALLEL = "parallel_tool_calls"  # False: one tool call per reply
_MAX_TOKENS = "max_tokens"  # older name of max_completion_tokens, and the only one that some servers accept
_NAMED = re.compile(rf"\b({_PARALLEL}|{_MAX_TOKENS})\b")
#: How servers say that they do not support a parameter or a combination. Other errors concern its value.
_UNKNOWN = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|extra_forbidden|not permitted|not allowed|same time",
    re.IGNORECASE,
)
_BAD_REQUEST = frozenset({400, 422})
# providers whose servers may know only the older name
_MAY_NEED_OLDER_NAME = frozenset({"openai", "openai-chat", "ollama"})


class Extras:
    """The optional parameters, and those that each model's server has rejected."""

    def __init__(self) -> None:
        self._rejected: dict[str, frozenset[str]] = {}

    def add_to(self, settings: ModelSettings, *, name: str, model: Model) -> None:
        """Add the parameters that the model's server may support.

        Args:
            settings: The settings of the request.
            name: `provider:model`.
            model: The model.
        """
        rejected = self.refused(name)
        if _PARALLEL not in model.unsupported_settings | rejected:
            settings["parallel_tool_calls"] = False
        if _may_need_older_name(name) and _MAX_TOKENS not in rejected:
            settings["extra_body"] = {_MAX_TOKENS: settings["max_tokens"]}

    def refused(self, name: str) -> frozenset[str]:
        """Return the parameters that the model's server has rejected so far."""
        return self._rejected.get(name, frozenset())

    def note(self, name: str, error: exceptions.ModelHTTPError) -> None:
        """Record the parameters that caused this error, if any did."""
        body = json.dumps(error.body, default=str)
        if error.status_code in _BAD_REQUEST and not error.in_stream and _UNKNOWN.search(body):
            self._rejected[name] = self.refused(name) | frozenset(_NAMED.findall(body))


def _may_need_older_name(name: str) -> bool:
    provider = name.partition(":")[0]
    return provider in _MAY_NEED_OLDER_NAME and (provider == "ollama" or "OPENAI_BASE_URL" in os.environ)
