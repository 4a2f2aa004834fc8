"""`settings` and `check` tell everything about keys and tokens but what they are."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service import cli
from service.settings import described

GOOD = "Zq3vT8pLw5Xk2Nf7Rb9Yc4Hd6Jg1Ms0A"
DEAD = "dEadT8pLw5Xk2Nf7Rb9Yc4Hd6Jg1Ms0B"
TOKEN = "tok-7f3a9c2e5b8d1046"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with a text on standard input; exit code, standard output and standard error."""

    def run_it(*argv: str, stdin: str | bytes = "") -> tuple[int, str, str]:
        raw = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        code = cli.main(argv)
        out, err = capsys.readouterr()
        for secret in (GOOD, DEAD, TOKEN):
            assert secret not in out + err
        return code, out, err

    return run_it


class Poe(BaseHTTPRequestHandler):
    """Knows the balance of one key."""

    def do_GET(self) -> None:
        known = self.path == "/usage/current_balance" and self.headers["Authorization"] == f"Bearer {GOOD}"
        body = b'{"current_point_balance": 42}' if known else b"{}"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def poe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Poe on loopback, named by the environment."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Poe) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("POE_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def results(out: str) -> dict[str, dict[str, Any]]:
    """What `check` printed, by name."""
    return {result["name"]: result for result in json.loads(out)}


def test_settings_shows_names_of_keys_and_masks_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_API_KEYS", f"a:{GOOD} b/c:{DEAD}")
    monkeypatch.setenv("ACCESS_TOKENS", f"team:{TOKEN} team:{TOKEN}2")
    monkeypatch.setenv("FALLBACKS", "x=y|z")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example https://b.example")
    monkeypatch.setenv("HEAD_DEADLINE", "500ms")
    monkeypatch.setenv("SANDBOX", "yes")
    code, out, _ = run("settings")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()}
    assert code == 0
    assert set(rows) == {"NAME"} | {each.name for each in described()}
    assert (rows["POE_API_KEYS"], rows["ACCESS_TOKENS"]) == ("a:***,b/c:***", "team:***")
    assert (rows["FALLBACKS"], rows["CORS_ORIGINS"]) == ("x=y|z", "https://a.example,https://b.example")
    assert (rows["HEAD_DEADLINE"], rows["SANDBOX"], rows["MAX_BODY"]) == ("0.5", "1", "20971520")
    assert rows["CONFIG_FILE"] == "–"


def test_settings_as_json_describes_whatever_is_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "nonsense")
    code, out, _ = run("settings", "--json")
    listed = json.loads(out)
    assert code == 0
    assert [set(each) for each in listed] == [{"name", "default", "meaning", "secret"}] * len(described())
    assert {each["name"] for each in listed if each["secret"]} == {"POE_API_KEYS", "ACCESS_TOKENS"}
    assert {each["name"]: each["default"] for each in listed}["REST_MAX"] == "10m"


