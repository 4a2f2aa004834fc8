"""What browsers and probers get: pages, the contract, health, readiness, cross-origin answers."""

from __future__ import annotations

import re

import httpx
import pytest

from service.contract import document
from service.version import VERSION
from tests.contract.replies import assert_conforms
from tests.running import TOKEN, Running, running

ORIGIN = "https://chat.example.com"


def get(gateway: Running, path: str, **headers: str) -> httpx.Response:
    reply = httpx.get(f"{gateway.url}{path}", headers=headers)
    kind = reply.headers["content-type"]
    assert_conforms("GET", path, reply.status_code, kind, reply.content, dict(reply.headers))
    return reply


def test_health_says_that_the_process_lives_and_nothing_else(gateway: Running) -> None:
    assert get(gateway, "/health").text == "OK"
    assert httpx.head(f"{gateway.url}/health").status_code == 200


def test_ready_counts_keys_by_state(gateway: Running) -> None:
    told = get(gateway, "/ready").json()
    assert (told["status"], told["version"]) == ("ready", VERSION)
    assert sum(told["keys"].values()) == 2


def test_the_front_page_is_for_browsers(gateway: Running) -> None:
    assert get(gateway, "/").json()["name"] == "poe-proxy"
    page = get(gateway, "/", accept="text/html,*/*")
    assert "<title>poe-proxy</title>" in page.text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_other_hosts(gateway: Running, path: str) -> None:
    page = httpx.get(f"{gateway.url}{path}", headers={"accept": "text/html"})
    assert not re.search(r"<(script|link|img|iframe)|src=|@import|url\(", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_reference_names_every_operation_and_shows_no_marks(gateway: Running) -> None:
    text = get(gateway, "/docs").text
    for line in ("POST /chat/completions", "GET /models", "GET /models/{model}", "GET /ready"):
        assert f"<code>{line}</code>" in text
    prose = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert "```" not in prose
    assert "**" not in prose


def test_the_contract_is_served_as_it_was_written(gateway: Running) -> None:
    assert get(gateway, "/openapi.yaml").content == document.as_yaml()
    assert get(gateway, "/openapi.json").content == document.as_json()


def test_models_are_listed_and_found_in_any_spelling(gateway: Running) -> None:
    auth = {"authorization": f"Bearer {TOKEN}"}
    listed = get(gateway, "/v1/models", **auth).json()["data"]
    assert "sandbox-echo" in {model["id"] for model in listed}
    assert all(model["created"] < 10_000_000_000 for model in listed), "seconds, not milliseconds"
    for spelling in ("Sandbox-Echo", "sandbox%2Decho", "poe%2Fsandbox-echo", "poe/sandbox-echo"):
        assert get(gateway, f"/v1/models/{spelling}", **auth).json()["id"] == "sandbox-echo"


def test_without_origins_browsers_are_not_spoken_to(gateway: Running) -> None:
    reply = httpx.options(
        f"{gateway.url}/v1/models", headers={"origin": ORIGIN, "access-control-request-method": "GET"}
    )
    assert reply.status_code == 405
    assert "access-control-allow-origin" not in reply.headers


def preflight(gateway: Running, origin: str, asked: str) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": asked}
    return httpx.options(f"{gateway.url}/v1/chat/completions", headers=headers)


def test_an_origin_that_is_named_may_ask_with_what_clients_send(sandbox_url: str) -> None:
    with running(sandbox_url, CORS_ORIGINS=ORIGIN) as gateway:
        reply = preflight(gateway, ORIGIN, "authorization, x-stainless-lang, x-odd thing, cookie")
        assert reply.status_code == 204
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        allowed = reply.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "x-stainless-lang"} <= set(allowed)
        assert "cookie" not in allowed
        assert "access-control-allow-credentials" not in reply.headers
        assert reply.headers["access-control-max-age"]
        stranger = preflight(gateway, "https://evil.example.com", "authorization")
        assert stranger.status_code == 405
        assert "access-control-allow-origin" not in stranger.headers
        refused = httpx.get(f"{gateway.url}/v1/models", headers={"origin": ORIGIN})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN, "a page may read what went wrong"
        assert "x-request-id" in refused.headers["access-control-expose-headers"]
        assert refused.headers["vary"] == "Origin"


def test_every_origin_may_ask_where_the_setting_says_so(sandbox_url: str) -> None:
    with running(sandbox_url, CORS_ORIGINS="*") as gateway:
        reply = preflight(gateway, "https://anywhere.example.com", "authorization")
        assert reply.headers["access-control-allow-origin"] == "*"
        answer = httpx.get(f"{gateway.url}/v1/models", headers={"origin": ORIGIN, "authorization": f"Bearer {TOKEN}"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.status_code == 200
