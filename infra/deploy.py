"""Deployments: out with a new image, tested on each machine, and back to the earlier one by itself when that fails."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invoke import Exit

from infra import credentials, earlier, environ, fly_toml, ledger, service, shapes, smoke, waiting
from infra.credentials import TOKENS
from infra.earlier import Before
from infra.fly import FlyError, wrong_use
from infra.fly_task import fly_task
from infra.plural import counted
from infra.refusal import Refusal, without_step
from infra.session import Session, quoted
from infra.shapes import Machine, Release
from infra.smoke import Expected
from infra.task import ExitCode

STRATEGIES = ("rolling", "canary", "bluegreen", "immediate")
IMAGE = re.compile(r"[a-z0-9][\w.:/-]{0,250}(?:@sha256:[0-9a-f]{64})?", re.ASCII)
HEALTH_SECONDS = 60.0
CUT_OFF = (Refusal.UNREACHABLE, Refusal.BROKEN, Refusal.BUSY, Refusal.TIMEOUT)
# flyctl's smoke check only watches for crashes, 10 s a machine; its check of the name asks 8.8.8.8 and nobody else.
QUIET = ("--yes", "--smoke-checks=false", "--dns-checks=false")


@fly_task(
    help={
        "image": "REF: deploy this image instead of building one",
        "strategy": "NAME: rolling, canary, bluegreen or immediate; without it what fly.toml says",
    }
)
def deploy(session: Session, image: str = "", strategy: str = "") -> dict[str, Any]:
    """Build and deploy, test every machine, and go back to the earlier release when anything fails.

    Runs: flyctl config validate · status · releases · config show · deploy · status; on failure deploy --image
    """
    check_image(image)
    strategy = checked_strategy(session, strategy)
    validate(session)
    with session.alone():
        machines = session.status().machines
        token = tried_token(session, machines)
        return roll_out(session, machines, image=image, strategy=strategy, token=token)


@fly_task(help={"to": "vN: which release; without it the newest complete one with another image"})
def rollback(session: Session, to: str = "") -> dict[str, Any]:
    """Serve an earlier release's image again, with fly.toml and the secrets of today.

    Runs: flyctl status · releases · config show · deploy --image · status
    """
    wanted = _version(to)
    with session.alone():
        before = earlier.look(session, session.status().machines)
        release = _chosen(before, wanted)
        question = f"Put v{release.version} ({release.image}) in place of what runs in {session.app}?"
        if not session.console.confirm(question, yes=session.yes):
            raise wrong_use("nothing was changed")
        token = tried_token(session, before.machines)
        earlier.keep(session, before, release.image, goal=release.version)
        try:
            _run_deploy(session, ["--ha=false", f"--image={release.image}"], "rolling")
        except FlyError as failed:
            raise FlyError(failed.refusal, f"{failed.message}{_way_back(before, release)}") from None
        expected = Expected(release.image, token=token, keys=False)
        found = [] if session.dry_run else _problems(session, expected, before.newest)
        if found:
            earlier.keep(session, before, release.image)
            raise Exit(f"v{release.version} was put in place, but: {'; '.join(found)}; `./dev logs` shows more", code=1)
        _settled(session)
        session.done("rollback", f"v{release.version} serves again ({release.image})")
        return {"app": session.app, "version": release.version, "image": release.image}


def _way_back(before: Before, tried: Release) -> str:
    """How to undo a rollback that did not go through; empty where nothing else served."""
    if before.release is None or before.release.version == tried.version:
        return ""
    return f"; `./dev rollback --to v{before.release.version}` puts back what served"


def roll_out(session: Session, machines: Sequence[Machine], *, image: str, strategy: str, token: str) -> dict[str, Any]:
    """Deploy over these machines; the answer of the task. Raises with the earlier release serving where it fails."""
    before = earlier.look(session, machines)
    label = "" if image else _label(session.folder)
    tell_gap(session, machines)
    built = "" if image else f"registry.fly.io/{session.app}:{label}"
    earlier.keep(session, before, image or built)
    problem, cut_off = _attempt(session, _what(session, image, label), strategy, machines)
    if session.dry_run:
        return {}
    expected = Expected(image, "" if image else version_here(), token, built, keys=False)
    went_through = not problem or (cut_off and _all_new(session, before))
    found = _problems(session, expected, before.newest) if went_through else [problem]
    if found == [smoke.NOTHING_RUNS] and not any(each.state == "started" for each in machines):
        raise Exit(
            f"all machines of {session.app} are stopped, as they were before, so that nothing could be tested; "
            f"start one at https://fly.io/apps/{session.app}/machines, then `./dev doctor`",
            code=1,
        )
    if found:
        _back(session, before, found, cut_off=cut_off)
    _settled(session)
    if problem:
        seen = "every machine runs the new release and is ready, so that nothing is to be done"
        session.console.say(f"{without_step(problem)}. But {seen}")
    return _told(session, before)


def _attempt(session: Session, words: list[str], strategy: str, machines: Sequence[Machine]) -> tuple[str, bool]:
    """Deploy; why that failed, empty where it did not, and whether flyctl was only cut off from what it had begun."""
    try:
        _run_deploy(session, words, strategy)
    except FlyError as failed:
        never_began = failed.refusal is Refusal.NO_FLYCTL
        # What looks like a login that ended may have come half way: who has machines looks at them.
        if never_began or (not machines and failed.refusal in (Refusal.NO_LOGIN, Refusal.NO_APP)):
            raise
        return str(failed.message), failed.refusal in CUT_OFF
    return "", False


def _told(session: Session, before: Before) -> dict[str, Any]:
    """What runs now, said and for scripts."""
    after = session.status()
    _compare_counts(session, before, after.machines)
    image = after.machines[0].image
    session.done("deploy", f"v{after.version} runs on {counted(len(after.machines), 'machine')}: {image}")
    return {
        "app": session.app,
        "version": after.version,
        "image": image,
        "machines": [each.id for each in after.machines],
        "before": before.release.version if before.release else None,
    }


def tell_gap(session: Session, machines: Sequence[Machine]) -> None:
    """Say what a restart means for callers where there is nobody else to answer them."""
    if len(machines) == 1 and not session.dry_run:
        session.console.say(
            f"{session.app} has one machine: while its streams come to their end, new requests get 503; "
            "`./dev scale.count --machines 2` leaves nobody without an answer"
        )


def tried_token(session: Session, machines: Sequence[Machine]) -> str:
    """The access token at hand, for the smoke test; empty for one that is wrong before anything was deployed.

    A token that was rotated out says nothing about a new image, and must not undo it.
    """
    at_hand = ledger.tokens_at_hand(session)
    if not at_hand and not session.drawer.record().sending:
        return ""
    found = ledger.listed(session)
    record = ledger.settle(session, found)
    next_ones, issued = ({each.digest for each in tokens} for tokens in (record.next, record.issued))
    # Those of somebody else come into use with this deployment, and nobody here knows them.
    unknown = not record.staged and any(each.name == TOKENS and each.waits for each in found)
    known = [each for each in at_hand if not next_ones or credentials.digest_of(each) in next_ones]
    token = known[0] if known and not unknown else ""
    if at_hand and not token:
        others = "tokens that wait on Fly" if record.staged or unknown else "other tokens"
        session.console.say(f"{others} replace the one at hand: it is not tried")
    waits = bool(record.staged) and credentials.digest_of(token) not in issued
    runs = any(each.state == "started" for each in machines)
    if not token or waits or not runs or session.dry_run or not smoke.refuses(session, token):
        return token
    session.console.say("what runs now refuses the access token at hand: the new release is not tried with it")
    return ""


def validate(session: Session) -> None:
    """Refuse a fly.toml that flyctl or the service could not live with."""
    found = toml_problems(session)
    if found:
        raise wrong_use(f"fly.toml: {'; '.join(found)}")
    try:
        session.fly.text("config validate", "--strict", app=session.app)
    except FlyError as refused:
        if refused.refusal is Refusal.OTHER:
            raise wrong_use(f"fly.toml: {refused.message}") from None
        raise


def toml_problems(session: Session) -> list[str]:
    """What flyctl lets pass in fly.toml and the service could not live with."""
    defaults = {each.name: each.default for each in session.settings}
    env = {**defaults, **{name: str(value) for name, value in session.config.env.items()}}
    return fly_toml.problems(session.config, env)


def check_image(image: str) -> None:
    """Refuse what is no reference of an image."""
    if image and not IMAGE.fullmatch(image):
        raise wrong_use(f"--image {quoted(image)} is no reference like registry.fly.io/app:label")


def checked_strategy(session: Session, strategy: str) -> str:
    """The strategy asked for, or fly.toml's. It is always said: Fly remembers the last one for secrets too."""
    strategy = strategy or session.config.strategy
    if strategy not in STRATEGIES:
        raise wrong_use(f"--strategy {quoted(strategy)} is none of {', '.join(STRATEGIES)}")
    return strategy


