"""The doctor: every ill that it knows is found, with a cure, and an exit code that tells them apart."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from infra import doctor, fly, http, process
from tests.infra import fake_flyctl
from tests.infra.flying import APP, KEYS, Desk

IMAGE = f"registry.fly.io/{APP}:one"
REAL_RUN = process.run
State = dict[str, Any]


@pytest.fixture
def running(desk: Desk) -> Desk:
    assert desk.run("setup", "--yes", "--image", IMAGE, POE_API_KEYS=KEYS).code == 0
    desk.forget()
    return desk


def found(desk: Desk, **environ: str) -> tuple[int, dict[str, Any]]:
    ended = desk.run("doctor", "--json", **environ)
    return ended.code, {each["name"]: each for each in ended.json}


def test_nothing_is_wrong_after_a_setup(running: Desk) -> None:
    begin = time.monotonic()
    code, told = found(running)
    assert (code, [each for each in told.values() if not each["good"]]) == (0, [])
    assert time.monotonic() - begin < 10
    assert list(told) == [
        "tools", "Poe", "fly.toml", "login", "app",
        "secrets", "addresses", "certificates", "deploy token", "health", "clock", "drift",
    ]  # fmt: skip
    assert running.writes() == []


def test_for_people_each_line_has_its_cure(running: Desk) -> None:
    running.change(lambda state: state["apps"][APP].update(ips=[]))
    ended = running.run("doctor")
    assert ended.code == 3
    assert "failed  addresses      no IPv4 and no IPv6 → ./dev setup" in ended.out.splitlines()
    assert "ok      login          test@example.com" in ended.out.splitlines()


def sick(state: State) -> None:
    state["sick_images"].append(IMAGE)


def certificate(state: State) -> None:
    state["apps"][APP]["certs"]["api.example.com"] = {"status": "pending_ownership"}


def aged(state: State) -> None:
    state["apps"][APP]["tokens"][0].update(ends="2026-01-01 00:00:00 +0000 UTC")


def ending(state: State) -> None:
    soon = datetime.now(UTC) + timedelta(days=doctor.TOKEN_WARNING_DAYS - 1)
    state["apps"][APP]["tokens"][0].update(ends=f"{soon:%Y-%m-%d %H:%M:%S} +0000 UTC")


def resized(state: State) -> None:
    state["apps"][APP]["releases"][-1]["config"]["vm"] = [{"size": "shared-cpu-2x", "memory": "512mb"}]


ILLS: dict[str, tuple[Callable[[State], Any], int, str, str]] = {
    "an old flyctl": (lambda s: s.update(version="0.3.1"), 3, "tools", "flyctl version upgrade"),
    "no app": (lambda s: s.update(apps={}), 3, "app", "./dev setup"),
    "no secret": (lambda s: s["apps"][APP]["secrets"].pop("POE_API_KEYS"), 3, "secrets", "./dev secrets"),
    "a staged secret": (
        lambda s: s["apps"][APP]["secrets"]["POE_API_KEYS"].update(value="x"), 4, "secrets", "./dev deploy"
    ),
    "no address": (lambda s: s["apps"][APP].update(ips=[]), 3, "addresses", "./dev setup"),
    "no certificate yet": (certificate, 1, "certificates", "./dev certs.check --host api.example.com"),
    "an old token": (aged, 1, "deploy token", "./dev setup makes a new one"),
    "a token that ends soon": (ending, 1, "deploy token", "./dev setup makes a new one"),
    "a sick machine": (sick, 1, "health", "./dev logs"),
    "a stopped machine": (lambda s: s["apps"][APP]["machines"][0].update(state="failed"), 1, "health", "./dev logs"),
    "a machine that gave up": (
        lambda s: s["apps"][APP]["machines"][0].update(state="stopped"), 1, "health", "./dev logs"
    ),
    "no machine": (lambda s: s["apps"][APP].update(machines=[]), 3, "health", "./dev deploy"),
    "dry keys": (lambda s: s.update(ready={IMAGE: {"keys": {"dry": 2}}}), 1, "health", "./dev secrets"),
    "a revoked key": (
        lambda s: s.update(ready={IMAGE: {"keys": {"usable": 1, "revoked": 1}}}), 1, "health", "./dev secrets"
    ),
    "another size": (resized, 4, "drift", "./dev deploy"),
    "a failed release": (lambda s: s["apps"][APP]["releases"][-1].update(status="failed"), 4, "drift", "./dev deploy"),
}  # fmt: skip


@pytest.mark.parametrize("ill", ILLS)
def test_an_ill_is_found_with_its_cure(running: Desk, ill: str) -> None:
    change, code, name, cure = ILLS[ill]
    running.change(change)
    ended, told = found(running)
    assert ended == code, told
    assert (told[name]["good"], told[name]["fix"]) == (False, cure)
    assert told[name]["text"]


def test_a_deploy_token_is_told_with_its_end(running: Desk) -> None:
    assert re.search(r" until \d{4}-\d\d-\d\d$", found(running)[1]["deploy token"]["text"])


@pytest.mark.parametrize("name", ["poe-proxy setup 0a1b2c", "flyctl deploy token"])
def test_the_cure_for_an_old_token_that_was_made_elsewhere_is_one(running: Desk, name: str) -> None:
    """`setup` leaves such a token alone, so that its own name would be no cure."""
    running.change(aged)
    running.change(lambda state: state["apps"][APP]["tokens"][0].update(name=name))
    (token,) = running.app["tokens"]
    fix = found(running)[1]["deploy token"]["fix"]
    assert f"`flyctl tokens revoke {token['id']}`, and ./dev setup" in fix
    running.change(lambda state: state["apps"][APP]["tokens"][0].update(revoked="2026-11-22 00:00:00 +0000 UTC"))
    assert running.run("setup", "--yes").code == 0
    assert found(running)[0] == 0


def test_keys_that_are_lost_are_counted_and_those_that_rest_are_not(running: Desk) -> None:
    keys = {"usable": 1, "limited": 1, "revoked": 1}
    running.change(lambda state: state.update(ready={IMAGE: {"keys": keys}}))
    assert found(running)[1]["health"]["text"] == "1 machine ready, but of 3 Poe keys: 1 revoked"
    running.change(lambda state: state.update(ready={IMAGE: {"keys": {**keys, "revoked": 0}}}))
    assert found(running)[1]["health"]["good"]


def test_a_digest_behind_a_name_is_no_other_image(running: Desk) -> None:
    assert running.run("scale.count", "--machines", "2").code == 0
    running.change(lambda state: state["apps"][APP]["machines"][1].update(image=f"{IMAGE}@sha256:0a"))
    assert found(running)[1]["drift"]["good"]
    running.change(lambda state: state["apps"][APP]["machines"][1].update(image=f"registry.fly.io/{APP}:two"))
    assert found(running)[1]["drift"]["text"].startswith("machines run different images")


class Clock:
    """Time that passes only while somebody waits for a look that hangs; the others take none of it."""

    def __init__(self, *hanging: str) -> None:
        self.now = 1000.0
        clock = self

        class Look(threading.Thread):
            def __init__(self, *, target: Callable[[str], None], args: tuple[str], daemon: bool) -> None:
                super().__init__(target=target, args=args, daemon=daemon)
                self.hangs = args[0] in hanging

            def join(self, timeout: float | None = None) -> None:
                assert timeout is not None
                clock.now += timeout * self.hangs
                super().join(0 if self.hangs else 20)

        self.looks = Look

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Clock]:
    """The doctor's, where the looks of these names hang."""
    made = Clock(*request.param)
    monkeypatch.setattr(doctor, "threading", SimpleNamespace(Thread=made.looks))
    monkeypatch.setattr(doctor, "time", made)
    monkeypatch.setattr(fly, "time", made)
    yield made
    assert 0 < made.now - 1000.0 < 10


