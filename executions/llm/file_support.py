"""Which models read pictures and PDFs as they are: by the setting MODEL_FILES, else by what their providers say.

A web process asks this too, to estimate and to rebuild prompts, so it needs no provider's library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from executions.engine.domain.calls import TEXT_ONLY, Reading

#: Words of MODEL_FILES.
KINDS = {"none": (False, False), "pictures": (True, False), "pdfs": (False, True), "all": (True, True)}
_ANTHROPIC_PICTURE = 3_932_160  # bytes; the provider's limit is 5 MiB in base64
_PICTURES = Reading(pictures=True)
_ALL = Reading(pictures=True, pdfs=True)

#: What models read, by the names of their providers. The first pattern that the model's name begins with counts.
_KNOWN: dict[str, Sequence[tuple[str, Reading]]] = {
    "anthropic": (
        (r"claude-(2|instant)", TEXT_ONLY),
        (r"claude-3-(haiku|opus|sonnet)", Reading(pictures=True, picture_bytes=_ANTHROPIC_PICTURE)),
        (r"claude-", Reading(pictures=True, pdfs=True, picture_bytes=_ANTHROPIC_PICTURE)),
    ),
    "openai": (
        (r".*(audio|realtime|transcribe|tts|search|instruct)", TEXT_ONLY),
        (r"gpt-3|gpt-4($|-\d|-32k)|gpt-oss|o1-mini|o1-preview|o3-mini", TEXT_ONLY),
        (r"gpt-4-turbo", _PICTURES),
        (r"gpt-4o-mini", Reading(pictures=True, pdfs=True, picture_tokens=50_000)),  # counts 33 times as many
        (r"gpt-|chatgpt-|o\d", _ALL),
    ),
    "google": ((r"gemini-", _ALL),),
}
_SAME_AS = {"openai-chat": "openai", "openai-responses": "openai", "google-cloud": "google"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of MODEL_FILES. In the pattern, `*` stands for any characters."""

    pattern: str
    pictures: bool
    pdfs: bool


def rules_of(words: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules of a setting: words such as `openai:qwen-vl*=pictures`.

    Raises:
        ValueError: a word has another form.
    """
    rules = []
    for word in words:
        pattern, _, kind = word.rpartition("=")
        if ":" not in pattern or kind not in KINDS:
            raise ValueError(f"{word!r} is not provider:model={'|'.join(KINDS)}.")
        rules.append(Rule(pattern, *KINDS[kind]))
    return tuple(rules)


def reading_of(model: str, rules: Sequence[Rule]) -> Reading:
    """Return what a `provider:model` reads; the first rule that matches counts."""
    known = _known(model)
    for rule in rules:
        if fnmatchcase(model, rule.pattern):
            return Reading(
                pictures=rule.pictures,
                pdfs=rule.pdfs,
                picture_tokens=known.picture_tokens,
                picture_bytes=known.picture_bytes,
            )
    return known


def _known(model: str) -> Reading:
    provider, _, name = model.partition(":")
    family = _SAME_AS.get(provider, provider)
    if family == "openai" and "OPENAI_BASE_URL" in os.environ:
        return TEXT_ONLY  # a server of one's own: its models can have any name
    return next((reading for pattern, reading in _KNOWN.get(family, ()) if re.match(pattern, name)), TEXT_ONLY)
