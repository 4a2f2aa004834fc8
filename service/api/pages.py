"""The front page, the contract itself, and a reference page made from it that loads nothing from other hosts."""

from __future__ import annotations

from functools import cache
from html import escape

import orjson
from fastapi import Request, Response

from service.api.reference import reference_page
from service.contract import document
from service.version import VERSION

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f5;border-radius:4px;"
    "padding:.1em .3em}"
    "pre{padding:.8em;overflow:auto}a{color:#3b3bd1}@media(prefers-color-scheme:dark){body{background:#16161a;"
    "color:#e8e8ea}code,pre{background:#26262c}a{color:#9d9dff}}"
)


async def index(request: Request) -> Response:
    """A short page for a browser, JSON for anything else."""
    if "text/html" in request.headers.get("accept", ""):
        return _html(_index_page())
    told = {"name": "poe-proxy", "version": VERSION, "documentation": "/docs", "contract": "/openapi.yaml"}
    return Response(orjson.dumps(told), media_type="application/json")


async def contract_yaml() -> Response:
    """The checked-in file, byte for byte."""
    return Response(document.as_yaml(), media_type="application/yaml")


async def contract_json() -> Response:
    """Its twin."""
    return Response(document.as_json(), media_type="application/json")


async def reference() -> Response:
    """The contract, for reading."""
    return _html(_reference_page())


def _html(page: str) -> Response:
    headers = {
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
        "referrer-policy": "no-referrer",
    }
    return Response(page, media_type="text/html", headers=headers)


@cache
def _index_page() -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>poe-proxy</title><style>{STYLE}</style>"
        f"<h1>poe-proxy</h1><p>Version {escape(VERSION)}. An OpenAI-compatible API for the models of Poe.</p>"
        "<p>Point your client at <code>/v1</code> on this host, with an access token as its API key.</p>"
        "<ul><li><a href='docs'>Reference</a><li><a href='openapi.yaml'>openapi.yaml</a>"
        "<li><a href='health'>Health</a> and <a href='ready'>readiness</a></ul></html>"
    )


@cache
def _reference_page() -> str:
    return reference_page(orjson.loads(document.as_json()), STYLE)
