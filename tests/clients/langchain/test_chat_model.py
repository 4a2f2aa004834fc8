"""langchain's own suite for chat models passes with langchain-openai, on both wires, whatever the model's habits."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class ThroughTheGateway(ChatModelIntegrationTests):
    """Everything that the suite can be told to expect, on the model `name` over the wire `wire`."""

    name = ""
    wire = "chat"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        wire = {"x-proxy-wire": self.wire}
        return {"model": self.name, "default_headers": wire, "stream_usage": True, "max_retries": 0, "timeout": 20}

    @property
    def model_override_value(self) -> str:
        return "Sandbox-Echo"

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True


class TestGPTOnTheChatWire(ThroughTheGateway):
    name = "sandbox-gpt-5.2"


class TestClaudeOnTheChatWire(ThroughTheGateway):
    name = "sandbox-claude-4.6"


class TestGeminiOnTheChatWire(ThroughTheGateway):
    """langchain drops the signatures of Gemini's calls: the agent loop passes because the gateway keeps them."""

    name = "sandbox-gemini-3.1"


class TestGPTOnTheBotWire(ThroughTheGateway):
    name = "sandbox-gpt-5.2"
    wire = "bot"


class TestKimiOnTheBotWire(ThroughTheGateway):
    """Its call ids repeat in every turn, and text stands beside its calls."""

    name = "sandbox-kimi-k2.5"
    wire = "bot"
