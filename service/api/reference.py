"""The reference page: an OpenAPI document as plain HTML, with no script and nothing loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import orjson

FENCED = re.compile(r"```\w*\n(.*)\n```", re.DOTALL)
MARKS = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<b>\1</b>"),
    (re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)"), r'<a href="\2">\1</a>'),
)
METHODS = ("get", "post", "put", "patch", "delete")


def reference_page(document: Mapping[str, Any], style: str) -> str:
    """The whole page."""
    info = document["info"]
    servers = ", ".join([f"<code>{escape(server['url'])}</code>" for server in document.get("servers", ())])
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(info['title'])} reference</title><style>{style}</style>",
        f"<h1>{escape(info['title'])}</h1>{_prose(info.get('description', ''))}<p>Served under {servers}.</p>",
    ]
    parts += [_operation(document, *found) for found in _operations(document)]
    parts.append("<h2>Shapes</h2>")
    schemas = document.get("components", {}).get("schemas", {})
    parts += [_schema(name, schema) for name, schema in schemas.items()]
    return "".join(parts) + "</html>"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<h2><code>{method} {escape(path)}</code></h2><p><b>{escape(operation['summary'])}</b></p>"]
    parts.append(_prose(operation.get("description", "")))
    for media in operation.get("requestBody", {}).get("content", {}).values():
        parts += [_example(example) for example in media.get("examples", {}).values()]
    parts.append("<ul>")
    for status, answer in operation["responses"].items():
        resolved = _resolve(document, answer)
        parts.append(f"<li><code>{status}</code> {_inline(resolved.get('description', ''))}")
    return "".join(parts) + "</ul>"


def _example(example: Mapping[str, Any]) -> str:
    written = orjson.dumps(example.get("value"), option=orjson.OPT_INDENT_2).decode()
    return f"<p>{escape(example.get('summary', 'Example'))}</p><pre>{escape(written)}</pre>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = [
        f"<li><code>{escape(member)}</code> {escape(_kind(shape))} {_inline(shape.get('description', ''))}"
        for member, shape in schema.get("properties", {}).items()
    ]
    about = _prose(schema.get("description", ""))
    return f"<h3 id='{escape(name)}'>{escape(name)}</h3>{about}<ul>{''.join(rows)}</ul>"


def _kind(shape: Mapping[str, Any]) -> str:
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    kind = shape.get("type", "")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _prose(text: str) -> str:
    return "".join([_paragraph(paragraph) for paragraph in text.strip().split("\n\n") if paragraph.strip()])


def _paragraph(text: str) -> str:
    fenced = FENCED.fullmatch(text.strip())
    return f"<pre>{escape(fenced.group(1))}</pre>" if fenced else f"<p>{_inline(text)}</p>"


def _inline(text: str) -> str:
    """The marks that our own descriptions use: code, bold, links."""
    marked = escape(text, quote=False)
    for pattern, replacement in MARKS:
        marked = pattern.sub(replacement, marked)
    return marked


def _resolve(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        found: Any = document
        for step in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node
