"""What a request body can hold.

Generated from openapi.yaml by `invoke generate`; not to be edited.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import MISSING, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictStr
from typing_extensions import TypeAliasType

from service.contract.whole import StrictInt

ModelName = TypeAliasType("ModelName", Annotated[StrictStr, Field(max_length=256, min_length=1)])


class TextPart(BaseModel):
    type: Literal["text"]
    text: StrictStr


class ImageUrl(BaseModel):
    url: Annotated[
        StrictStr,
        Field(
            pattern="^(?:https?://[A-Za-z0-9._~%:@!$&()*+,;=-]+(?:[/?#][^\\x00-\\x20\\x7f]*)?|data:[!-+\\x2d-~]*;base64,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$"
        ),
    ]
    detail: StrictStr | MISSING | None = MISSING


class InputAudio(BaseModel):
    data: Annotated[StrictStr, Field(pattern="^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
    format: Annotated[StrictStr, Field(pattern="^[a-z0-9]{1,16}$")]


class InputFile(BaseModel):
    """
    A file that travels with the request. An id of an uploaded file (`file_id`) is not enough: this service keeps no
    files.

    """

    file_data: Annotated[
        StrictStr,
        Field(
            pattern="^(?:https?://[A-Za-z0-9._~%:@!$&()*+,;=-]+(?:[/?#][^\\x00-\\x20\\x7f]*)?|(?:data:[!-+\\x2d-~]*;base64,)?(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$"
        ),
    ]
    filename: Annotated[StrictStr | MISSING | None, Field(pattern="^[^\\x00-\\x1f\\x7f]*$")] = MISSING


class RefusalPart(BaseModel):
    type: Literal["refusal"]
    refusal: StrictStr


class FunctionCall(BaseModel):
    name: StrictStr
    arguments: StrictStr


class CustomCall(BaseModel):
    name: StrictStr
    input: StrictStr


ToolName = TypeAliasType("ToolName", Annotated[StrictStr, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")])


class FunctionDefinition(BaseModel):
    name: ToolName
    description: StrictStr | MISSING | None = MISSING
    parameters: dict[str, Any] | MISSING | None = MISSING
    strict: StrictBool | MISSING | None = MISSING


class CustomDefinition(BaseModel):
    name: ToolName
    description: StrictStr | MISSING | None = MISSING
    format: dict[str, Any] | MISSING | None = MISSING


class FunctionName(BaseModel):
    name: StrictStr


class AllowedTools(BaseModel):
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class TextFormat(BaseModel):
    """
    Anything; the default
    """

    type: Literal["text"]


class JsonObjectFormat(BaseModel):
    """
    Any JSON object
    """

    type: Literal["json_object"]


class JsonSchemaDefinition(BaseModel):
    name: StrictStr
    description: StrictStr | MISSING | None = MISSING
    schema_: Annotated[dict[str, Any] | MISSING | None, Field(alias="schema")] = MISSING
    strict: StrictBool | MISSING | None = MISSING


class StreamOptions(BaseModel):
    include_usage: StrictBool | MISSING | None = MISSING
    include_obfuscation: StrictBool | MISSING | None = MISSING


StopTexts = TypeAliasType("StopTexts", Annotated[list[StrictStr], Field(max_length=4)])


LogitBias = TypeAliasType("LogitBias", dict[str, StrictFloat])
"""
Ignored; Poe knows no such thing
"""


class ReasoningOptions(BaseModel):
    """
    How hard to think, as OpenRouter's programs say it
    """

    effort: StrictStr | MISSING | None = MISSING
    max_tokens: Annotated[StrictInt | MISSING | None, Field(ge=0, le=2147483647)] = MISSING
    enabled: StrictBool | MISSING | None = MISSING
    exclude: StrictBool | MISSING | None = MISSING


class ThinkingOptions(BaseModel):
    """
    How hard to think, as Anthropic's programs say it
    """

    type: StrictStr | MISSING | None = MISSING
    budget_tokens: Annotated[StrictInt | MISSING | None, Field(ge=0, le=2147483647)] = MISSING


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageUrl


class AudioPart(BaseModel):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FilePart(BaseModel):
    type: Literal["file"]
    file: InputFile


class FunctionToolCall(BaseModel):
    id: StrictStr
    type: Literal["function"]
    function: FunctionCall
    extra_content: dict[str, Any] | MISSING | None = MISSING


class CustomToolCall(BaseModel):
    id: StrictStr
    type: Literal["custom"]
    custom: CustomCall
    extra_content: dict[str, Any] | MISSING | None = MISSING


class FunctionTool(BaseModel):
    type: Literal["function"]
    function: FunctionDefinition


class CustomTool(BaseModel):
    """
    A tool that takes plain text. Poe knows only functions, so the model sees a function of one string, and its
    grammar becomes part of the description. The definition may stand in `custom`, as OpenAI has it, or beside
    `type`, as Cursor sends it. A tool with no name in either place is ignored.

    """

    type: Literal["custom"]
    custom: CustomDefinition | MISSING | None = MISSING
    name: ToolName | MISSING | None = MISSING
    description: StrictStr | MISSING | None = MISSING
    format: dict[str, Any] | MISSING | None = MISSING


class FunctionToolChoice(BaseModel):
    type: Literal["function"]
    function: FunctionName


class CustomToolChoice(BaseModel):
    type: Literal["custom"]
    custom: FunctionName


class AllowedToolsChoice(BaseModel):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class JsonSchemaFormat(BaseModel):
    """
    JSON that fits a schema
    """

    type: Literal["json_schema"]
    json_schema: JsonSchemaDefinition


Stop = TypeAliasType("Stop", StrictStr | StopTexts | None)


ContentPart = TypeAliasType(
    "ContentPart", Annotated[TextPart | ImagePart | AudioPart | FilePart | RefusalPart, Field(discriminator="type")]
)


ToolCall = TypeAliasType("ToolCall", Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")])


Tool = TypeAliasType("Tool", Annotated[FunctionTool | CustomTool, Field(discriminator="type")])


NamedToolChoice = TypeAliasType(
    "NamedToolChoice",
    Annotated[FunctionToolChoice | CustomToolChoice | AllowedToolsChoice, Field(discriminator="type")],
)


ResponseFormat = TypeAliasType(
    "ResponseFormat", Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
)


Content = TypeAliasType("Content", StrictStr | list[ContentPart] | None)


ToolChoice = TypeAliasType("ToolChoice", Literal["none", "auto", "required"] | NamedToolChoice | None)


class SystemMessage(BaseModel):
    """
    Instructions
    """

    role: Literal["system"]
    content: Content
    name: StrictStr | MISSING | None = MISSING


class DeveloperMessage(BaseModel):
    """
    Instructions under OpenAI's newer name; the same as `system`
    """

    role: Literal["developer"]
    content: Content
    name: StrictStr | MISSING | None = MISSING


class UserMessage(BaseModel):
    """
    What the user says and shows
    """

    role: Literal["user"]
    content: Content
    name: StrictStr | MISSING | None = MISSING


class AssistantMessage(BaseModel):
    """
    What the model said earlier, and what it called
    """

    role: Literal["assistant"]
    content: Content | MISSING = MISSING
    name: StrictStr | MISSING | None = MISSING
    refusal: StrictStr | MISSING | None = MISSING
    reasoning_content: StrictStr | MISSING | None = MISSING
    reasoning: StrictStr | MISSING | None = MISSING
    audio: dict[str, Any] | MISSING | None = MISSING
    tool_calls: list[ToolCall] | MISSING | None = MISSING
    function_call: FunctionCall | MISSING | None = MISSING


class ToolMessage(BaseModel):
    """
    The result of a call
    """

    role: Literal["tool"]
    content: Content
    tool_call_id: StrictStr
    name: StrictStr | MISSING | None = MISSING


class FunctionMessage(BaseModel):
    """
    The result of a call in the older form
    """

    role: Literal["function"]
    content: Content
    name: StrictStr


Message = TypeAliasType(
    "Message",
    Annotated[
        SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
        Field(discriminator="role"),
    ],
)


class ChatCompletionRequest(BaseModel):
    """
    What to ask. Members that are not named here are custom parameters of the model, or are ignored.

    """

    model_config = ConfigDict(
        extra="allow",
    )
    model: ModelName
    models: Annotated[list[ModelName] | MISSING | None, Field(max_length=16)] = MISSING
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: StrictBool | MISSING | None = MISSING
    stream_options: StreamOptions | MISSING | None = MISSING
    max_tokens: Annotated[StrictInt | MISSING | None, Field(ge=1, le=2147483647)] = MISSING
    max_completion_tokens: Annotated[StrictInt | MISSING | None, Field(ge=1, le=2147483647)] = MISSING
    temperature: Annotated[StrictFloat | MISSING | None, Field(ge=0.0, le=2.0)] = MISSING
    top_p: Annotated[StrictFloat | MISSING | None, Field(ge=0.0, le=1.0)] = MISSING
    stop: Stop | MISSING = MISSING
    tools: list[Tool] | MISSING | None = MISSING
    tool_choice: ToolChoice | MISSING = MISSING
    parallel_tool_calls: StrictBool | MISSING | None = MISSING
    response_format: ResponseFormat | MISSING | None = MISSING
    reasoning_effort: StrictStr | MISSING | None = MISSING
    reasoning: ReasoningOptions | MISSING | None = MISSING
    thinking: ThinkingOptions | MISSING | None = MISSING
    thinking_budget: Annotated[StrictInt | MISSING | None, Field(ge=-1, le=2147483647)] = MISSING
    enable_thinking: StrictBool | MISSING | None = MISSING
    modalities: list[StrictStr] | MISSING | None = MISSING
    n: Annotated[StrictInt | MISSING | None, Field(ge=1, le=1)] = MISSING
    logprobs: StrictBool | MISSING | None = MISSING
    top_logprobs: Annotated[StrictInt | MISSING | None, Field(ge=0, le=20)] = MISSING
    presence_penalty: Annotated[StrictFloat | MISSING | None, Field(ge=-2.0, le=2.0)] = MISSING
    frequency_penalty: Annotated[StrictFloat | MISSING | None, Field(ge=-2.0, le=2.0)] = MISSING
    logit_bias: LogitBias | MISSING | None = MISSING
    seed: Annotated[StrictInt | MISSING | None, Field(ge=-9223372036854775808, le=9223372036854775807)] = MISSING
    verbosity: StrictStr | MISSING | None = MISSING
    web_search_options: dict[str, Any] | MISSING | None = MISSING
    audio: dict[str, Any] | StrictBool | MISSING | None = MISSING
    prediction: dict[str, Any] | MISSING | None = MISSING
    metadata: dict[str, Any] | MISSING | None = MISSING
    store: StrictBool | MISSING | None = MISSING
    service_tier: StrictStr | MISSING | None = MISSING
    user: StrictStr | MISSING | None = MISSING
    safety_identifier: StrictStr | MISSING | None = MISSING
    prompt_cache_key: StrictStr | MISSING | None = MISSING
    prompt_cache_retention: StrictStr | MISSING | None = MISSING
    functions: list[FunctionDefinition] | MISSING | None = MISSING
    function_call: Literal["none", "auto"] | FunctionName | MISSING | None = MISSING