def version_here() -> str:
    """The version of the service in this folder, read without importing it."""
    text = (service.ROOT / "service" / "version.py").read_text("utf-8")
    found = re.search(r'^VERSION = "([^"]+)"$', text, re.MULTILINE)
    return found[1] if found else ""


def wait_healthy(session: Session, after: int = 0) -> tuple[Machine, ...]:
    """All machines, once every one that is awake passes its checks or the patience is over. One at least is woken up.

    Fly may show for a moment what was there before: machines of releases up to `after` are not the ones waited for.
    """

    def well(machines: Sequence[Machine]) -> bool:
        return bool(machines) and all((each.healthy or each.asleep) and each.release > after for each in machines)

    machines = waiting.until(lambda: session.status().machines, well, HEALTH_SECONDS)
    if not all(each.asleep for each in machines):
        return machines
    # A deployment leaves machines that were stopped as they are, and what nobody has seen running proves nothing.
    return waiting.until(lambda: _woken(session), lambda all: any(each.healthy for each in all), HEALTH_SECONDS)


def _woken(session: Session) -> tuple[Machine, ...]:
    """The machines after a request, for which Fly's proxy starts one."""
    smoke.knock(session)
    return session.status().machines


def _what(session: Session, image: str, label: str) -> list[str]:
    """The part of the command that says what to deploy, and that one machine is enough for a start."""
    if image:
        return ["--ha=false", f"--image={image}"]
    commit = commit_here(session.folder) or "unknown"
    arguments = [f"--build-arg=VERSION={version_here()}", f"--build-arg=COMMIT={commit}"]
    return ["--ha=false", "--remote-only", f"--image-label={label}", *arguments]


