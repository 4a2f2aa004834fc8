"""From nothing to a running, tested gateway.

Looks at what is there, says what is missing, does that, in an order that lets the next run go on where one is stopped.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from invoke import Exit

from infra import (
    certs,
    credentials,
    deploy,
    deploy_token,
    existing,
    github,
    ledger,
    naming,
    regions,
    scale,
    secrets,
    smoke,
)
from infra.credentials import KEYS, TOKENS, Values
from infra.existing import Found
from infra.fly import FlyError, wrong_use
from infra.fly_task import fly_task
from infra.github import Github, GithubError
from infra.plural import counted
from infra.record import Drawer
from infra.refusal import Refusal
from infra.secrets import New
from infra.session import Session
from infra.smoke import Expected

GRACE_SECONDS = 86_400.0
FIRST_REGION = "nrt"
V4, V6 = frozenset({"v4", "shared_v4"}), frozenset({"v6"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """The flags, checked."""

    organization: str
    region: str
    keys_file: str
    tokens_file: str
    host: str
    image: str
    machines: int
    github: bool
    name: str = ""
    """What somebody who was asked called the app: fly.toml is to say so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the values to send to Fly (`new`) and to GitHub, the deploy token, and each step in words.

    `made` is the access token that nobody gave, to be kept before Fly learns of it.
    """

    new: New
    for_github: Mapping[str, str] = field(repr=False)
    github_app: str
    deploying: deploy_token.Standing
    steps: tuple[str, ...]
    made: str = field(repr=False)


@fly_task(
    help={
        "org": "SLUG: the organisation of a new app",
        "region": "CODE: where the first machine runs; without it fly.toml's, else nrt",
        "keys_file": "F: the Poe keys; without it POE_API_KEYS, else they are asked for",
        "tokens_file": "F: access tokens; without it ACCESS_TOKENS, else one is made",
        "host": "HOST: a host name of your own, for a certificate",
        "image": "REF: deploy this image instead of building one",
        "machines": "N: how many machines; without it as many as there are, at first one",
        "github": "leave GitHub alone, and make no deploy token",
    }
)
def setup(
    session: Session,
    org: str = "",
    region: str = "",
    keys_file: str = "",
    tokens_file: str = "",
    host: str = "",
    image: str = "",
    machines: int = 0,
    github: bool = True,
) -> dict[str, Any]:
    """From nothing to a smoke-tested deployment. Run again it changes nothing; stopped half-way, it goes on.

    Runs: flyctl version · auth whoami · config validate · status · orgs list · apps create · secrets list ·
    secrets import --stage · secrets deploy · ips list · ips allocate-v4 --shared · ips allocate-v6 · releases ·
    config show · deploy · scale show · scale count · certs list · certs add · certs check · tokens list ·
    tokens create deploy · tokens revoke; and gh secret set, gh variable set
    """
    wishes = _checked(session, Wishes(org, region, keys_file, tokens_file, host, image, machines, github))
    wishes = replace(wishes, name=naming.choose(session))
    with session.alone():
        found = existing.look(session, wishes.organization, wishes.host, github=wishes.github)
        drawer = session.drawer
        plan = _plan(session, wishes, found, drawer)
        _agree(session, plan)
        _make_app(session, wishes, found)
        if plan.made and not session.dry_run:
            drawer.keep_access_token(plan.made)
        if plan.new.secrets:
            secrets.stage(session, plan.new, found.secrets)
        token = secrets.token_to_try(session, plan.new, found.machines)
        _addresses(session, found)
        _release(session, wishes, found, plan, token)
        if wishes.host:
            certs.ensure(session, wishes.host, found.hosts)
        if wishes.github:
            _continuous_deployment(session, drawer, found, plan)
        return _welcome(session, drawer, wishes, token)


def _checked(session: Session, wishes: Wishes) -> Wishes:
    """The wishes with what fly.toml says in place of what was not said; refuses what no run could fulfil."""
    region = (wishes.region or session.config.region or FIRST_REGION).lower()
    if problem := regions.problem(region):
        raise wrong_use(f"--region: {problem}")
    deploy.check_image(wishes.image)
    if not 0 <= wishes.machines <= scale.MOST_MACHINES:
        raise wrong_use(f"--machines {wishes.machines} is not from 1 to {scale.MOST_MACHINES}")
    if [wishes.keys_file, wishes.tokens_file].count("-") > 1:
        raise wrong_use("only one file can be `-`, standard input")
    host = certs.checked_host(wishes.host) if wishes.host else ""
    return replace(wishes, region=region, host=host)


def _plan(session: Session, wishes: Wishes, found: Found, drawer: Drawer) -> Plan:
    """What is missing. All values are read and checked here, before anything is changed."""
    # A name at GitHub alone says nothing: Terraform makes the secrets with a value that is none.
    stored = found.github_names.difference(drawer.record().behind) if drawer.record().environment else frozenset()
    needed_there = frozenset({KEYS, TOKENS}) - stored if found.github else frozenset()
    keys = _keys(session, wishes, found, needed=KEYS in needed_there)
    tokens = _tokens(session, wishes, found, drawer, needed=TOKENS in needed_there)
    send_keys = keys if KEYS not in found.names or wishes.keys_file else None
    send_tokens = tokens if TOKENS not in found.names or wishes.tokens_file else None
    where = {each.region for each in found.machines}
    if where and wishes.region not in (session.config.region, *where):
        session.console.say(
            f"--region {wishes.region}: the machines are in {', '.join(sorted(where))} and stay there; "
            f"`./dev scale.regions --regions {wishes.region}` moves them"
        )
    known = ledger.known(drawer.record(), found.secrets) if TOKENS in found.names else ()
    new = New(send_keys, send_tokens, secrets.in_grace(known, send_tokens, GRACE_SECONDS) if send_tokens else ())
    hub = _for_github(session, found, new, {KEYS: keys, TOKENS: tokens}, needed_there)
    at_github = github.DEPLOY_TOKEN in found.github_names
    deploying = (
        deploy_token.standing(drawer, found.deploy_tokens, at_github=at_github, unreachable=found.github is None)
        if wishes.github
        else deploy_token.Standing()
    )
    named = _app_for_github(session, found)
    given = wishes.tokens_file or os.environ.get(TOKENS, "").strip()
    made = send_tokens.text if send_tokens and not given else ""
    return Plan(new, hub, named, deploying, _steps(session, wishes, found, new, hub, named, deploying), made)


def _for_github(
    session: Session, found: Found, new: New, values: Mapping[str, Values | None], needed: Collection[str]
) -> dict[str, str]:
    """The values to store at GitHub: those that go to Fly now, and missing ones that Fly is known to have.

    GitHub's copy is sent to Fly one day: it must not be whatever this shell happens to hold.
    """
    hub: dict[str, str] = {}
    for name, flag in ((KEYS, "--keys-file"), (TOKENS, "--tokens-file")):
        value = values[name]
        if value is None or found.github is None or not (name in new.secrets or name in needed):
            continue
        if name in new.secrets or ledger.sent(session.drawer.record(), name, value):
            hub[name] = value.text
        else:
            session.console.say(
                f"{name} at GitHub is left alone: whether Fly has this one is not known; {flag} F sets both"
            )
    return hub


def _app_for_github(session: Session, found: Found) -> str:
    """The name that the workflows have to be told, where neither GitHub nor, for production, fly.toml has it."""
    if found.github is None or found.github_app == session.app:
        return ""
    told = found.github.environment == "production" and session.config.app == session.app
    return "" if told and not found.github_app else session.app


def _keys(session: Session, wishes: Wishes, found: Found, *, needed: bool) -> Values | None:
    missing = KEYS not in found.names
    if not (missing or wishes.keys_file or needed):
        return None
    question = "Poe keys, made at poe.com/api/keys" * (missing and not session.dry_run)
    text = credentials.given(session, KEYS, wishes.keys_file, "--keys-file", question)
    if text.strip():
        return credentials.checked_keys(session, text)
    if missing and session.dry_run:
        return Values("to be given", ())
    if missing:
        raise wrong_use(f"no Poe keys: give --keys-file F, or set {KEYS} (poe.com/api/keys makes one)")
    return None


def _tokens(session: Session, wishes: Wishes, found: Found, drawer: Drawer, *, needed: bool) -> Values | None:
    """Tokens that were given, else the one of an earlier run, else a new one."""
    missing = TOKENS not in found.names
    if not (missing or wishes.tokens_file or needed):
        return None
    text = credentials.given(session, TOKENS, wishes.tokens_file, "--tokens-file") or ledger.kept_token(drawer)
    if not text.strip():
        if not missing:
            return None
        text = credentials.new_token()
    session.redact.add(text)
    return credentials.checked_tokens(text)


def _steps(
    session: Session,
    wishes: Wishes,
    found: Found,
    new: New,
    hub: Mapping[str, str],
    named: str,
    deploying: deploy_token.Standing,
) -> tuple[str, ...]:
    app = session.app
    stored = [*hub, *([github.DEPLOY_TOKEN] if found.github and (deploying.due or deploying.waits) else ())]
    running = len(found.machines)
    cut = f", which cuts the streams of {running - wishes.machines}" if 0 < wishes.machines < running else ""
    steps = {
        f"set app = {app} in fly.toml": bool(wishes.name),
        f"create the app {app} in {found.organization}": found.status is None,
        f"set primary_region = {wishes.region} in fly.toml": _region_changes(session, wishes, found),
        f"send {' and '.join(new.secrets)}": bool(new.secrets),
        "allocate a shared IPv4 and an IPv6, both free": not (found.kinds & V4 and found.kinds & V6),
        f"deploy {wishes.image or 'this folder, built on Fly,'} in {wishes.region}": not found.settled(wishes.image),
        "restart the machines with the new secrets": found.settled(wishes.image) and _pending(found, new),
        f"scale to {counted(wishes.machines, 'machine')}{cut}": wishes.machines not in (0, running)
        and wishes.machines + running > 1,
        f"ask for a certificate for {wishes.host}": bool(wishes.host) and wishes.host not in found.hosts,
        "make a deploy token for continuous deployment": deploying.due,
        f"store {', '.join(stored)} at GitHub ({github.environment_of(app)})": bool(stored),
        f"set {github.APP} = {named} at GitHub ({github.environment_of(app)})": bool(named),
        f"revoke {counted(len(deploying.outdated), 'earlier deploy token')}": bool(deploying.outdated),
    }
    return tuple(step for step, wanted in steps.items() if wanted)


def _pending(found: Found, new: New) -> bool:
    return bool(new.secrets) or found.removed or any(each.waits for each in found.secrets)


def _region_changes(session: Session, wishes: Wishes, found: Found) -> bool:
    return not found.machines and wishes.region != session.config.region


def _agree(session: Session, plan: Plan) -> None:
    """The one confirmation; none where nothing is to do."""
    if not plan.steps:
        return
    if session.console.shows:
        session.console.say(f"To do for {session.app}:")
        for step in plan.steps:
            session.console.say(f"  · {step}")
    if not session.console.confirm("Go on?", yes=session.yes):
        raise wrong_use("nothing was changed")


def _make_app(session: Session, wishes: Wishes, found: Found) -> None:
    # Before there is an app: a run that is stopped in between would else not know its name the next time.
    if wishes.name:
        scale.edit(session, [("", "app", wishes.name)])
    if found.status is None:
        try:
            session.fly.json("apps create", session.app, f"--org={found.organization}")
        except FlyError as failed:
            if failed.refusal is Refusal.TAKEN:
                raise _taken(session, wishes) from None
            raise
        session.done("app", f"{session.app} created in {found.organization}")
    if _region_changes(session, wishes, found):
        scale.edit(session, [("", "primary_region", wishes.region)])


def _taken(session: Session, wishes: Wishes) -> Exit:
    """A name that somebody else has. fly.toml gets back the one it came with, so that the next run asks again."""
    nothing = f"the name {session.app} is somebody else's; nothing was made. "
    if wishes.name:
        scale.edit(session, [("", "app", naming.SHIPPED)])
        return wrong_use(f"{nothing}Run `./dev setup` again with another one")
    return wrong_use(f'{nothing}Write another into fly.toml (app = "NAME"), or give --app NAME to every task')


def _addresses(session: Session, found: Found) -> None:
    """Before the first deployment, so that there is no doubt whether flyctl will."""
    if not found.kinds & V4:
        session.fly.text("ips allocate-v4", "--shared", app=session.app)
        session.done("ips", "a shared IPv4")
    if not found.kinds & V6:
        session.fly.text("ips allocate-v6", app=session.app)
        session.done("ips", "an IPv6")


def _release(session: Session, wishes: Wishes, found: Found, plan: Plan, token: str) -> None:
    """Deploy where it is due, restart where only secrets are new, scale; test every machine at the end in any case."""
    tested = False
    if not found.settled(wishes.image):
        strategy = deploy.checked_strategy(session, "")
        deploy.roll_out(session, found.machines, image=wishes.image, strategy=strategy, token=token)
        tested = True
    elif _pending(found, plan.new):
        secrets.push_to_machines(session)
    ledger.rolled_out(session)
    tested &= not _scaled(session, wishes, found)
    if not tested and not session.dry_run:
        with session.console.progress("testing each machine"):
            problems = smoke.problems(session, deploy.wait_healthy(session), Expected(token=token))
        if problems:
            raise Exit(f"{session.app} runs, but: {'; '.join(problems)}; `./dev doctor` looks closer", code=1)
        session.done("smoke test", "every machine is ready")


def _scaled(session: Session, wishes: Wishes, found: Found) -> bool:
    """Bring the number of machines to what was asked for; whether that changed anything."""
    if not wishes.machines or (wishes.machines == 1 and not found.machines):
        return False
    planned = session.dry_run and not found.machines
    now = {wishes.region: 1} if planned else scale.regions_now(session)
    if sum(now.values()) == wishes.machines:
        return False
    scale.spread(session, now, scale.shares(wishes.machines, list(now) or [wishes.region]))
    return True


def _continuous_deployment(session: Session, drawer: Drawer, found: Found, plan: Plan) -> None:
    """A deploy token, and GitHub's copy of it and of the values; without gh the token stays in its file."""
    if plan.deploying.left_alone:
        session.console.say(plan.deploying.left_alone)
    if plan.deploying.due:
        deploy_token.make(session, drawer)
    if found.github is not None:
        _store(session, drawer, found.github, plan)
    deploy_token.revoke(session, plan.deploying.outdated)
    if session.dry_run:
        return
    record = drawer.record()
    if behind := [name for name in record.behind if record.environment or name in found.github_names]:
        why = f" ({found.github_reason})" if found.github_reason else ""
        session.console.say(
            f"GitHub still has the earlier {' and '.join(behind)}{why}: `./dev secrets` with a file sets both"
        )
    if found.github is not None or not record.environment:
        deploy_token.settled(drawer)
    if found.github is not None:
        drawer.forget_deploy_token()
    elif drawer.deploy_token():
        path = drawer.deploy_token_file.relative_to(session.folder)
        session.console.say(
            f"GitHub deploys nothing yet ({found.github_reason}): its secret FLY_API_TOKEN waits in {path}"
        )


