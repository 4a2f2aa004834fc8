"""Development: serve, test, check, generate, measure."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from invoke import Context

from infra import environ
from infra.task import ExitCode, end, task

ROOT = Path(__file__).resolve().parent.parent
NOTHING_COLLECTED = 5
OVER_TIME = 124
TEST_DEADLINE_SECONDS = 15 * 60
LONG_DEADLINE_SECONDS = 25 * 60
LANGCHAIN = "tests/clients/langchain"


@dataclass(frozen=True, slots=True)
class Step:
    """One program of a check or test run."""

    name: str
    argv: tuple[str, ...]
    deadline_seconds: float = 300


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended: its exit code, the seconds it took, what it printed if it was kept back."""

    step: Step
    code: int
    seconds: float
    output: str = ""


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def _relayed(*arguments: str) -> int:
    """The exit code of a program of ours that speaks for itself."""
    environment = environ.for_development(os.environ)
    return subprocess.run(_python(*arguments), cwd=ROOT, check=False, env=environment).returncode


def _tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).parent / name), *arguments)


CHECKS = (
    Step("ruff", _tool("ruff", "check", "--quiet", ".")),
    Step("mypy", _tool("mypy")),
    Step("import-linter", _tool("lint-imports")),
    Step("generated code", _python("-m", "infra.program", "generate", "--check")),
    Step("openapi.yaml", _python("-m", "openapi_spec_validator", "openapi.yaml")),
    Step("Dockerfile", _tool("hadolint", "Dockerfile")),
)


@task(help={"host": "H: the address to listen on", "port": "P: the port", "log_level": "L: as LOG_LEVEL"})
def serve(c: Context, host: str = "", port: int = 0, log_level: str = "") -> None:
    """Serve on this machine, without POE_API_KEYS from the sandbox; what no flag says comes from the environment."""
    given = {"--host": host, "--port": str(port or ""), "--log-level": log_level}
    flags = [part for flag, value in given.items() if value for part in (flag, value)]
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "service", "--dev", *flags])  # noqa: S606 - no shell is the point


@task
def check(c: Context) -> None:
    """Lint, types, import layers, generated code, contract and Dockerfile."""
    _conclude(_checks())


@task(
    help={
        "long": "the other half: what needs Node, Go or minutes",
        "select": "EXPRESSION: only tests whose names match (pytest -k), and no checks",
    }
)
def test(c: Context, long: bool = False, select: str = "") -> None:  # noqa: PT028 - a task, not a test
    """Every check and every test but the long ones."""
    results = [] if long or select else _checks()
    results += [_run(step) for step in (_long_tests(select) if long else _tests(select))]
    if select and all(result.code == NOTHING_COLLECTED for result in results):
        end(ExitCode.WRONG_USE, f"./dev test: no test matches {shlex.quote(select)}")
    _conclude(results)


@task(help={"check": "write nothing; exit 4 where the committed code is stale"})
def generate(c: Context, check: bool = False) -> None:
    """Write service/contract/ from openapi.yaml, and the alert rules and the dashboard from their code."""
    from infra import generated

    if not check:
        generated.write(generated.files())
    elif stale := generated.stale(generated.files()):
        end(ExitCode.DRIFT, "\n".join(stale))


@task
def bench(c: Context) -> None:
    """Measure this gateway beside a bare pass-through (./dev bench --help shows the bench's own flags)."""
    end(_relayed("-m", "bench", *shlex.split(c.remainder)))


