"""Killed after every call in turn, and run again: `setup` and `deploy` always come to the same end, nothing twice."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra import deploy, smoke
from tests.infra.flying import AFTER_TERRAFORM, ALICE, APP, CAROL, KEYS, NEXT_TOKEN, TOKEN, Desk, Killed

GOOD, NEXT, BAD, SICK = (f"registry.fly.io/{APP}:{label}" for label in ("good", "next", "bad", "sick"))
MOST_PLACES = 70
WITH_GH: dict[str, Any] = {"login": True, "environments": {}}
OTHER_KEYS = f"carol:{CAROL},alice:{ALICE}"


@dataclass(frozen=True)
class Story:
    """A command, what was there before it, what it ends with, and at how many places at least it can be killed."""

    words: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)
    gh: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    code: int = 0
    least: int = 5
    image: str = ""


RUNNING = ("setup", "--yes", "--image", GOOD)
STORIES = {
    "from nothing without gh": Story(("setup", "--yes"), {"POE_API_KEYS": KEYS}, least=15),
    "from nothing with gh": Story(("setup", "--yes"), {"POE_API_KEYS": KEYS}, WITH_GH, least=20),
    "after Terraform": Story(("setup", "--yes"), {"POE_API_KEYS": KEYS}, AFTER_TERRAFORM, least=20),
    "with every flag": Story(
        ("setup", "--yes", "--host", "api.example.com", "--machines", "3", "--region", "sin", "--image", GOOD),
        {"POE_API_KEYS": KEYS, "ACCESS_TOKENS": f"team:{TOKEN}"},
        WITH_GH,
        least=25,
        image=GOOD,
    ),
    "more machines and a certificate": Story(
        ("setup", "--yes", "--host", "api.example.com", "--machines", "2"), {}, WITH_GH, RUNNING, least=15, image=GOOD
    ),
    "other keys and tokens": Story(
        ("setup", "--yes", "--keys-file", "KEYS", "--tokens-file", "TOKENS"), {}, WITH_GH, RUNNING, least=15, image=GOOD
    ),
    "another image": Story(("setup", "--yes", "--image", NEXT), {}, WITH_GH, RUNNING, least=15, image=NEXT),
    "an image that fails its test": Story(
        ("setup", "--yes", "--image", BAD), {}, WITH_GH, RUNNING, code=1, least=15, image=GOOD
    ),
    "a deployment": Story(("deploy", "--image", NEXT), {}, {}, RUNNING, image=NEXT),
    "a deployment that fails its test": Story(("deploy", "--image", BAD), {}, {}, RUNNING, code=1, least=9, image=GOOD),
    "a deployment that is never healthy": Story(
        ("deploy", "--image", SICK), {}, {}, RUNNING, code=1, least=9, image=GOOD
    ),
}


@dataclass(frozen=True)
class Start:
    """Everything that a run can change, as it was."""

    platform: dict[str, Any]
    github: dict[str, Any]
    files: dict[str, str]
    toml: str


def taken(desk: Desk) -> Start:
    folder = desk.folder / ".poe-proxy"
    files = {path.name: path.read_text() for path in folder.glob("*.*")} if folder.exists() else {}
    return Start(desk.state, copy.deepcopy(desk.gh), files, (desk.folder / "fly.toml").read_text())


def back_to(desk: Desk, start: Start) -> None:
    desk.kill_at = 0
    desk.children.clear()
    desk.change(lambda state: (state.clear(), state.update(start.platform)))
    desk.gh = copy.deepcopy(start.github)
    (desk.folder / "fly.toml").write_text(start.toml)
    for path in (desk.folder / ".poe-proxy").glob("*.*"):
        path.unlink()
    for name, text in start.files.items():
        (desk.folder / ".poe-proxy" / name).write_text(text)


def end_of(desk: Desk) -> Any:
    """What there is, without what is random or counts attempts."""
    app, made = desk.app, random_values(desk)
    folder = desk.folder / ".poe-proxy"
    record = json.loads((folder / f"{APP}.json").read_text())
    found = {
        "machines": sorted(
            [each["region"], each["image"], each["state"], sorted(each["secrets"].items())] for each in app["machines"]
        ),
        "secrets": sorted((name, each["value"]) for name, each in app["secrets"].items()),
        "addresses": sorted(each["Type"] for each in app["ips"]),
        "certificates": sorted(app["certs"]),
        "deploy tokens": [each["value"] for each in app["tokens"] if not each["revoked"]],
        "github": [desk.gh.get("environments"), [each for each in desk.gh.get("variables", {}).values() if each]],
        "issued": sorted([each["name"], each["digest"]] for each in record["issued"]),
        "under way": [record["staged"], record["sending"], len(record["made"]), record["placed"], record["removing"]],
        "files": sorted(path.name for path in folder.glob(f"{APP}.*") if not path.name.endswith("lock")),
        "fly.toml": (desk.folder / "fly.toml").read_text(),
    }
    text = json.dumps(found, sort_keys=True)
    for place, value in enumerate(made):
        text = text.replace(value, f"<made {place}>")
    text = re.sub(r":folder-\d{14}", ":BUILD", text)
    text = re.sub(r"@20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "@END", text)
    return json.loads(re.sub(r"sha256-[0-9a-f]{64}", "DIGEST", text))


def random_values(desk: Desk) -> Sequence[str]:
    kept = desk.folder / ".poe-proxy" / f"{APP}.access-token"
    made = kept.read_text().strip().partition(":")[2] if kept.is_file() else "none was made"
    return [made, *(each["value"] for each in desk.app["tokens"] if not each["revoked"])]


@pytest.fixture(params=STORIES)
def story(desk: Desk, request: pytest.FixtureRequest) -> Story:
    found: Story = STORIES[request.param]
    desk.gh = copy.deepcopy(dict(found.gh))
    desk.change(lambda state: state.update(ready={BAD: {"status": "starting", "http": 503}}, sick_images=[SICK]))
    if found.before:
        ended = desk.run(*found.before, POE_API_KEYS=KEYS, ACCESS_TOKENS=f"team:{TOKEN}")
        assert ended.code == 0, ended.err
    return found


@pytest.fixture
def play(desk: Desk, story: Story) -> Callable[[], int]:
    files = {"KEYS": desk.write("keys", OTHER_KEYS), "TOKENS": desk.write("tokens", f"team:{NEXT_TOKEN}")}
    words = [files.get(word, word) for word in story.words]
    return lambda: desk.run(*words, **story.environ).code


def test_it_ends_as_if_nothing_had_happened(
    desk: Desk, story: Story, play: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call in turn: the call is carried out, its answer is lost with the process that asked."""
    monkeypatch.setattr(deploy, "_time_now", lambda: "20261126000000")
    monkeypatch.setattr(smoke, "DOOR_SECONDS", 0.0)
    start = taken(desk)
    assert play() == story.code
    good = end_of(desk)
    if story.image:
        assert {machine["image"] for machine in desk.app["machines"]} == {story.image}
    for place in range(1, MOST_PLACES):
        back_to(desk, start)
        desk.kill_at = place
        try:
            play()
        except Killed:
            desk.kill_at = 0
        else:
            break
        assert play() == story.code, f"killed after {place} calls"
        assert end_of(desk) == good, f"killed after {place} calls"
    assert story.least <= place < MOST_PLACES - 1