def _store(session: Session, drawer: Drawer, hub: Github, plan: Plan) -> None:
    """Give GitHub what it does not have, and remember that it has it."""
    waits = plan.deploying.due or plan.deploying.waits
    value = (drawer.deploy_token() or "-" * session.dry_run) if waits else ""
    stored = {**plan.for_github, **({github.DEPLOY_TOKEN: value} if value else {})}
    if not stored and not plan.github_app:
        return
    try:
        reviewed = hub.store(stored, plan.github_app)
    except GithubError as problem:
        raise Exit(f"the app runs, but GitHub refused: {problem}; run `./dev setup` again", code=1) from None
    if not session.dry_run:
        drawer.keep(replace(drawer.record(), environment=hub.environment, placed=True))
        ledger.stored(drawer, stored)
    names = [*stored, *([github.APP] if plan.github_app else ())]
    session.done("github", f"{', '.join(names)} stored in {hub.environment} of {hub.repository}")
    if hub.environment == "production" and not reviewed:
        session.console.say("nobody is asked before production is deployed until that environment has reviewers")


def _welcome(session: Session, drawer: Drawer, wishes: Wishes, token: str) -> dict[str, Any]:
    """How to use what is there now. The token is shown to whoever reads standard output, and to nothing else."""
    base = f"{session.url}/v1"
    made = ledger.kept_token(drawer)
    where = str(drawer.token_file.relative_to(session.folder)) if made else ""
    if session.console.shows:
        # What a CI job prints is kept, and read by many.
        shown = credentials.bare(made) if made and not os.environ.get("CI") else "YOUR-ACCESS-TOKEN"
        session.console.line()
        session.console.line(f"Base URL  {base}")
        session.console.secret(f"Token     {shown if made else 'one of those that were given: Fly shows none again'}")
        if where:
            session.console.line(f"Kept in   {where}")
        session.console.line()
        session.console.secret(
            f"curl -N {base}/chat/completions -H 'Authorization: Bearer {shown}' -H 'Content-Type: application/json' "
            """-d '{"model":"claude-haiku-4.5","stream":true,"messages":[{"role":"user","content":"Say hello"}]}'"""
        )
        session.console.say("")
        if wishes.name:
            session.console.say(f"fly.toml names {session.app} now: commit it.")
        session.console.say("`./dev doctor` says whether all is well, `./dev --list` what else there is.")
    return {"app": session.app, "base_url": base, "host": wishes.host or None, "token_file": where or None}