@task(
    help={
        "url": "U: base URL of a gateway that runs already, up to and with its /v1",
        "full": "the published waits, in two minutes, instead of a quarter of them",
        "wire": "W: chat or bot alone; with --url neither is forced unless this says so",
        "upstream_port": "P: with --url, where the fault upstream listens (8199)",
        "token_file": "F: with --url, the token that the gateway wants",
        "models": "with --url, leave `models` out of the body: the gateway's own settings name the fallbacks",
        "save": "FILE: put the table into this document too",
    }
)
def failover(
    c: Context,
    url: str = "",
    full: bool = False,
    wire: str = "",
    upstream_port: int = 0,
    token_file: str = "",
    models: bool = True,
    save: str = "",
) -> None:
    """Play sixteen public faults to a gateway and print what its caller got, n/16.

    Without --url each fault meets a fresh gateway of this project, on both wires. With it nothing is started but the
    upstream. Set the other gateway up before:

      provider   OpenAI-compatible, http://127.0.0.1:8199/v1, one key, whatever it is
      models     failover-s01 to failover-s16, failover-l01, failover-ok, failover-ok-no-prefill
      fallback   failover-ok for each of them, failover-ok-no-prefill for failover-s14; nothing to set where the
                 gateway takes `models` in the body, as this one does
      limits     about two retries, a timeout of 30 s or less, no cache of answers

    and use --full: the short profile shortens only the timeouts of gateways that it starts itself. A gateway of this
    project gets POE_BASE_URL=http://127.0.0.1:8199 RECOVERY=verified FIRST_EVENT_TIMEOUT=12.
    """
    told = {"--url": url, "--wire": wire, "--upstream-port": upstream_port, "--token-file": token_file, "--save": save}
    flags = [part for flag, value in told.items() if value for part in (flag, str(value))]
    flags += ["--full"] * full + ["--no-models"] * (not models)
    end(_relayed("-m", "bench.failover", *flags))


@task(help={"minutes": "N: how long the load lasts, fractions too (2)", "seed": "S: of the load's dice (1)"})
def soak(c: Context, minutes: float = 2.0, seed: int = 1) -> None:
    """Load a gateway with everything at once, faults included, and list what it has left over afterwards."""
    flags = ["--minutes", str(minutes), "--seed", str(seed)]
    end(_relayed("-m", "bench.soak", *flags))


def _tests(select: str) -> Iterable[Step]:
    chosen = ("-k", select) if select else ()
    parallel = ("-n", "2", "--dist", "loadgroup")
    yield Step("pytest", _python("-m", "pytest", *parallel, "-m", "not long", *chosen), TEST_DEADLINE_SECONDS)
    # Its fixtures want pytest-asyncio, which claims every coroutine that the other tests leave to anyio.
    if (ROOT / LANGCHAIN).is_dir():
        own = ("-c", f"{LANGCHAIN}/pytest.ini", LANGCHAIN)
        yield Step("langchain-tests", _python("-m", "pytest", *own, *chosen), TEST_DEADLINE_SECONDS)


def _long_tests(select: str) -> Iterable[Step]:
    chosen = ("-k", select) if select else ()
    # One at a time: they measure, and two that measure disturb each other.
    own = ("-m", "long", "-n", "0", "-o", "timeout=900", "--durations", "10")
    yield Step("pytest, long half", _python("-m", "pytest", *own, *chosen), LONG_DEADLINE_SECONDS)


def _checks() -> list[Result]:
    """All checks, two at a time, each one's output shown only where it failed."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda step: _run(step, quiet=True), CHECKS))
    for result in results:
        if result.code:
            print(f"── {result.step.name}\n{result.output}", flush=True)
    return results


def _run(step: Step, quiet: bool = False) -> Result:
    sink = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if quiet else {}
    begin = time.monotonic()
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            step.argv,
            cwd=ROOT,
            check=False,
            timeout=step.deadline_seconds,
            env=environ.for_development(os.environ),
            **sink,
        )
        code, output = done.returncode, done.stdout or ""
    except subprocess.TimeoutExpired:
        code, output = OVER_TIME, f"not done after {step.deadline_seconds:.0f} s"
    return Result(step, code, time.monotonic() - begin, output)


def _conclude(results: list[Result]) -> None:
    """Say how each step ended, and fail where one did."""
    for result in results:
        words = {0: "ok", NOTHING_COLLECTED: "nothing to do", OVER_TIME: "over time"}
        print(f"{result.step.name:<20} {words.get(result.code, f'failed ({result.code})'):<14} {result.seconds:6.1f} s")
    if any(result.code not in (0, NOTHING_COLLECTED) for result in results):
        end(ExitCode.FAILED)