def test_a_malformed_setting_is_one_line_and_78(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_API_KEYS", f"a:{GOOD},b:{GOOD}")
    assert run("settings") == (78, "", "POE_API_KEYS: `b` (item 2) is the same key as `a`\n")


def test_good_keys_are_alive_with_their_points(run: Run, poe: None) -> None:
    code, out, _ = run("check", "--keys", "-", stdin=f"ann/x:{GOOD}\n")
    assert code == 0
    assert json.loads(out) == [
        {"name": "ann/x", "account": "ann", "well_formed": True, "alive": True, "points": 42, "problem": None}
    ]


def test_each_bad_key_is_told_by_name(run: Run, poe: None) -> None:
    code, out, _ = run("check", "--keys", "-", stdin=f"a:{GOOD},b:{DEAD},c:your-api-key,,d:{GOOD}")
    told = results(out)
    assert code == 1
    assert [(name, each["well_formed"], each["alive"]) for name, each in told.items()] == [
        ("a", True, True),
        ("b", True, False),
        ("c", False, None),
        ("item 4", False, None),
        ("d", False, None),
    ]
    assert told["b"]["problem"] == "`b` (item 2): Poe does not accept this key."
    assert told["d"]["problem"] == "`d` (item 5) is the same key as `a`"


def test_offline_asks_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_BASE_URL", "http://127.0.0.1:1")
    code, out, _ = run("check", "--keys", "-", "--offline", stdin=GOOD)
    (told,) = json.loads(out)
    assert (code, told["alive"], told["name"]) == (0, None, f"key-{sha256(GOOD.encode()).hexdigest()[:6]}")


def test_a_poe_that_is_away_says_nothing_of_the_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_BASE_URL", "http://127.0.0.1:1")
    code, out, _ = run("check", "--keys", "-", stdin=f"a:{GOOD}")
    told = results(out)["a"]
    assert (code, told["alive"]) == (1, None)
    assert told["problem"].startswith("`a` (item 1): ")
    assert "could not be reached" in told["problem"]


def test_a_bad_key_without_a_name_is_found_by_its_place(run: Run, poe: None) -> None:
    _, out, _ = run("check", "--keys", "-", stdin=f"a:{GOOD}\n{DEAD}\n")
    name = f"key-{sha256(DEAD.encode()).hexdigest()[:6]}"
    assert results(out)[name]["problem"] == f"`{name}` (item 2): Poe does not accept this key."


def test_keys_are_checked_although_those_of_the_environment_are_bad(
    run: Run, poe: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POE_API_KEYS", "your-api-key")
    monkeypatch.setenv("ACCESS_TOKENS", "short")
    assert run("check", "--keys", "-", stdin=GOOD)[0] == 0


def test_an_address_of_poe_that_is_none_is_78(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_BASE_URL", "poe")
    code, _, err = run("check", "--keys", "-", stdin=GOOD)
    assert (code, err) == (78, "POE_BASE_URL: is no URL that begins with https:// or http://\n")


def test_tokens_are_told_by_tenant_with_digest_and_end(run: Run) -> None:
    code, out, _ = run("check", "--tokens", "-", stdin=f"red:{TOKEN}@2026-12-01T00:00Z\nblue:{TOKEN}2\r\n")
    assert code == 0
    assert json.loads(out) == [
        {
            "name": "red",
            "well_formed": True,
            "digest": f"sha256-{sha256(TOKEN.encode()).hexdigest()}",
            "ends": 1796083200.0,
            "problem": None,
        },
        {
            "name": "blue",
            "well_formed": True,
            "digest": f"sha256-{sha256(f'{TOKEN}2'.encode()).hexdigest()}",
            "ends": None,
            "problem": None,
        },
    ]


def test_a_bad_token_is_told_by_tenant(run: Run) -> None:
    code, out, _ = run("check", "--tokens", "-", stdin="red:short")
    assert (code, json.loads(out)[0]["digest"]) == (1, None)
    assert json.loads(out)[0]["problem"].startswith("`red` (item 1) is shorter than 16 characters")


@pytest.mark.parametrize(("stdin", "problem"), [(b" \n", "is empty"), (b"\xff", "is not UTF-8")])
def test_without_a_text_there_is_nothing_to_check(run: Run, stdin: bytes, problem: str) -> None:
    assert run("check", "--keys", "-", stdin=stdin) == (1, "", f"standard input {problem}\n")


def test_a_byte_order_mark_is_no_part_of_a_name(run: Run) -> None:
    _, out, _ = run("check", "--tokens", "-", stdin=b"\xef\xbb\xbfred:" + TOKEN.encode())
    assert list(results(out)) == ["red"]


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["check"],
        ["check", "--keys", GOOD],
        ["check", "--keys", "-", GOOD],
        [GOOD],
        ["check", "--keys", "-", "--tokens", "-"],
        ["settings", "--js"],
    ],
)
def test_wrong_use_is_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert GOOD not in capsys.readouterr().err


def test_the_settings_are_read_without_heavy_imports(root: Path) -> None:
    """They are read before anything is served, and infra asks for them often."""
    code = "import sys, service.cli, service.settings; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert not {"aiohttp", "fastapi", "pydantic", "uvicorn", "fastapi_poe"} & set(loaded.split())