def _label(folder: Path) -> str:
    """The name of a build: its commit and the time.

    A label that was pushed again would lead whoever goes back to the wrong image.
    """
    return f"{commit_here(folder) or 'folder'}-{_time_now()}"


def commit_here(folder: Path) -> str:
    """The commit of a checkout, with `-dirty` where it has changes; empty where git knows nothing."""
    try:
        found = [
            subprocess.run(
                ["git", *arguments],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
                env=environ.for_anything(os.environ),
            ).stdout.strip()
            for arguments in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return found[0] + ("-dirty" if found[1] else "")


def _time_now() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime())


def _run_deploy(session: Session, words: list[str], strategy: str, config: Sequence[str] = ()) -> None:
    with session.console.progress(f"deploying {session.app}"):
        session.fly.text("deploy", *words, f"--strategy={strategy}", *config, *QUIET, app=session.app)


def _settled(session: Session) -> None:
    """What runs is tested: it is what to go back to from now on, and runs with the secrets that waited."""
    if not session.dry_run:
        session.drawer.forget_before()
        ledger.rolled_out(session)


def _problems(session: Session, expected: Expected, after: int) -> list[str]:
    """What is wrong with what runs now. One question that Fly does not answer must not undo a deployment."""
    with session.console.progress("testing each machine"):
        try:
            return _seen_problems(session, expected, after)
        except FlyError as failed:
            session.console.say(f"{failed.message}; asking again")
        try:
            return _seen_problems(session, expected, after)
        except FlyError as failed:
            return [str(failed.message)]


def _seen_problems(session: Session, expected: Expected, after: int) -> list[str]:
    machines = wait_healthy(session, after)
    unhealthy = [
        f"machine {each.id} is {each.state}, {_failing(each)}"
        for each in machines
        if not each.healthy and not each.asleep
    ]
    images = {each.image for each in machines}
    if unhealthy:
        return unhealthy
    if not shapes.agree(images):
        return [f"machines run different images: {', '.join(sorted(images))}"]
    return smoke.problems(session, machines, expected)


