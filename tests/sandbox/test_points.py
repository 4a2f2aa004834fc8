"""Balance and points history move together and have Poe's shapes; keys share what their account has."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.sandbox.accounts import SandboxAccount
from tests.running import sandboxed
from tests.sandbox.talking import WEATHER, get, message_of, post, post_chat, post_query


def balance(url: str, key: str) -> int:
    body = get(f"{url}/usage/current_balance", headers={"authorization": f"Bearer {key}"}).json()
    assert set(body) == {"current_point_balance"}
    points: int = body["current_point_balance"]
    return points


def history(url: str, key: str, **query: Any) -> Any:
    return get(f"{url}/usage/points_history", params=query, headers={"authorization": f"Bearer {key}"}).json()


def test_what_leaves_the_balance_stands_in_the_history() -> None:
    keys = {"k": SandboxAccount(points=10_000)}
    with sandboxed(keys=keys, points_lag_seconds=0) as (url, _):
        for model in ("sandbox-echo", "sandbox-claude-4.6", "sandbox-image", "sandbox-speech"):
            post_chat(url, model, "How much is the fish?", key="k")
            assert 10_000 - balance(url, "k") == sum(row["cost_points"] for row in history(url, "k")["data"])
        post_chat(url, "sandbox-tools", "Weather?", key="k", stream=True, tools=[WEATHER])
        post_query(url, "Sandbox-Echo", "On the other wire", key="k")
        rows = history(url, "k")["data"]
        assert 10_000 - balance(url, "k") == sum(row["cost_points"] for row in rows)
    assert [row["bot_name"] for row in rows[:2]] == ["Sandbox-Echo", "Sandbox-Tools"]
    assert len(rows) == 6
    assert all(row["cost_points"] > 0 for row in rows)


def test_a_row_has_poes_members_and_its_lines_add_up() -> None:
    with sandboxed(keys={"k": SandboxAccount()}, points_lag_seconds=0) as (url, _):
        post_chat(url, "sandbox-claude-4.6", "word " * 200, key="k")
        (row,) = history(url, "k")["data"]
    assert set(row) == {
        "creation_time",
        "bot_name",
        "query_id",
        "usage_type",
        "cost_points",
        "cost_usd",
        "cost_breakdown_in_points",
        "api_key_name",
    }
    assert re.fullmatch("[a-z]{18}", row["query_id"])
    assert row["creation_time"] > 1.7e15
    assert row["usage_type"] == "API"
    assert row["api_key_name"] != "k"
    lines = row["cost_breakdown_in_points"]
    assert re.fullmatch(r"\d+ points? \(200 tokens\)", lines["Input"])
    amounts = {name: int(line.split()[0]) for name, line in lines.items()}
    assert amounts["Input"] + amounts["Output"] == amounts["Total"] == row["cost_points"]
    assert abs(float(row["cost_usd"]) / 0.00003 - row["cost_points"]) <= 2


def test_a_fresh_row_shows_no_points_for_a_moment() -> None:
    now = [1_000_000.0]
    with sandboxed(keys={"k": SandboxAccount(points=100)}, points_lag_seconds=5, clock=lambda: now[0]) as (url, _):
        post_chat(url, "sandbox-echo", "hello", key="k")
        (fresh,) = history(url, "k")["data"]
        assert (fresh["cost_points"], fresh["cost_breakdown_in_points"]) == (0, {})
        assert balance(url, "k") < 100
        now[0] += 5
        (settled,) = history(url, "k")["data"]
    assert settled["query_id"] == fresh["query_id"]
    assert settled["cost_points"] > 0


def test_history_is_paged_newest_first() -> None:
    with sandboxed(keys={"k": SandboxAccount()}) as (url, _):
        for _ in range(5):
            post_chat(url, "sandbox-echo", "hello", key="k")
        everything = history(url, "k")
        assert (everything["has_more"], everything["length"]) == (False, 5)
        times = [row["creation_time"] for row in everything["data"]]
        assert times == sorted(times, reverse=True)
        first = history(url, "k", limit=2)
        assert (first["has_more"], first["length"]) == (True, 2)
        second = history(url, "k", limit=3, starting_after=first["data"][-1]["query_id"])
        assert second["has_more"] is False
        assert [row["query_id"] for row in first["data"] + second["data"]] == [
            row["query_id"] for row in everything["data"]
        ]
        for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"starting_after": "nobody"}):
            assert "error" in history(url, "k", **wrong)


def test_keys_of_one_account_share_points_and_are_told_apart() -> None:
    account = SandboxAccount(points=1_000)
    with sandboxed(keys={"one": account, "two": account}) as (url, _):
        post_chat(url, "sandbox-echo", "hello", key="one")
        post_chat(url, "sandbox-echo", "hello", key="two")
        assert balance(url, "one") == balance(url, "two") < 1_000
        names = [row["api_key_name"] for row in history(url, "one")["data"]]
    assert len(set(names)) == 2


def test_a_key_that_nobody_gave_out_is_401_everywhere() -> None:
    with sandboxed(keys={"k": SandboxAccount()}) as (url, _):
        for path in ("/usage/current_balance", "/usage/points_history"):
            refused = get(f"{url}{path}", headers={"authorization": "Bearer other"})
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        refused = post_chat(url, "sandbox-echo", "hello", key="other")
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        assert get(f"{url}/v1/models").status_code == 200


def test_a_dry_account_is_402_and_may_still_ask_for_its_balance() -> None:
    account = SandboxAccount(points=1)
    with sandboxed(keys={"k": account}) as (url, state):
        assert post_chat(url, "sandbox-echo", "hello", key="k").status_code == 200
        dry = post_chat(url, "sandbox-echo", "hello", key="k")
        assert (dry.status_code, dry.json()["error"]["type"]) == (402, "insufficient_credits")
        assert balance(url, "k") <= 0
        account.points = 50
        assert post_chat(url, "sandbox-echo", "hello", key="k").status_code == 200
        assert [call.status for call in state.calls] == [200, 402, 200]


def test_an_account_has_a_limit_of_requests_where_it_is_given_one() -> None:
    with sandboxed(keys={"k": SandboxAccount(requests_per_minute=2)}, rate_headers=True) as (url, _):
        first = post_chat(url, "sandbox-echo", "hello", key="k")
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        post_query(url, "Sandbox-Echo", "hello", key="k")
        limited = post_chat(url, "sandbox-echo", "hello", key="k")
        assert limited.status_code == 429
        assert 1 <= int(limited.headers["retry-after"]) <= 60
        assert "rate limit" in post_query(url, "Sandbox-Echo", "hello", key="k").text


def test_any_key_will_do_where_no_accounts_are_given(url: str) -> None:
    assert message_of(post_chat(url, "sandbox-echo", "hello", key="whatever"))["content"] == "hello"
    assert balance(url, "whatever") > 900_000
    missing = post(f"{url}/v1/chat/completions", json={})
    assert missing.status_code == 401


@pytest.mark.parametrize("verb", ["status 500", "html 502"])
def test_an_answer_that_reached_no_model_costs_nothing(verb: str) -> None:
    with sandboxed(keys={"k": SandboxAccount(points=100)}) as (url, _):
        post_chat(url, "sandbox-failing", f"fail: {verb}", key="k")
        post_query(url, "sandbox-failing", f"fail: {verb}", key="k")
        post_chat(url, "sandbox-echo", "hello", key="k", unknown=True)
        assert balance(url, "k") == 100
        post_chat(url, "sandbox-failing", "fail: cut after 2", key="k", stream=True)
        assert balance(url, "k") < 100
