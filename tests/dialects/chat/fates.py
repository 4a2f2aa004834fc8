"""What a word of docs/chat-fields.md claims, as something that can be tried: a request, and what it led to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.dialects.chat.conftest import Talk
from tests.dialects.chat.folding import folded

Sent = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One request through the gateway and what came of it. `sent` is None where no model was asked."""

    reply: httpx.Response
    sent: Sent | None

    @property
    def answer(self) -> dict[str, Any]:
        """The completion, folded where it was a stream."""
        assert self.reply.status_code == 200, self.reply.text
        if self.reply.headers["content-type"].startswith("text/event-stream"):
            return folded(self.reply.content)
        answer: dict[str, Any] = self.reply.json()
        return answer

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = self.answer["choices"][0]["message"]
        return message

    @property
    def told(self) -> set[str]:
        """The names in `x-proxy-notice`."""
        names: set[str] = set()
        for sentence in self.reply.headers.get("x-proxy-notice", "").split("; "):
            before, _, after = sentence.partition(": ")
            names.update((after if before == "dropped" else before).split(", "))
        return names - {""}


@dataclass(frozen=True)
class Fate:
    """A word of the table and how it shows. The check gets the trial of the row's sample."""

    word: str
    check: Callable[[Trial], None]
    elsewhere: Callable[[Trial], None] | None = None
    """For `lifted`: what is seen where the model declares no such option."""


@dataclass(frozen=True)
class Proof:
    """The sample that proves a row: members of a request to `model`, and what shows on each wire."""

    sample: dict[str, Any]
    chat: Fate
    bot: Fate
    model: str = "sandbox-echo"


def passed(seen: Callable[[Sent], Any]) -> Fate:
    """The upstream got it, and nothing is told."""

    def check(trial: Trial) -> None:
        assert trial.reply.status_code == 200, trial.reply.text
        assert trial.sent is not None
        assert seen(trial.sent), trial.sent
        assert "dropped" not in trial.reply.headers.get("x-proxy-notice", "")

    return Fate("passed", check)


def lifted(told: str, **options: Any) -> Fate:
    """A model that declares the options got them; for one that declares none, `told` is dropped by name."""

    def check(trial: Trial) -> None:
        assert trial.reply.status_code == 200, trial.reply.text
        assert trial.sent is not None
        assert {name: parameters(trial.sent).get(name) for name in options} == options
        assert not trial.told

    def elsewhere(trial: Trial) -> None:
        assert trial.reply.status_code == 200, trial.reply.text
        assert trial.sent is not None
        assert not set(options) & set(parameters(trial.sent))
        assert told in trial.told

    return Fate("lifted", check, elsewhere)


def dropped(*names: str) -> Fate:
    """The upstream saw nothing of it, and the notice names it."""

    def check(trial: Trial) -> None:
        assert trial.reply.status_code == 200, trial.reply.text
        assert trial.sent is not None
        assert set(names) <= trial.told
        # The bot protocol has members of some of these names, which stay as they are where nobody uses them.
        found = {name for name, value in members(trial.sent) if value not in (None, "", {}, [])}
        assert not found & set(names)

    return Fate("dropped", check)


def ignored(*marks: str) -> Fate:
    """The upstream saw nothing of it, and nothing is told."""

    def check(trial: Trial) -> None:
        assert trial.reply.status_code == 200, trial.reply.text
        assert trial.sent is not None
        assert not trial.told
        written = orjson.dumps(trial.sent).decode()
        assert not [mark for mark in marks if mark in written]

    return Fate("ignored", check)


def emulated(shows: Callable[[Trial], Any], *told: str) -> Fate:
    """It is done here, and shows in the answer or in what else was sent; `told` are names in the notice."""

    def check(trial: Trial) -> None:
        assert trial.reply.status_code == 200, trial.reply.text
        assert shows(trial), (trial.reply.text, trial.sent)
        assert trial.told == set(told)

    return Fate("emulated", check)


def refused(param: str) -> Fate:
    """400 with the name of the field, and no model was asked."""

    def check(trial: Trial) -> None:
        assert trial.reply.status_code == 400
        assert trial.reply.json()["error"]["param"] == param
        assert trial.sent is None

    return Fate("refused", check)


def parameters(sent: Sent) -> dict[str, Any]:
    """The model's options: beside everything else on chat, with the last words of the user on bot."""
    if "query" not in sent:
        return sent
    users: list[dict[str, Any]] = [message for message in sent["query"] if message["role"] == "user"]
    found: dict[str, Any] = users[-1].get("parameters") or {}
    return found


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """All names of members in a body, with their values."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner)


def turns(sent: Sent) -> list[dict[str, Any]]:
    """The messages of either wire."""
    found: list[dict[str, Any]] = sent["query"] if "query" in sent else sent["messages"]
    return found


def words(sent: Sent) -> list[tuple[str, str]]:
    """Role and text of each message, in the words of the chat wire; calls and results are left out."""
    return [
        ("assistant" if turn["role"] == "bot" else turn["role"], _text(turn["content"]))
        for turn in turns(sent)
        if turn["role"] != "tool" and turn.get("message_type") != "function_call"
    ]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join([part.get("text", "") for part in content])


def calls(sent: Sent) -> list[dict[str, Any]]:
    """The tool calls of the history, as either wire has them."""
    found: list[dict[str, Any]] = []
    for turn in turns(sent):
        if turn.get("message_type") == "function_call":
            found += orjson.loads(turn["content"])
        found += turn.get("tool_calls") or []
    return found


def results(sent: Sent) -> list[dict[str, Any]]:
    """The results of tools in the history."""
    found: list[dict[str, Any]] = []
    for turn in turns(sent):
        if turn["role"] == "tool":
            found += orjson.loads(turn["content"]) if "query" in sent else [turn]
    return found


def tried(talk: Talk, proof: Proof, wire: str | None, *, model: str | None = None) -> Trial:
    """Ask what the proof asks, on a wire or on the one that the gateway takes."""
    body = {"model": model or proof.model, "messages": [{"role": "user", "content": "Hello"}], **proof.sample}
    reply = talk.ask(body, wire)
    asked = talk.upstream
    return Trial(reply, asked[-1].body if asked else None)
