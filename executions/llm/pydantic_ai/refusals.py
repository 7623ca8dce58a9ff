"""Why there is no answer, or only the beginning of one: the provider's reason, never the text that was cut."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse, TextPart

FILTERED = "content_filter"  # the reason by which an answer ended, for every provider
_SAID = ("refusal", "block_reason_message")  # where the details have a sentence
_NAMED = ("finish_reason", "block_reason", "refusal_category")  # where they have a name


def text_of(response: ModelResponse) -> str:
    """Return the text of an answer."""
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def is_refused(response: ModelResponse) -> bool:
    """Whether the model, or a filter of its provider's, has refused."""
    return response.finish_reason == FILTERED


def reason(response: ModelResponse) -> str:
    """Return the reason of a refusal: the provider's sentence, or else that its filter was it, with a name."""
    details = response.provider_details or {}
    sentences = [said for name in _SAID if isinstance(said := details.get(name), str) and said.strip()]
    if sentences:
        return sentences[0].strip()
    names = dict.fromkeys(str(details[name])[:80] for name in _NAMED if details.get(name))
    names.pop(FILTERED, None)
    what = "prompt" if details.get("block_reason") else "answer"
    by_name = f" ({', '.join(names)})" if names else ""
    return f"The provider's content filter stopped the {what}{by_name}."
