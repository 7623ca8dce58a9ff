"""The provider names that a model name may begin with."""

from __future__ import annotations

REHEARSAL = "rehearsal"
#: Of replies that people prepared for an example. No model name begins with it: the rehearsal plays them.
PREPARED = "prepared"

#: The names in pydantic-ai. They are listed here because a web process has no time to import it. Which providers can be
#: used depends on the workers: on installed packages and API keys.
PROVIDERS = frozenset(
    {
        REHEARSAL,
        "alibaba",
        "anthropic",
        "azure",
        "azure-responses",
        "bedrock",
        "bedrock-mantle",
        "cerebras",
        "cohere",
        "crusoe",
        "deepseek",
        "fireworks",
        "github",
        "github-copilot",
        "google",
        "google-cloud",
        "google-decisions",
        "groq",
        "heroku",
        "huggingface",
        "litellm",
        "meta",
        "mistral",
        "moonshotai",
        "nebius",
        "ollama",
        "openai",
        "openai-chat",
        "openai-chatgpt",
        "openai-codex",
        "openai-decisions",
        "openai-responses",
        "openrouter",
        "ovhcloud",
        "sambanova",
        "snowflake",
        "system-one",
        "together",
        "typesafe",
        "vercel",
        "vllm",
        "xai",
        "zai",
    }
)
_GATEWAY = "gateway/"  # pydantic's gateway, as prefix of a provider name


def is_known(model: str) -> bool:
    """Return whether the provider name of a `provider:model` is known."""
    return model.partition(":")[0].removeprefix(_GATEWAY) in PROVIDERS
