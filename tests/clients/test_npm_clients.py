"""Clients written in JavaScript do whole jobs through the gateway: the openai package, the AI SDK and opencode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients import npm
from tests.clients.npm import Npm
from tests.running import TOKEN, Running

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("npm")]

MOVE = {"start": "Oslo", "end": "Bergen", "years": 12}
RAN = ["weather Oslo", "sum 3 4"]
ANSWER = "get_weather says: rain in Oslo\nadd_numbers says: 7"
OPENCODE_ALONE = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
}


@pytest.fixture(scope="module")
def packages() -> Npm:
    return npm.installed()


def tell(packages: Npm, script: str, folder: Path, served: Running, wire: str) -> Any:
    return packages.script(script, folder, GATEWAY_URL=served.url, GATEWAY_TOKEN=TOKEN, WIRE=wire)


def test_the_openai_package(packages: Npm, served: Running, wire: str, tmp_path: Path) -> None:
    told = tell(packages, "openai.mjs", tmp_path, served, wire)
    whole = told["whole"]
    assert (whole["content"], whole["finish"], whole["wire"]) == ("Hello wörld", "stop", wire)
    assert whole["sameId"]
    assert told["streamed"]["content"] == "one two three"
    assert told["streamed"]["pieces"] >= 3
    assert min(whole["tokens"], told["streamed"]["tokens"]) > 0
    assert told["added"] == {"said": "one two three", "content": "one two three", "finish": "stop"}
    turns = ["user", "assistant", "tool", "tool", "assistant"]
    assert told["tools"] == {"answer": ANSWER, "ran": RAN, "turns": turns}
    assert told["streamedTools"] == {"answer": ANSWER, "ran": RAN, "finish": ["tool_calls", "stop"]}
    assert told["parsed"] == told["streamedParsed"] == MOVE
    assert [(failure["name"], failure["status"], failure["code"]) for failure in told["failures"]] == [
        ("AuthenticationError", 401, "invalid_api_key"),
        ("NotFoundError", 404, "model_not_found"),
        ("BadRequestError", 400, None),
        ("InternalServerError", 501, "not_implemented"),
    ]
    assert {"sandbox-echo", "sandbox-gpt-5.2"} <= set(told["models"])
    assert told["model"] == "sandbox-echo"


def test_the_ai_sdk(packages: Npm, served: Running, wire: str, tmp_path: Path) -> None:
    told = tell(packages, "ai.mjs", tmp_path, served, wire)
    assert (told["whole"]["text"], told["whole"]["finish"]) == ("Hello wörld", "stop")
    assert told["whole"]["tokens"] > 0
    parts = [f"{kind}-{part}" for kind in ("reasoning", "text") for part in ("start", "delta", "end")]
    assert told["thinking"]["kinds"] == ["start", "start-step", *parts, "finish-step", "finish"]
    assert told["thinking"]["text"] == "one two three"
    assert told["thinking"]["thoughts"].startswith("The user wrote 3 words.")
    assert len(told["loops"]) == 3
    for loop in told["loops"].values():
        assert (loop["ran"], loop["text"], loop["finish"]) == (RAN, ANSWER, ["tool-calls", "stop"])
        assert loop["tokens"] > 0
    assert told["object"] == MOVE
    assert [(failure["status"], failure["retryable"]) for failure in told["failures"]] == [(404, False), (400, False)]
    assert "sandbox-echo" in told["failures"][0]["message"]


def test_opencode_reads_a_file_and_tells_of_it(packages: Npm, served: Running, wire: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "notes.txt").write_text("The word of the day is marmalade.\n")
    model = "sandbox-tools"
    (work / "opencode.json").write_text(json.dumps(_opencode_configuration(served.url, model, wire)))
    # Word by word, since opencode quotes an argument that holds blanks, and the file's name must be what is quoted.
    prompt = f"Use the read tool on `{work}/notes.txt`".split()
    argv = [packages.native("opencode"), "run", "--format", "json", "-m", f"gateway/{model}", *prompt]
    done = packages.run(argv, work, **OPENCODE_ALONE)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    (used,) = [step["part"] for step in steps if step["type"] == "tool_use"]
    assert (used["tool"], used["state"]["status"]) == ("read", "completed")
    assert used["state"]["input"] == {"filePath": f"{work}/notes.txt"}
    (text,) = [step["part"]["text"] for step in steps if step["type"] == "text"]
    assert "marmalade" in text
    assert [step["part"]["reason"] for step in steps if step["type"] == "step_finish"] == ["tool-calls", "stop"]
    asked = [line for line in served.lines() if line["model"] == model and line["wire"] == wire]
    assert [line["outcome"] for line in asked[-3:]] == ["ok"] * 3, "a title, a call and an answer"


def _opencode_configuration(url: str, model: str, wire: str) -> dict[str, Any]:
    options = {"baseURL": f"{url}/v1", "apiKey": TOKEN, "headers": {"x-proxy-wire": wire}}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "Gateway", "options": options, "models": {model: {}}}
    return {"autoupdate": False, "share": "disabled", "provider": {"gateway": provider}}
