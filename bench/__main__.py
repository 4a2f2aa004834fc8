"""The command line of the bench: `python -m bench`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from bench import cases, phases, report
from bench.answers import Wrong
from bench.contestants import OURS, OtherGateway, running_lineup
from bench.noise import Watch
from bench.phases import Run
from bench.plan import FULL, PHASES, QUICK, Phase, Plan
from bench.processes import BenchError, Command, Cores, free_port, get, running, wait_for_200
from bench.upstream import EVENTS_PER_SECOND

VOID = 1
CANNOT_RUN = 3
LAST_WORDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench and prints the report. Exit codes: 0 done, 1 void (a wrong answer), 3 it could not run."""
    options = _parser().parse_args(arguments)
    plan = _plan(options)
    try:
        others = _others(options)
        cores = Cores.pick()
        os.sched_setaffinity(0, {cores.load})
        with tempfile.TemporaryDirectory(prefix="bench-") as logs:
            try:
                sys.stdout.write(_run(options, plan, others, cores, Path(logs)))
            except BenchError:
                _show_logs(Path(logs))
                raise
    except Wrong as wrong:
        sys.stdout.write(f"**VOID**: a wrong answer. {wrong}\n")
        return VOID
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return CANNOT_RUN
    return 0


def _run(options: argparse.Namespace, plan: Plan, others: Sequence[OtherGateway], cores: Cores, logs: Path) -> str:
    began = time.monotonic()
    names: Sequence[str] = options.contestant or OURS
    port = options.upstream_port or free_port()
    events = plan.paced_seconds * EVENTS_PER_SECOND
    upstream = ["-m", "bench.upstream", "--port", str(port), "--paced-events", str(events)]
    if options.corrupt:
        upstream.append("--corrupt")
    with running(Command.python(*upstream), cores.load, logs / "upstream.log") as upstream_pid:
        wait_for_200(port, get("/v1/models"), upstream_pid)
        with running_lineup(names, others, port, cores, logs) as lineup:
            run = Run(plan, lineup, cores, port, say=_say)
            gateways = {pid for contestant in lineup.contestants for pid in contestant.pids}
            watch = Watch(cores, tuple(gateways), (os.getpid(), upstream_pid))
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
            gc.collect()
            gc.freeze()
            wanted = options.phase or PHASES
            asyncio.run(_measure(run, wanted))
            run.noise = watch.report()
            if "start" in wanted:
                phases.start(run)
            return report.markdown(run, time.monotonic() - began)


async def _measure(run: Run, wanted: Sequence[Phase]) -> None:
    if "memory" in wanted:
        phases.memory(run, "idle")
    for phase, case in (("whole", cases.WHOLE), ("streams", cases.STREAM), ("bodies", cases.LONG)):
        if phase in wanted:
            await phases.throughput(run, phase, case)
    if "latency" in wanted:
        await phases.latency(run)
    if "failover" in wanted:
        await phases.failover(run)
    if "paced" in wanted:
        await phases.paced(run)
    if "memory" in wanted:
        phases.memory(run, "after")
    phases.check_gateway_saw_all(run)


def _show_logs(logs: Path) -> None:
    """The last words of every process, for when something did not come up."""
    for log in sorted(logs.iterdir()):
        for line in log.read_text(errors="replace").splitlines()[-LAST_WORDS:]:
            _say(f"{log.stem}: {line}")


def _say(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    told = {name: getattr(options, name) for name in ("rounds", "seconds", "connections", "paced_streams")}
    return replace(plan, **{name: value for name, value in told.items() if value is not None})


def _others(options: argparse.Namespace) -> list[OtherGateway]:
    named = {key: dict(map(_pair, getattr(options, key))) for key in ("url", "pid", "token_file", "model_prefix")}
    unknown = {name for key in named for name in named[key]} - named["url"].keys()
    if unknown:
        raise BenchError(f"no --url for {', '.join(sorted(unknown))}")
    return [
        OtherGateway(
            name,
            url,
            pid=int(named["pid"][name]) if name in named["pid"] else None,
            token=Path(named["token_file"][name]).read_text().strip() if name in named["token_file"] else "",
            model_prefix=named["model_prefix"].get(name, ""),
        )
        for name, url in named["url"].items()
    ]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise BenchError(f"{text!r} is not NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the gateway beside a bare pass-through, and prints a table in Markdown.",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: shows that all works, measures nothing well")
    parser.add_argument("--phase", action="append", choices=PHASES, help="only this phase; may be repeated")
    parser.add_argument("--contestant", action="append", choices=OURS, help="only this one of ours; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each phase")
    parser.add_argument("--seconds", type=float, help="length of one turn")
    parser.add_argument("--connections", type=int, help="connections of the throughput phases")
    parser.add_argument("--paced-streams", type=int, help="streams at once in the paced phase")
    parser.add_argument("--upstream-port", type=int, help="fixed port of the upstream, for gateways started elsewhere")
    other = parser.add_argument_group("another gateway, started by you, with http://127.0.0.1:UPSTREAM_PORT behind it")
    other.add_argument("--url", action="append", default=[], metavar="NAME=URL", help="up to and with its /v1")
    other.add_argument("--pid", action="append", default=[], metavar="NAME=PID", help="pins and measures this process")
    other.add_argument("--token-file", action="append", default=[], metavar="NAME=FILE", help="the token it wants")
    other.add_argument("--model-prefix", action="append", default=[], metavar="NAME=PREFIX", help="such as openai/")
    parser.add_argument("--corrupt", action="store_true", help="let the upstream spoil its answers: proves the checks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
