"""Tasks in any order, by two clones, killed and refused at any place: what has to hold at each settled step holds.

Every token is new, so that one which was seen to be good and then not may never be good again.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra import smoke
from service.values import specs
from tests.infra import flying
from tests.infra.flying import ALICE, APP, BOB, CAROL, KEYS, SECRETS, Desk, Ended, Killed

STEPS = 14
SEEDS = (0, 1, 2, 3, 6, 9, 13, 15, 27, 28, 56, 213)
"""Of many hundred, such as failed for one fault or another that was put into the code."""
FAULTS = ("500", "429", "unreachable", "lost")
CALLS = ("status", "releases", "secrets list", "secrets import", "secrets deploy", "deploy", "config show",
         "tokens list", "tokens create deploy", "tokens revoke")  # fmt: skip
GRACES = {"0": 0.0, "1h": 3600.0, "24h": 86_400.0}
ALL_KEYS = (f"alice:{ALICE}", f"bob:{BOB}", f"carol:{CAROL}")


def digest(token: str) -> str:
    return f"sha256-{sha256(token.encode()).hexdigest()}"


@dataclass
class World:
    """The platform, two clones, and what must be so."""

    desk: Desk
    random: random.Random
    folders: tuple[Path, ...]
    clock: float
    number: int = 0
    tokens: list[str] = field(default_factory=list)
    """Every token ever made here."""
    must_live: dict[str, float] = field(default_factory=dict)
    """Token → until when it has to be good."""
    seen: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    good: set[str] = field(default_factory=set)
    """Images of which one has to serve after a bad deployment."""
    cut_short: set[int] = field(default_factory=set)
    """Clones that may know what served better than others do."""
    keys_behind: set[int] = field(default_factory=set)
    """Clones that sent keys and were disturbed, so that GitHub may have earlier ones."""
    knows: set[int] = field(default_factory=lambda: {0})
    """The clone that sent the tokens on Fly, if it is sure that it did."""
    unsure: set[int] = field(default_factory=set)
    """Clones whose import had no answer when somebody else sent a value: they may take that one for theirs."""
    log: list[str] = field(default_factory=list)

    # What there is

    def valid(self, text: str) -> dict[str, float]:
        """The tokens that a value of ACCESS_TOKENS lets in now, with their ends."""
        ends = {f"sha256-{each.digest.hex()}": each.ends or math.inf for each in specs.tokens(text)}
        known = {digest(token): token for token in self.tokens}
        return {known[key]: end for key, end in ends.items() if key in known and end > self.clock}

    @property
    def app(self) -> dict[str, Any]:
        return self.desk.app

    def value(self, name: str) -> str:
        return str(self.app["secrets"][name]["value"])

    def record(self, clone: int) -> dict[str, Any]:
        path = self.folders[clone] / ".poe-proxy" / f"{APP}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    # What is done

    def new_token(self) -> str:
        self.number += 1
        token = f"tok-{self.number:03}-5d8e1f7a90b4c2d6"
        self.tokens.append(token)
        self.desk.monkeypatch.setattr(flying, "SECRETS", (*SECRETS, *self.tokens))
        return token

    def run(self, clone: int, *words: str) -> tuple[Ended | None, bool]:
        """A task in a clone, perhaps disturbed; None for one that was killed. Whether it was left in peace."""
        desk = self.desk
        desk.folder = self.folders[clone]
        desk.monkeypatch.chdir(desk.folder)
        desk.children.clear()
        desk.change(lambda state: state.update(calls=[], faults=[]))
        how = self.random.choices(["calm", "killed", "refused"], [5, 3, 2])[0]
        if how == "killed":
            desk.kill_at = self.random.randint(1, 16)
        if how == "refused":
            desk.fault(self.random.choice(CALLS), self.random.choice(FAULTS), self.random.randint(1, 2))
        try:
            ended = desk.run(*words)
        except Killed:
            ended = None
        calm = ended is not None and not (how == "refused" and desk.state["faults"][0]["nth"] <= 0)
        desk.kill_at = 0
        told = "killed" if ended is None else f"{ended.code}: {ended.line}"
        self.log.append(f"{clone} {' '.join(words)} [{how} {desk.state['faults']}] → {told}")
        desk.change(lambda state: state.update(faults=[]))
        return ended, calm

    def rotate(self, clone: int) -> None:
        grace, token = self.random.choice(list(GRACES)), self.new_token()
        before = self.valid(self.value("ACCESS_TOKENS"))
        words = ["secrets", "--yes", "--grace", grace]
        end, written = math.inf, token
        if self.random.random() < 0.3:
            end, written = float(int(self.clock) + 7200), digest(token)
            written += f"@{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(end))}"
        words += ["--tokens-file", self.desk.write("tokens", f"team:{written}")]
        with_keys = self.random.random() < 0.3
        words += ["--keys-file", self.keys()] if with_keys else []
        ended, calm = self.run(clone, *words)
        if ended is not None and ended.code == 3:
            assert GRACES[grace], self.story()
            assert clone not in self.knows, self.story()
            return
        self.knows = {clone} if calm else self.knows & {clone}
        if with_keys:
            self.sent_keys(clone, calm=calm)
        if clone in self.unsure:
            self.must_live.clear()
            self.dead.clear()
            before = {}
        limit = self.clock + GRACES[grace] - 1
        self.must_live = {each: min(until, limit) for each, until in self.must_live.items()}
        if calm and ended is not None:
            assert self.came_through(ended), self.story()
            self.unsure -= {clone}
            self.others_unsure(clone)
            self.must_live |= {each: min(until, limit) for each, until in before.items()}
            self.must_live[token] = end
            self.settled(clone)

    def keys(self) -> str:
        chosen = self.random.sample(ALL_KEYS, self.random.randint(1, 3))
        return self.desk.write("keys", ",".join(chosen))

    def rotate_keys(self, clone: int) -> None:
        ended, calm = self.run(clone, "secrets", "--yes", "--keys-file", self.keys())
        self.sent_keys(clone, calm=calm)
        if calm and ended is not None:
            assert self.came_through(ended), self.story()
            self.settled(clone)

    def came_through(self, ended: Ended) -> bool:
        """Secrets are in use where a deployment that was cut short left a bad image, too; that is told."""
        return ended.code == 0 or bool(self.cut_short and "the new secrets are in use, but: " in ended.line)

    def sent_keys(self, clone: int, *, calm: bool) -> None:
        if not calm:
            self.keys_behind.add(clone)
            return
        self.keys_behind.clear()
        stored = self.desk.gh["environments"]["production"]["POE_API_KEYS"]
        assert stored == self.value("POE_API_KEYS"), self.story()

    def deploy(self, clone: int) -> None:
        self.number += 1
        image = f"registry.fly.io/{APP}:good-{self.number}"
        ended, calm = self.run(clone, "deploy", "--image", image)
        self.deployed(clone, ended, calm, image)

    def deployed(self, clone: int, ended: Ended | None, calm: bool, image: str) -> None:
        if not calm or ended is None:
            self.good.add(image)
            self.cut_short.add(clone)
            return
        assert ended.code == 0, self.story()
        self.good = {image}
        self.cut_short.clear()
        assert {each["image"] for each in self.app["machines"]} == {image}, self.story()
        self.settled(clone)

    def deploy_bad(self, clone: int) -> None:
        self.number += 1
        image = f"registry.fly.io/{APP}:bad-{self.number}"
        how = self.random.choice(["sick", "not ready", "missing"])
        self.desk.change(lambda state: self.spoil(state, image, how))
        strategy = self.random.choice(["rolling", "immediate"])
        ended, calm = self.run(clone, "deploy", "--image", image, "--strategy", strategy)
        if not calm or ended is None:
            self.cut_short.add(clone)
            return
        assert ended.code == 1, self.story()
        if not self.cut_short - {clone}:
            images = {each["image"] for each in self.app["machines"]}
            assert len(images) == 1, self.story()
            assert images <= self.good, self.story()
            self.cut_short.clear()
            self.good = images
        else:
            self.recover(clone)

    @staticmethod
    def spoil(state: dict[str, Any], image: str, how: str) -> None:
        if how == "not ready":
            state.setdefault("ready", {})[image] = {"http": 503, "status": "starting"}
        else:
            state[{"sick": "sick_images", "missing": "missing_images"}[how]].append(image)

    def rollback(self, clone: int) -> None:
        ended, calm = self.run(clone, "rollback", "--yes")
        if not calm or ended is None:
            self.good |= {each["image"] for each in self.app["releases"] if "good" in each["image"]}
            self.cut_short.add(clone)
            return
        images = {each["image"] for each in self.app["machines"]}
        if ended.code == 1 and self.was_cut_short:
            # An image whose test was cut short once, and which went through at Fly.
            assert "was put in place, but" in ended.line, self.story()
            self.recover(clone)
            return
        assert ended.code in (0, 3), self.story()
        assert self.cut_short or ended.code == 3 or not any("bad" in image for image in images), self.story()
        if ended.code == 0:
            assert len(images) == 1, self.story()
            self.good = images
            self.cut_short.clear()
            self.settled(clone)

    @property
    def was_cut_short(self) -> bool:
        return any("[killed" in line or "[refused" in line for line in self.log)

    def recover(self, clone: int) -> None:
        """Whatever other clones left behind: a good image that is tested in peace."""
        choices, self.random.choices = self.random.choices, lambda *_: ["calm"]  # type: ignore[assignment, method-assign]
        self.deploy(clone)
        self.random.choices = choices  # type: ignore[method-assign]

    def setup(self, clone: int) -> None:
        words = ["setup", "--yes", "--image", sorted(self.good)[0]]
        ended, calm = self.run(clone, *words)
        if not calm or ended is None:
            self.cut_short.add(clone)
            return
        self.deployed(clone, ended, calm, words[-1])
        self.tokens_of_ci(clone, ended)

    def by_hand(self, clone: int) -> None:
        """Somebody sends other tokens, without these tasks."""
        token = self.new_token()

        def change(state: dict[str, Any]) -> None:
            app = state["apps"][APP]
            app["secrets"]["ACCESS_TOKENS"] = {"value": f"team:{token}"}
            for machine in app["machines"]:
                machine["secrets"]["ACCESS_TOKENS"] = f"team:{token}"

        self.desk.change(change)
        self.must_live = {token: math.inf}
        self.knows = set()
        self.others_unsure()
        self.log.append(f"by hand: {token}")

    def others_unsure(self, clone: int = -1) -> None:
        self.unsure |= {each for each in range(len(self.folders)) if each != clone and self.record(each).get("sending")}

    def remove(self, clone: int) -> None:
        self.desk.change(lambda state: state["apps"][APP]["secrets"].update(OLD={"value": "x"}))
        ended, calm = self.run(clone, "secrets.remove", "--name", "OLD", "--yes")
        if calm and ended is not None:
            assert ended.code == 0, self.story()
            assert not any("OLD" in each["secrets"] for each in self.app["machines"]), self.story()
            self.settled(clone)

    def wait(self, clone: int) -> None:
        self.clock += self.random.choice([60.0, 1800.0, 7200.0, 2 * 86_400.0])
        self.log.append(f"at {self.clock}")

    # What must be so

    def settled(self, clone: int) -> None:
        """After a task that came to its end in peace."""
        on_fly, running = self.value("ACCESS_TOKENS"), self.app["machines"][0]["secrets"]["ACCESS_TOKENS"]
        for machine in self.app["machines"]:
            assert machine["secrets"]["ACCESS_TOKENS"] == on_fly == running, self.story()
            assert machine["secrets"]["POE_API_KEYS"] == self.value("POE_API_KEYS"), self.story()
        valid = self.valid(running)
        missing = [token for token, until in self.must_live.items() if until > self.clock and token not in valid]
        assert not missing, f"{missing} should be good\n{self.story()}"

    def always(self) -> None:
        """However a task ended."""
        for clone in range(len(self.folders)):
            self.knows_what_fly_has(clone)
        # A rotation ends a token with what it sends, long before the last machine hears of it.
        valid = self.valid(self.value("ACCESS_TOKENS")).keys()
        assert not self.dead & valid, self.story()
        self.dead |= self.seen - valid
        self.seen |= valid
        stored = self.desk.gh["environments"]["production"].get("FLY_API_TOKEN")
        live = [each["value"] for each in self.app["tokens"] if not each["revoked"]]
        assert stored is None or stored in live, self.story()

    def knows_what_fly_has(self, clone: int) -> None:
        record = self.record(clone)
        now = self.app["secrets"]["ACCESS_TOKENS"]["value"]
        if (
            clone in self.unsure
            or not record
            or record["staged"]
            or record["sending"]
            or record["elsewhere"]
            or not record["issued"]
        ):
            return
        if record["seen"].get("ACCESS_TOKENS") != sha256(now.encode()).hexdigest()[:16]:
            return
        issued = {each["digest"]: each["ends"] for each in record["issued"]}
        on_fly = {digest(token): None if end == math.inf else end for token, end in self.valid(now).items()}
        alive = {key: end for key, end in issued.items() if end is None or end > self.clock}
        assert alive == on_fly, self.story()

    def tokens_of_ci(self, clone: int, ended: Ended) -> None:
        """After a `setup`."""
        hub = self.desk.gh["environments"]["production"]
        if "made elsewhere" not in ended.err:
            live = [each["value"] for each in self.app["tokens"] if not each["revoked"]]
            assert live == [hub["FLY_API_TOKEN"]], self.story()
        if not self.keys_behind - {clone}:
            told = "POE_API_KEYS" in ended.err or hub["POE_API_KEYS"] == self.value("POE_API_KEYS")
            assert told, self.story()

    def story(self) -> str:
        return "\n".join(self.log)


@pytest.fixture
def world(desk: Desk, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """An app that one of two clones has set up, with GitHub."""
    desk.gh = {"login": True, "environments": {"production": {}}}
    monkeypatch.setattr(smoke, "DOOR_SECONDS", 0.0)
    image = f"registry.fly.io/{APP}:good-0"
    first = "tok-000-5d8e1f7a90b4c2d6"
    keys, tokens = desk.write("keys", KEYS), desk.write("tokens", f"team:{first}")
    words = ("setup", "--yes", "--machines", "2", "--image", image, "--keys-file", keys, "--tokens-file", tokens)
    ended = desk.run(*words)
    assert ended.code == 0, ended.err
    other = desk.folder.parent / "clone"
    other.mkdir()
    shutil.copy(desk.folder / "fly.toml", other)
    made = World(desk, random.Random(request.param), (desk.folder, other), float(int(time.time())))
    made.tokens, made.must_live, made.good = [first], {first: math.inf}, {image}
    clock = SimpleNamespace(**{**vars(time), "time": lambda: made.clock})
    monkeypatch.setattr("infra.secrets.time", clock)
    monkeypatch.setattr("infra.ledger.time", clock)
    return made


@pytest.mark.parametrize("world", SEEDS, indirect=True)
def test_whatever_happens_what_must_be_so_is_so(world: World) -> None:
    steps: dict[Callable[[int], None], int] = {
        world.rotate: 6,
        world.rotate_keys: 3,
        world.deploy: 3,
        world.deploy_bad: 4,
        world.setup: 4,
        world.rollback: 2,
        world.by_hand: 1,
        world.remove: 1,
        world.wait: 2,
    }
    for _ in range(STEPS):
        (step,) = world.random.choices(list(steps), list(steps.values()))
        step(world.random.choices([0, 1], [3, 1])[0])
        world.always()
