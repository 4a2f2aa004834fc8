"""Request bodies that together use every member of the contract, and random mutations of them."""

from __future__ import annotations

import copy
import random
from typing import Any

PIXEL = "data:image/png;base64,iVBORw0KGgo="

EVERYTHING: dict[str, Any] = {
    "model": "Claude-Sonnet-4.6",
    "models": ["gpt-5.2", "gemini-2.5-pro"],
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "house"},
        {
            "role": "developer",
            "content": [{"type": "text", "text": "In French.", "cache_control": {"type": "ephemeral"}}],
        },
        {
            "role": "user",
            "name": None,
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": None}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,SGVsbG8=", "filename": "hello.txt"}},
                {"type": "file", "file": {"file_data": "SGVsbG8=", "filename": None}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "reasoning_content": "Hm.",
            "reasoning": "Hm.",
            "audio": {"id": "a"},
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"deep": true}'},
                    "extra_content": {"google": {"thought_signature": "c2ln"}},
                },
                {"id": "call_2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}},
            ],
            "function_call": None,
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [], "name": None},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "done"}]},
        {"role": "assistant", "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "a cat"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "A cat."}]},
        {"role": "user", "content": ""},
    ],
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "max_tokens": 100,
    "max_completion_tokens": 200,
    "temperature": 0.5,
    "top_p": 1,
    "stop": ["a", "b"],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Look closely",
                "parameters": {"type": "object", "properties": {"deep": {"type": "boolean"}}},
                "strict": True,
            },
        },
        {"type": "custom", "custom": {"name": "patch", "description": None, "format": {"type": "text"}}},
        {"type": "custom", "name": "flat", "description": "d", "format": {"type": "grammar", "definition": "x"}},
    ],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}},
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": None},
    },
    "reasoning_effort": "high",
    "reasoning": {"effort": "low", "max_tokens": 0, "enabled": True, "exclude": False},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "thinking_budget": -1,
    "enable_thinking": True,
    "modalities": ["text", "image"],
    "n": 1,
    "logprobs": False,
    "top_logprobs": 20,
    "presence_penalty": -2,
    "frequency_penalty": 2.0,
    "logit_bias": {"50256": -100, "11": 1.5},
    "seed": -9223372036854775808,
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
    "audio": {"voice": "alloy", "format": "mp3"},
    "prediction": {"type": "content", "content": "x"},
    "metadata": {"a": "b"},
    "store": False,
    "service_tier": "auto",
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "functions": [{"name": "look", "parameters": None}],
    "function_call": {"name": "look"},
    "aspect_ratio": "16:9",
}

VARIANTS: tuple[dict[str, Any], ...] = (
    {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
    {"model": "m", "messages": [{"role": "user", "content": None}], "stop": "x", "tool_choice": "auto", "tools": []},
    {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_object"},
        "function_call": "auto",
        "stop": None,
    },
    {
        "model": "m",
        "messages": [{"role": "assistant"}],
        "tool_choice": {"type": "custom", "custom": {"name": "look"}},
        "response_format": {"type": "text"},
    },
    dict.fromkeys(EVERYTHING) | {"model": "m", "messages": [{"role": "user", "content": "x"}]},
)

ODD_STRINGS = ("", " ", "\x00", "\n", "a", "1", "auto", "none", "text", "function", "custom", "user", "tool", "a" * 257)
ODD_FILES = (
    PIXEL,
    "https://",
    "https://x",
    "http://a b",
    "data:;base64,",
    "data:,x",
    "data:a;base64,A",
    "QQ",
    "QQ=",
    "Q",
)
ODD_INTEGERS = (0, 1, -1, 2, 3, 20, 21, -2, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30)
ODD_NUMBERS = (0.0, 1.0, 0.5, -0.1, 1.1, 2.0, 2.5, -2.5, 1e-9, 1e300)
ODD_LISTS: tuple[list[Any], ...] = ([], [None], [""], ["a"] * 4, ["a"] * 5, ["a"] * 17, [[]], [{}])
ODD_OBJECTS: tuple[dict[str, Any], ...] = (
    {},
    {"a": 1},
    {"name": "x"},
    {"type": "text"},
    {"type": "text", "text": "x"},
    {"role": "user", "content": "x"},
    {"type": "function", "function": {"name": ""}},
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False),
    *(ODD_STRINGS + ODD_FILES),
    *(ODD_INTEGERS + ODD_NUMBERS),
    *ODD_LISTS,
    *ODD_OBJECTS,
)

Path = tuple[str | int, ...]


def mutated(chance: random.Random) -> tuple[dict[str, Any], str]:
    """A body one random step away from a good one, and what was done to it."""
    body = copy.deepcopy(chance.choice((EVERYTHING, EVERYTHING, *VARIANTS)))
    path = chance.choice(list(_paths(body)))
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    last = path[-1]
    deed = chance.randrange(6)
    if deed == 0:
        del holder[last]
        return body, f"delete {path}"
    if deed == 1:
        other = chance.choice(list(_paths(EVERYTHING)))
        holder[last] = copy.deepcopy(_at(EVERYTHING, other))
        return body, f"{path} := what is at {other}"
    if deed == 2 and isinstance(holder, dict):
        name = str(chance.choice([step for step in chance.choice(list(_paths(EVERYTHING))) if isinstance(step, str)]))
        value = chance.choice(ODD_VALUES)
        holder[name] = value
        return body, f"{(*path[:-1], name)} := {value!r}"
    if deed == 3 and isinstance(holder[last], (str, list)):
        holder[last] = holder[last] * chance.choice((0, 2, 5, 300))
        return body, f"stretch {path}"
    value = copy.deepcopy(chance.choice(ODD_VALUES))
    holder[last] = value
    return body, f"{path} := {value!r}"


def _paths(node: Any, prefix: Path = ()) -> Any:
    """The paths of all nodes below `node`."""
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, member in members:
        yield (*prefix, step)
        yield from _paths(member, (*prefix, step))


def _at(node: Any, path: Path) -> Any:
    for step in path:
        node = node[step]
    return node
