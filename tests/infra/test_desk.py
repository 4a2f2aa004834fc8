"""The real thing but for Fly: `python -m infra.program` as a process, with programs in its path, killed for good."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.infra import fake_flyctl
from tests.infra.flying import ALICE, APP, BOB, KEYS
from tests.infra.shell import Shell


def leaks(*folders: Path) -> list[str]:
    """Files that hold a Poe key, outside the platform's own memory."""
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and any(key in path.read_text(errors="replace") for key in (ALICE, BOB))
    ]


@pytest.mark.timeout(240)  # dozens of programs, each of which takes a busy machine its time to start
def test_a_whole_life(shell: Shell) -> None:
    """Set up, changed, broken, mended and destroyed; `LOG_LEVEL=debug` in the shell, and flyctl's log, tell nothing."""
    code, out, err = shell.run("setup", "--yes", POE_API_KEYS=KEYS)
    assert code == 0, err
    assert "Base URL" in out
    for words, expected in (
        (["status"], 0),
        (["deploy", "--image", "registry.fly.io/x:2"], 0),
        (["secrets", "--yes", "--grace", "0"], 0),
        (["scale.regions", "--regions", "nrt,sin", "--yes"], 0),
        (["rollback", "--yes"], 0),
        (["monitor.check"], 0),
        (["doctor"], 0),
        (["destroy", "--yes", "--app", APP], 0),
    ):
        code, out, err = shell.run(*words, **({"POE_API_KEYS": f"alice:{ALICE}"} if words[0] == "secrets" else {}))
        assert code == expected, f"{words}: {out}{err}"
    assert shell.state["apps"] == {}
    assert leaks(shell.folder, shell.folder.parent / "home") == []


@pytest.mark.parametrize("command", ["apps create", "secrets import", "deploy", "tokens create deploy"])
def test_killed_for_good_the_next_run_goes_on(shell: Shell, command: str) -> None:
    """SIGKILL in the middle of a call: nothing of ours runs any more that could tidy up."""
    state = shell.state
    state["faults"].append({"command": command, "nth": 1, "how": "hang"})
    fake_flyctl.save(shell.state_file, state)
    running = shell.start("setup", "--yes", POE_API_KEYS=KEYS)
    deadline = time.monotonic() + 40
    standing = shell.state_file.with_suffix(".pid")
    while not (standing.exists() and standing.read_text()):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    os.kill(int(standing.read_text()), signal.SIGKILL)
    running.communicate(timeout=10)
    code, _, err = shell.run("setup", "--yes", POE_API_KEYS=KEYS)
    assert code == 0, err
    app = shell.state["apps"][APP]
    assert len(app["machines"]) == 1
    assert len([each for each in app["tokens"] if not each["revoked"]]) == 1
    assert leaks(shell.folder) == []


def test_ctrl_c_in_a_deployment_is_one_line(shell: Shell) -> None:
    assert shell.run("setup", "--yes", POE_API_KEYS=KEYS)[0] == 0
    state = shell.state
    state["faults"].append({"command": "deploy", "nth": 1, "how": "hang"})
    fake_flyctl.save(shell.state_file, state)
    running = shell.start("deploy", "--image", "registry.fly.io/x:2")
    deadline = time.monotonic() + 40
    while not shell.state_file.with_suffix(".pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert err.strip().rpartition("\n")[2].startswith("interrupted; begun: flyctl deploy (`./dev status` shows")
    assert "Traceback" not in err


def test_without_flyctl(shell: Shell) -> None:
    code, _, err = shell.run("status", FLYCTL="flyctl-that-is-nowhere")
    assert (code, err) == (
        3,
        "flyctl-that-is-nowhere is not there: "
        "install it (https://fly.io/docs/flyctl/install/), or name one in FLYCTL\n",
    )


def test_the_service_is_asked_for_its_settings_and_verdicts() -> None:
    from infra import service

    names = {each.name: each for each in service.settings()}
    assert {name for name, each in names.items() if each.secret} == {"POE_API_KEYS", "ACCESS_TOKENS"}
    first, second = service.examine_keys(f"a:{ALICE},b:{ALICE}", online=False)
    assert (first.well_formed, first.problem, second.well_formed) == (True, "", False)
    (token,) = service.examine_tokens("team:tok-7f3a9c2e5b8d1046@2030-01-01T00:00Z")
    assert token.digest.startswith("sha256-")
    assert token.ends
