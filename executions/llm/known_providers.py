"""The providers that a model's name may begin with."""

from __future__ import annotations

REHEARSAL = "rehearsal"

#: As pydantic-ai knows them; they are listed as importing it takes longer than a web process has for an answer. Which
#: of them can be asked depends on what is installed and which keys are there, where the workers are.
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
_GATEWAY = "gateway/"  # pydantic's own, in front of a provider's name


def is_known(model: str) -> bool:
    """Return whether there is a provider of the name that a `provider:model` begins with."""
    return model.partition(":")[0].removeprefix(_GATEWAY) in PROVIDERS
