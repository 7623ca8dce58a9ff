"""Detection of context overflow in the error messages of providers and servers."""

from __future__ import annotations

import re

_OVERFLOW = re.compile(
    "|".join(
        (
            r"exceed_context_size|context_(?:length|window)_exceeded",  # types and codes
            r"exceed(?:s|ed|ing)?\b[^.]{0,60}\bcontext (?:size|length|window|limit)\b",  # llama.cpp, OpenAI, Ollama
            r"\bmax(?:imum)? context (?:length|size|window)\b",  # vLLM, SGLang, OpenRouter, Mistral, DeepSeek
            r"\b(?:longer|greater|larger) than the (?:models? |maximum )?(?:context|model) (?:length|size|window)\b",
            r"\bkeep the first \d+ tokens\b|\btokens to keep from the initial prompt\b",  # LM Studio
            r"\bcontext (?:the )?overflow|\bcontext window exceeds\b",
            r"\b(?:prompt|input|conversation) (?:is )?too long\b",  # Anthropic, Bedrock, Fireworks
            r"\binput length and max_tokens exceed\b",  # Anthropic
            r"\bmaximum (?:prompt|input) length\b|\brange of input length\b",  # xAI, Alibaba
            r"\binput token count\b[^.]{0,40}\bexceed|\bnumber of tokens allowed\b",  # Google
            r"\bexceeded model token limit\b",  # Moonshot
            r"\binputs? tokens \+ max_new_tokens\b|\bmust have less than \d+ input_tokens\b",  # Together, TGI
            r"\btokens in the prompt cannot exceed\b",  # Cohere
            r"\breduce the length of (?:the|your) (?:messages|prompt|input)\b",  # Groq
        )
    )
)
#: The maximum reply alone would fill the context window, so a shorter prompt would not help.
_REPLY_TOO_LONG = re.compile(
    r"max_(?:completion_|output_|new_)?tokens\W.{0,40}?too large\W+(\d+)\W.{0,80}?context length is (\d+)"
)
_QUOTES = str.maketrans("", "", "`'\"\u2019")


def overflows(message: str) -> bool:
    """Return whether a message means that the prompt is too long and a shorter one would help.

    Args:
        message: The provider's message, with types and codes.
    """
    normalized = " ".join(message.translate(_QUOTES).lower().split())
    reply_limit = _REPLY_TOO_LONG.search(normalized)
    if reply_limit is not None and int(reply_limit[1]) >= int(reply_limit[2]):
        return False
    return _OVERFLOW.search(normalized) is not None