@pytest.mark.parametrize("clock", [["health"]], indirect=True, ids=[""])
def test_fifty_machines_that_hang_are_not_waited_for(
    running: Desk, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def crowd(state: State) -> None:
        (one,) = state["apps"][APP]["machines"]
        state["apps"][APP]["machines"] = [{**one, "id": f"{number:014x}"} for number in range(50)]

    running.change(crowd)
    ended = threading.Event()
    real = http.get

    def get(url: str, *rest: Any, **more: Any) -> http.Answer:
        if url.endswith("/ready"):
            ended.wait(60)
        return real(url, *rest, **more)

    monkeypatch.setattr(http, "get", get)
    code, told = found(running)
    ended.set()
    assert (code, told["health"]["text"], told["drift"]["good"]) == (1, "no answer in time", True)


WELLS: dict[str, Callable[[State], Any]] = {
    "a token that was taken back": lambda s: s["apps"][APP]["tokens"].append(
        {"id": "old", "name": "old", "ends": "2026-01-01 00:00:00 +0000 UTC", "revoked": "2026-01-01", "value": "x-old"}
    ),
    "an address of its own": lambda s: s["apps"][APP]["ips"][0].update(Type="v4"),
    "a strategy of that deployment": lambda s: s["apps"][APP]["releases"][-1]["config"].update(
        deploy={"strategy": "immediate"}
    ),
}


@pytest.mark.parametrize("well", WELLS)
def test_what_is_no_ill(running: Desk, well: str) -> None:
    running.change(WELLS[well])
    code, told = found(running)
    assert (code, [each for each in told.values() if not each["good"]]) == (0, [])


@pytest.mark.parametrize("status", [500, 503])
def test_poe_in_trouble(running: Desk, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    real = http.get

    def get(url: str, *rest: Any, **more: Any) -> http.Answer:
        poe = url.startswith("http://poe.invalid/")
        return http.Answer(status) if poe else real(url, *rest, **more)

    monkeypatch.setattr(http, "get", get)
    code, told = found(running, POE_BASE_URL="http://poe.invalid")
    fix = "Poe has trouble of its own: look again in some minutes"
    assert (code, told["Poe"]["text"], told["Poe"]["fix"]) == (1, f"HTTP {status}", fix)


def test_the_gravest_finding_decides_the_exit_code(running: Desk) -> None:
    running.change(resized)
    assert found(running)[0] == 4
    running.change(sick)
    assert found(running)[0] == 1
    running.change(lambda state: state["apps"][APP].update(ips=[]))
    assert found(running)[0] == 3


@pytest.mark.parametrize("answer", [None, [], {}])
def test_a_status_that_is_none_is_a_finding(running: Desk, monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    monkeypatch.setattr(fake_flyctl.Fly, "status", lambda _: answer)
    code, told = found(running)
    assert (code, told["app"]["good"], told["login"]["good"]) == (1, False, True)
    assert told["app"]["text"].startswith("an answer that nobody expected")


def test_only_an_app_that_is_missing_is_to_be_set_up(running: Desk) -> None:
    running.fault("status", "500")
    code, told = found(running)
    assert (code, told["app"]["fix"], "status.flyio.net" in told["app"]["text"]) == (1, "", True)


def test_without_a_login_the_rest_is_not_asked(running: Desk) -> None:
    code, told = found(running, FLY_API_TOKEN="expired")
    assert code == 3
    assert "run `flyctl auth login`" in told["login"]["text"]
    assert "app" not in told


def test_one_question_that_fails_does_not_hide_the_others(running: Desk) -> None:
    running.fault("certs list", "500")
    code, told = found(running)
    assert code == 1
    assert "status.flyio.net" in told["certificates"]["text"]
    assert told["health"]["good"]


HANGS = ["version", "auth whoami", "status", "ips list", "config show", "secrets list|ips list|certs list|releases"]


@pytest.mark.parametrize("commands", HANGS)
def test_a_flyctl_that_hangs_is_not_waited_for(running: Desk, monkeypatch: pytest.MonkeyPatch, commands: str) -> None:
    """One that does not listen to SIGTERM either."""
    stand_in = process.run

    def run(argv: Sequence[str], **options: Any) -> process.Finished:
        if not any(" ".join(argv[1:]).startswith(each) for each in commands.split("|")):
            return stand_in(argv, **options)
        limits = {name: options.pop(name) for name in ("seconds", "grace")}
        assert limits["seconds"] <= doctor.ANSWER_SECONDS
        assert limits["grace"] == fly.SHORT_GRACE_SECONDS
        # A tenth of the time, so that whatever does not hang has ten times as long.
        tenth = {name: limit / 10 for name, limit in limits.items()}
        return REAL_RUN(["/bin/sh", "-c", "trap '' TERM; exec sleep 60"], **options, **tenth)

    monkeypatch.setattr(process, "run", run)
    code, told = found(running)
    assert code != 0
    late = [each for each in told.values() if "took too long" in each["text"]]
    assert len(late) == len(commands.split("|"))
    assert "version" in commands or told["Poe"]["good"]


@pytest.mark.parametrize("clock", [["Poe", "addresses", "clock"]], indirect=True, ids=[""])
def test_what_no_timeout_of_ours_ends_is_left_behind(
    running: Desk, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Such as a name server that does not answer."""
    ended = threading.Event()
    for look in ("_poe", "_addresses", "_clock"):
        monkeypatch.setattr(doctor, look, lambda _: ended.wait(60))
    code, told = found(running)
    ended.set()
    late = [name for name, each in told.items() if each["text"] == "no answer in time"]
    assert (code, late) == (1, ["Poe", "addresses", "clock"])
    assert told["health"]["good"]


def test_the_time_for_everything_is_under_ten_seconds() -> None:
    assert doctor.ALL_SECONDS + 2 * fly.SHORT_GRACE_SECONDS < 10


def test_poe_that_does_not_answer(running: Desk) -> None:
    code, told = found(running, POE_BASE_URL="http://127.0.0.1:9")
    poe = told["Poe"]
    assert (code, poe["good"], poe["text"], poe["fix"]) == (1, False, "Connection refused", "check the network")


def test_a_clock_that_is_wrong(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from infra import http
    from infra.http import Answer

    real = http.get

    def get(url: str, *rest: Any, **more: Any) -> Answer:
        old = {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}
        return Answer(200, b"OK", old) if url.endswith("/health") else real(url, *rest, **more)

    monkeypatch.setattr(http, "get", get)
    code, told = found(running)
    assert (code, told["clock"]["good"]) == (1, False)
    assert told["clock"]["text"].endswith(" s off")


def test_spellings_of_one_thing_are_no_drift() -> None:
    wanted = {
        "kill_timeout": "300s",
        "http_service": {"auto_stop_machines": "off", "checks": [{"interval": "15s"}], "force_https": True},
        "vm": [{"size": "shared-cpu-1x", "memory": "256mb"}],
        "build": {"dockerfile": "Dockerfile"},
        "app": "one",
    }
    running = {
        "kill_timeout": "5m0s",
        "http_service": {"auto_stop_machines": False, "checks": [{"interval": 15, "path": "/x"}], "force_https": True},
        "vm": [{"size": "shared-cpu-1x", "memory": "256MB"}],
        "build": {"image": "x"},
        "app": "other",
        "more": 1,
    }
    assert doctor.differences(wanted, running) == []


def test_what_differs_is_named() -> None:
    wanted = {
        "kill_timeout": "300s",
        "vm": [{"memory": "1gb"}],
        "metrics": [{"port": 1}],
        "http_service": {"force_https": True},
    }
    running = {
        "kill_timeout": "5s",
        "vm": [{"memory": "1024mb"}],
        "metrics": [],
        "http_service": {"force_https": False},
    }
    assert doctor.differences(wanted, running) == [
        "kill_timeout is 5s, and 300s in fly.toml",
        "metrics is [], and [{'port': 1}] in fly.toml",
        "http_service.force_https is false, and true in fly.toml",
    ]


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("0.4.83", False),
        ("0.4.40", False),
        ("0.4.39", True),
        ("0.3.200", True),
        ("2026.11.22-dev.1795", False),
        ("odd", False),
    ],
)
def test_how_old_flyctl_may_be(version: str, old: bool) -> None:
    assert bool(fly.version_problem({"Version": version})) is old
