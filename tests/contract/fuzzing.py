"""How schemathesis is set up for this contract: the token, and what JSON Schema cannot say of a request."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import schemathesis
from schemathesis.config import SchemathesisConfig

from service.contract import document

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWERS = "Sandbox-Tools"
"""The sandbox's model that answers everything but a wish for JSON."""
ANSWERS_JSON = "Sandbox-JSON"
"""The one that answers JSON, but takes no tools."""


class Door:
    """An ASGI app that is told later which app it is: schemathesis wants one when tests are collected."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def contract(token: str, app: Any = None, *, max_examples: int | None = None) -> Any:
    """openapi.yaml for the fuzzer, with an app to call in process, if there is one, and the token to show it."""
    text = (ROOT / "schemathesis.toml").read_text(encoding="utf-8")
    config = SchemathesisConfig.from_str(f'{text}\n[auth.openapi.bearer]\nbearer = "{token}"\n')
    schema = schemathesis.openapi.from_dict(orjson.loads(document.as_json()), config=config)
    schema.app = app

    return schema


@schemathesis.hook("before_call")
def _mend(context: Any, case: Any, kwargs: Any) -> None:
    """The one hook that sees the requests of every phase."""
    if isinstance(case.body, dict):
        case.body = mended(copy.deepcopy(case.body))
        if case.headers.get("x-proxy-wire") == "chat" and _links_a_file(case.body):
            case.headers.pop("x-proxy-wire")  # that wire carries no links to files, so it cannot be forced


def mended(body: dict[str, Any]) -> dict[str, Any]:
    """The body with its references put right: a model that exists, a choice among the tools that are there.

    Most bodies ask for a model that answers, so that more is tried than how unknown models are refused.
    """
    if isinstance(body.get("model"), str) and 0 < len(body["model"]) <= 256 and len(str(body)) % 8:
        ask_who_answers(body)
    names = _names(body.get("tools")) or _names([{"function": function} for function in _list(body.get("functions"))])
    for choice in (body.get("tool_choice"), {"function": body.get("function_call")}):
        _choose(choice, names)
    return body


def ask_who_answers(body: dict[str, Any]) -> None:
    """Put a model into the body that can do all that is wanted; none can do tools and JSON at once."""
    wanted = body.get("response_format")
    body["model"] = ANSWERS
    if isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema"):
        if body.get("tools") or body.get("functions"):
            body["response_format"] = None
        else:
            body["model"] = ANSWERS_JSON


def _choose(choice: Any, names: list[str]) -> None:
    if not isinstance(choice, dict) or not names:
        return
    for kind in ("function", "custom"):
        named = choice.get(kind)
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            named["name"] = names[0]
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict) and isinstance(allowed.get("tools"), list):
        allowed["tools"] = [{"type": "function", "function": {"name": name}} for name in names]


def _names(tools: Any) -> list[str]:
    """The names of the tools that a model would be shown."""
    places = [
        place
        for tool in _list(tools)
        if isinstance(tool, dict)
        for place in (tool, tool.get("function"), tool.get("custom"))
        if isinstance(place, dict)
    ]
    return [place["name"] for place in places if isinstance(place.get("name"), str) and place["name"]]


def _links_a_file(body: dict[str, Any]) -> bool:
    """Whether a file part holds a URL to fetch it from."""
    contents = [message.get("content") for message in _list(body.get("messages")) if isinstance(message, dict)]
    parts = [part for content in contents for part in _list(content) if isinstance(part, dict)]
    files = [part["file"] for part in parts if isinstance(part.get("file"), dict)]
    return any(str(file.get("file_data")).startswith("http") for file in files)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
