"""The smoke test: asks each very machine whether it is ready, which one it is, and what it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from infra import credentials, http, waiting
from infra.http import Answer
from infra.plural import counted
from infra.session import Session
from infra.shapes import Machine, is_another_build, same_image

PATIENCE_SECONDS = 90.0
"""A new address and a certificate may take a while to be known everywhere."""
DOOR_SECONDS = 15.0
ANSWER_SECONDS = 10.0
NOTHING_RUNS = "no machine runs"
ONE_MACHINE = "Fly-Force-Instance-Id"
LOST = frozenset(["dry", "revoked"])
"""States that a Poe key does not leave by itself; one that is limited or rests is back in a while."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be seen; an empty text is not looked at. `token` is a caller's, `NAME:TOKEN` or bare.

    `image` has to be the one that runs. `built` only has not to be another build: how Fly writes it is not known.
    Without `keys`, Poe keys in trouble are told and are no problem: another image would not mend them.
    """

    image: str = ""
    version: str = ""
    token: str = field(default="", repr=False)
    built: str = ""
    keys: bool = True


@dataclass(frozen=True, slots=True)
class Ready:
    """What one machine told at `/ready`; `problem` is empty where all is as it should be."""

    machine: str
    region: str
    version: str = ""
    image: str = ""
    keys: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def lost_keys(self) -> str:
        """What to say of keys that will not work again by themselves; empty where there are none."""
        lost = {state: count for state, count in self.keys.items() if state in LOST}
        return f"of {counted(sum(self.keys.values()), 'Poe key')}: {_counts(lost)}" if any(lost.values()) else ""

    @property
    def key_trouble(self) -> str:
        """What to say where there are keys and none will work again by itself; else empty."""
        alive = sum(count for state, count in self.keys.items() if state not in LOST)
        return f"no Poe key is usable ({_counts(self.keys)})" if self.keys and not alive else ""


def base_url(session: Session) -> str:
    """Where the smoke test finds the app: `SMOKE_URL`, else the app's own address."""
    return os.environ.get("SMOKE_URL", "").rstrip("/") or session.url


def identified() -> bool:
    """Whether single machines can be asked: only Fly's proxy knows the way to one."""
    return not os.environ.get("SMOKE_URL")


def ask(
    session: Session,
    machines: Sequence[Machine],
    expected: Expected,
    *,
    patience: float | None = None,
    answer: float = ANSWER_SECONDS,
) -> list[Ready]:
    """What each started machine tells within `answer` seconds, asked again for `patience` seconds until it is good."""
    seconds = PATIENCE_SECONDS if patience is None else patience
    if identified():
        started = [each for each in machines if each.state == "started"]
        with ThreadPoolExecutor(max_workers=32) as pool:
            return list(
                pool.map(
                    lambda each: _patiently(lambda: _ask_one(session, each, expected, answer), seconds),
                    started,
                )
            )
    session.console.say("SMOKE_URL is set: machines are not asked one by one, and their identity is not checked")
    return [_patiently(lambda: _ask_anyone(session, expected, answer), seconds)]


def problems(session: Session, machines: Sequence[Machine], expected: Expected) -> list[str]:
    """What the whole smoke test found wrong, one line each: every machine, the open door, the closed door."""
    if not any(each.state == "started" for each in machines):
        return [NOTHING_RUNS]
    seen = ask(session, machines, expected)
    found = [f"machine {each.machine or '?'}: {each.problem}" for each in seen if each.problem]
    for each in seen:
        if each.key_trouble and not each.problem:
            session.console.say(f"machine {each.machine or '?'}: {each.key_trouble}; `./dev secrets` sends others")
    if not found and len({each.version for each in seen}) > 1:
        found.append(f"machines run different versions: {', '.join(sorted({each.version for each in seen}))}")
    # Again after a moment where it fails: one lost packet must not undo a deployment.
    return found or waiting.until(lambda: _door_problems(session, expected), lambda wrong: not wrong, DOOR_SECONDS)


def knock(session: Session) -> None:
    """One request to nobody in particular, whatever comes of it."""
    http.get(f"{base_url(session)}/health", seconds=ANSWER_SECONDS)


def refuses(session: Session, token: str) -> bool:
    """Whether what runs now does not know a caller's token; False where nobody answers."""
    return http.get(f"{base_url(session)}/v1/models", _shown(token)).status in (401, 403)


def _patiently(ask_once: Callable[[], Ready], seconds: float) -> Ready:
    """Ask until all is well; keys that are lost do not come back while somebody waits."""
    return waiting.until(ask_once, lambda seen: seen.problem in ("", seen.key_trouble), seconds)


def _ask_one(session: Session, machine: Machine, expected: Expected, seconds: float) -> Ready:
    answer = http.get(f"{base_url(session)}/ready", {ONE_MACHINE: machine.id}, seconds=seconds)
    told = _told(answer, machine.id, machine.region)
    if told.problem:
        return told
    if told.machine != machine.id:
        return _but(told, f"another machine answered ({told.machine or 'without a name'})", machine.id)
    image = expected.image or machine.image
    if image and not same_image(told.image, image):
        return _but(told, f"runs {told.image or 'an unnamed image'} instead of {image}", machine.id)
    if expected.built and is_another_build(told.image, expected.built):
        return _but(told, f"runs {told.image} instead of {expected.built}", machine.id)
    return _versioned(told, expected)


def _ask_anyone(session: Session, expected: Expected, seconds: float) -> Ready:
    told = _told(http.get(f"{base_url(session)}/ready", seconds=seconds), "", "")
    return told if told.problem else _versioned(told, expected)


def _versioned(told: Ready, expected: Expected) -> Ready:
    if expected.version and told.version != expected.version:
        return _but(told, f"runs version {told.version or '?'} instead of {expected.version}", told.machine)
    if expected.keys and told.key_trouble:
        return _but(told, told.key_trouble, told.machine)
    return told


def _told(answer: Answer, machine: str, region: str) -> Ready:
    body = answer.json()
    if not isinstance(body, dict):
        return Ready(machine, region, problem=f"/ready: {answer}")
    keys = body.get("keys")
    told = Ready(
        machine=str(body.get("machine") or ""),
        region=region,
        version=str(body.get("version") or ""),
        image=str(body.get("image") or ""),
        keys={str(state): int(count) for state, count in keys.items()} if isinstance(keys, dict) else {},
    )
    return told if answer.status == 200 else _but(told, f"/ready: {body.get('status') or answer} ({answer})", machine)


def _but(told: Ready, problem: str, machine: str) -> Ready:
    return Ready(machine, told.region, told.version, told.image, told.keys, problem)


def _door_problems(session: Session, expected: Expected) -> list[str]:
    """Whether callers with a token get in and others do not."""
    url = f"{base_url(session)}/v1/models"
    stranger = http.get(url)
    found = [] if stranger.status == 401 else [f"/v1/models without a token: {stranger} instead of HTTP 401"]
    if expected.token:
        caller = http.get(url, _shown(expected.token))
        found += [] if caller.status == 200 else [f"/v1/models with a token: {caller} instead of HTTP 200"]
    return found


def _shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credentials.bare(token)}"}


def _counts(keys: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in keys.items())