def _failing(machine: Machine) -> str:
    found = [f"{each.name}: {each.status}" for each in machine.checks if each.status != "passing"]
    return ", ".join(found) or "without a failing check"


def _back(session: Session, before: Before, found: list[str], *, cut_off: bool) -> None:
    """Put the earlier release back, with the configuration it had, and say in one line how that ended."""
    reason = f"the deployment of {session.app} failed: {'; '.join(found)}"
    release = before.release
    if release is None:
        raise Exit(
            f"{reason}. There is no earlier release to go back to; `./dev logs` shows what the machine said", code=1
        )
    try:
        if _untouched(session, before, cut_off=cut_off):
            session.drawer.forget_before()
            raise Exit(f"{reason}. Nothing was changed: v{release.version} serves ({release.image})", code=1)
        session.console.say(f"the deployment of {session.app} failed; going back to v{release.version}")
        tried = max((each.release for each in session.status().machines), default=0)
        with tempfile.TemporaryDirectory(prefix="poe-proxy-before-") as folder:
            _run_deploy(session, [f"--image={release.image}"], "rolling", earlier.configuration(before, Path(folder)))
        still = _problems(session, Expected(release.image, keys=False), tried)
    except FlyError as failed:
        still = [str(failed.message)]
    if still:
        raise Exit(
            f"{reason}. Going back to v{release.version} failed too: {'; '.join(still)}; try `./dev rollback`", code=1
        )
    _settled(session)
    raise Exit(f"{reason}. v{release.version} serves again ({release.image})", code=int(ExitCode.FAILED))


def _untouched(session: Session, before: Before, *, cut_off: bool) -> bool:
    """Whether every machine is as it was, and well: the deployment failed before it reached any."""
    machines = session.status().machines
    seen, known = ({(each.id, each.release, each.image) for each in listed} for listed in (machines, before.machines))
    if seen != known or not before.serves(machines) or not all(each.healthy or each.asleep for each in machines):
        return False
    # A machine shows late what flyctl began just before it was cut off; the release is there before.
    return not cut_off or shapes.releases(session.fly.json("releases", app=session.app)) == before.listed


def _all_new(session: Session, before: Before) -> bool:
    """Whether every machine is of a newer release: flyctl was cut off, but not what it had begun."""
    machines = session.status().machines
    return bool(machines) and all(each.release > before.newest for each in machines)


def _compare_counts(session: Session, before: Before, machines: Sequence[Machine]) -> None:
    if before.machines and len(machines) != len(before.machines):
        told = f"{counted(len(before.machines), 'machine')} before, now {len(machines)}"
        session.console.say(f"{told}; `./dev scale.count --machines N` sets it")


def _version(text: str) -> int:
    found = re.fullmatch(r"v?([1-9]\d{0,8})", text)
    if text and not found:
        raise wrong_use(f"--to {quoted(text)} is no release like v12")
    return int(found[1]) if found else 0


def _chosen(before: Before, wanted: int) -> Release:
    """The release asked for, else the one that an earlier try was on its way to, else what served before it."""
    listed, running = before.listed, [each.image for each in before.machines]
    wanted = wanted or before.goal
    if wanted:
        release = next((each for each in listed if each.version == wanted), None)
        if release is None:
            raise wrong_use(f"there is no v{wanted} among the last {len(listed)} releases; `./dev releases` lists them")
        if not release.image:
            raise wrong_use(f"Fly does not remember the image of v{wanted}; `./dev releases` lists those it does")
        return release
    if before.release is not None and before.tried and not before.serves(before.machines):
        return before.release
    for release in reversed(_line(listed)):
        # A deployment that was cut short leaves a mix: what only some machines run is an earlier image as well.
        if not all(shapes.same_image(release.image, image) for image in running):
            return release
    raise Exit(
        "there is no earlier release with another image; `./dev rollback --to vN` takes any of `./dev releases`",
        code=int(ExitCode.NOT_SET_UP),
    )


def _line(listed: Sequence[Release]) -> list[Release]:
    """The releases that led to the newest, oldest first: one that returns to an earlier image undoes those between."""
    line: list[Release] = []
    for release in reversed(listed):
        if release.complete and release.image:
            again = (place for place, each in enumerate(line) if shapes.same_image(each.image, release.image))
            line = [*line[: next(again, len(line))], release]
    return line
