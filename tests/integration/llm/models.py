"""The model clients of a process."""

from __future__ import annotations

from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from executions.llm.pydantic_ai import providers


async def forget_models() -> None:
    """Have models made anew; connections of the old ones would stay open beyond a test's loop."""
    ready = [*providers._models.values()]
    providers._models.clear()
    for each in ready:
        async with each as model:
            if isinstance(model, AnthropicModel | OpenAIChatModel | OpenAIResponsesModel):
                await model.client.close()
