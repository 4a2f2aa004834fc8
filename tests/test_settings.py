"""Settings come from overrides, environment, file and defaults, in that order, and a bad one is named in one line."""

from __future__ import annotations

import dataclasses
import logging
import re
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import settings as module
from service.settings import ModelOverride, Settings, SettingsError, check_serving, described, load

KEY = "Zq3vT8pLw5Xk2Nf7Rb9Yc4Hd6Jg1Ms0A"
TOKEN = "tok-7f3a9c2e5b8d1046"


def problem_with(environ: dict[str, str]) -> str:
    """What `load` says against an environment; empty if nothing."""
    try:
        load(environ)
    except SettingsError as problem:
        return str(problem)
    return ""


def config(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "proxy.toml"
    file.write_text(text, "utf-8")
    return {"CONFIG_FILE": str(file)}


def test_without_anything_set_the_documented_defaults_hold() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.metrics_port, settings.sandbox) == ("0.0.0.0", 8080, 9091, False)
    assert (settings.poe_base_url, settings.head_deadline, settings.keepalive) == ("https://api.poe.com", 10.0, 10.0)
    assert (settings.first_event_timeout, settings.answer_timeout, settings.idle_timeout) == (60.0, 300.0, 60.0)
    assert (settings.total_timeout, settings.max_attempts, settings.rest_max) == (900.0, 0, 600.0)
    assert (settings.key_strategy, settings.poe_limit_per_minute) == ("round_robin", 500)
    assert (settings.queue_length, settings.queue_wait) == (100, 10.0)
    assert (settings.max_body, settings.max_body_total, settings.max_header) == (20 << 20, 64 << 20, 64 << 10)
    assert (settings.read_timeout, settings.max_streams, settings.drain_timeout) == (30.0, 2000, 280.0)
    assert (settings.unknown_models, settings.log_level, settings.log_format) == ("try", "info", "json")
    assert (settings.poe_api_keys, settings.access_tokens, settings.cors_origins) == ((), (), ())
    assert (settings.fallbacks, settings.models) == ({}, {})


def test_every_setting_that_takes_effect_is_there_and_described() -> None:
    names = """
        POE_API_KEYS ACCESS_TOKENS HOST PORT METRICS_PORT SANDBOX CONFIG_FILE POE_BASE_URL POE_UPLOAD_URL
        HEAD_DEADLINE KEEPALIVE FIRST_EVENT_TIMEOUT ANSWER_TIMEOUT IDLE_TIMEOUT TOTAL_TIMEOUT MAX_ATTEMPTS REST_MAX
        KEY_STRATEGY QUEUE_LENGTH QUEUE_WAIT POE_LIMIT_PER_MINUTE
        UNKNOWN_MODELS MAX_BODY MAX_BODY_TOTAL MAX_HEADER READ_TIMEOUT MAX_STREAMS FALLBACKS CORS_ORIGINS DRAIN_TIMEOUT
        LOG_LEVEL LOG_FORMAT BREAKER_FAILURES RECOVERY
    """
    assert {each.name for each in described()} == set(re.findall(r"\w+", names))
    assert {each.name for each in described() if each.secret} == {"POE_API_KEYS", "ACCESS_TOKENS"}
    assert all(len(each.meaning) > 5 for each in described())


def test_a_default_reads_as_itself() -> None:
    defaults = {each.name: each.default for each in described() if each.default}
    assert load(defaults) == load({})


def test_every_value_has_the_type_that_its_field_promises() -> None:
    hints = typing.get_type_hints(Settings)
    settings = load({"FALLBACKS": "a=b", "CORS_ORIGINS": "*", "POE_API_KEYS": KEY, "ACCESS_TOKENS": TOKEN})
    for each in dataclasses.fields(settings):
        kind = typing.get_origin(hints[each.name]) or hints[each.name]
        value = getattr(settings, each.name)
        if kind is typing.Literal:
            assert value in typing.get_args(hints[each.name])
        else:
            assert isinstance(value, kind), each.name


def test_overrides_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    given_file = config(tmp_path, "port = 1\nmetrics_port = 2\nkeepalive = 3\nhead_deadline = '4s'\n")
    settings = load({**given_file, "PORT": "10", "METRICS_PORT": "20", "KEEPALIVE": " "}, overrides={"PORT": "100"})
    assert (settings.port, settings.metrics_port, settings.keepalive, settings.head_deadline) == (100, 20, 3.0, 4.0)


def test_a_blank_value_is_as_good_as_none() -> None:
    assert load({"POE_API_KEYS": "", "PORT": " \n", "FALLBACKS": ""}) == load({})


def test_an_empty_override_takes_a_value_away() -> None:
    assert load({"POE_API_KEYS": "your-key"}, overrides={"POE_API_KEYS": ""}).poe_api_keys == ()


def test_variables_that_are_no_settings_are_ignored() -> None:
    assert load({"PATH": "/bin", "ADMIN_TOKEN": "nonsense", "port": "x", "MODELS": "x"}) == load({})


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "4711")
    assert load().port == 4711


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PORT", "http", "PORT: 'http' is no whole number from 0 to 65535"),
        ("PORT", "65536", "PORT: '65536' is no whole number from 0 to 65535"),
        ("KEEPALIVE", "0", "KEEPALIVE: must be above 0"),
        ("TOTAL_TIMEOUT", "10 years", "TOTAL_TIMEOUT: '10 years' is no duration"),
        ("MAX_BODY", "1GB", "MAX_BODY: '1GB' is no size"),
        ("MAX_BODY", "65MiB", "MAX_BODY is above MAX_BODY_TOTAL"),
        ("METRICS_PORT", "8080", "PORT and METRICS_PORT are both 8080"),
        ("SANDBOX", "maybe", "SANDBOX: 'maybe' is neither 1 nor 0"),
        ("KEY_STRATEGY", "random", "KEY_STRATEGY: 'random' is none of round_robin, least_busy, sticky"),
        ("QUEUE_LENGTH", "100001", "QUEUE_LENGTH: '100001' is no whole number from 0 to 100000"),
        ("QUEUE_WAIT", "long", "QUEUE_WAIT: 'long' is no duration"),
        ("POE_LIMIT_PER_MINUTE", "0", "POE_LIMIT_PER_MINUTE: '0' is no whole number from 1 to 1000000"),
        ("POE_API_KEYS", ",".join(f"k{n}" for n in range(1001)), "POE_API_KEYS: 1001 items are too many; at most 1000"),
        ("UNKNOWN_MODELS", "ask", "UNKNOWN_MODELS: 'ask' is none of try, refuse"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: 'loud' is none of debug, info, warning, error"),
        ("HOST", "http://x", "HOST: 'http://x' is no address to listen on"),
        ("POE_BASE_URL", "api.poe.com", "POE_BASE_URL: is no URL that begins with https:// or http://"),
        ("POE_BASE_URL", "https://", "POE_BASE_URL: is no URL"),
        ("POE_BASE_URL", "https://x:port", "POE_BASE_URL: is no URL"),
        ("POE_BASE_URL", "https://[::1", "POE_BASE_URL: is no URL"),
        ("POE_BASE_URL", "https://a\\b", "POE_BASE_URL: is no URL"),
        ("POE_BASE_URL", "https://api.poe.com/v1/", "POE_BASE_URL: ends in /v1"),
        ("POE_UPLOAD_URL", "https://me:hunter2@x", "POE_UPLOAD_URL: may hold neither a password"),
        ("CORS_ORIGINS", "https://a.example/path", "CORS_ORIGINS: 'https://a.example/path' is no origin"),
        ("CORS_ORIGINS", "*,https://a.example", "CORS_ORIGINS: is either * or a list of origins"),
        ("FALLBACKS", "a", "FALLBACKS: is not written as model=other|third,model2=other"),
        ("FALLBACKS", "a=b||c", "FALLBACKS: is not written as"),
        ("FALLBACKS", "a=b=c", "FALLBACKS: is not written as"),
        ("FALLBACKS", "=b", "FALLBACKS: is not written as"),
        ("FALLBACKS", "a=b,A=c", "FALLBACKS: 'A' is there twice"),
        ("FALLBACKS", "a=b|A", "FALLBACKS: 'a' falls back on itself"),
        ("POE_API_KEYS", "a:your-api-key-1", "POE_API_KEYS: `a` (item 1) is a placeholder"),
        ("ACCESS_TOKENS", "short", "ACCESS_TOKENS: `tenant-f9b007` (item 1) is shorter than 16 characters; make one"),
        ("CONFIG_FILE", "/no/such/file.toml", "CONFIG_FILE '/no/such/file.toml': cannot be read"),
        ("CONFIG_FILE", "nul\x00", "CONFIG_FILE 'nul\\x00': cannot be read"),
    ],
)
def test_a_malformed_setting_is_named_in_one_line(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)) as caught:
        load({name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hed_deadline = 1", "`hed_deadline` is no setting; did you mean `head_deadline`?"),
        ("PORT = 1", "`PORT` is no setting; did you mean `port`?"),
        ("wholly_unknown = 1", "`wholly_unknown` is no setting"),
        ("config_file = 'x'", "`config_file` is no setting"),
        ("access_tokens = 'x'", "`access_tokens` is a secret, which no file should hold; set ACCESS_TOKENS"),
        (f"poe_api_keys = ['{KEY}']", "`poe_api_keys` is a secret"),
        ("port = 'x'", "`port`: 'x' is no whole number"),
        ("port = true", "`port`: 'true' is no whole number"),
        ("keepalive = nan", "`keepalive`: 'nan' is no duration"),
        ("port = {a = 1}", "`port` is neither a text, a number, a switch nor a list of texts"),
        ("port = 1979-05-27", "`port` is neither"),
        ("cors_origins = [1]", "`cors_origins` is neither"),
        ("port = ", "is not TOML"),
        ("[fallbacks]\na = 'b'", '`fallbacks.a` is not written as ["other", "third"]'),
        ("[fallbacks]\na = []", "`fallbacks.a` is not written as"),
        ("[fallbacks]\na = [1]", "`fallbacks` is not written as"),
        ("[fallbacks]\na = ['A']", "`fallbacks` 'a' falls back on itself"),
        ("[models.x]\nwired = 'bot'", "`models.x.wired` is no setting; did you mean `wire`?"),
        ("[models.x]\nwire = 'messages'", "`models.x.wire`: 'messages' is none of bot, chat"),
        ("[models.x]\nfirst_event_timeout = 0", "`models.x.first_event_timeout`: must be above 0"),
        ("[models.x]\n[models.X]", "`models.X` is there twice"),
        ("[models]\nx = 1", "`models.x` is no table"),
        ("models = 1", "`models` is no table"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)) as caught:
        load(config(tmp_path, text))
    assert str(caught.value).startswith("CONFIG_FILE ")
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_file_may_hold_everything_else(tmp_path: Path) -> None:
    settings = load(
        config(
            tmp_path,
            """
            sandbox = true
            max_body = "1MiB"
            idle_timeout = 0.5
            cors_origins = ["https://A.example/", "http://localhost:3000"]
            [fallbacks]
            "Claude Sonnet" = ["GPT-5", "o3"]
            [models."Some/Model 1.5"]
            wire = "bot"
            first_event_timeout = "2m"
            [models.slow]
            answer_timeout = 1200
            """,
        )
    )
    assert (settings.sandbox, settings.max_body, settings.idle_timeout) == (True, 1 << 20, 0.5)
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.fallbacks == {"claude sonnet": ("GPT-5", "o3")}
    assert settings.models == {
        "some/model 1.5": ModelOverride(wire="bot", first_event_timeout=120.0),
        "slow": ModelOverride(answer_timeout=1200.0),
    }


def test_a_file_may_write_fallbacks_as_the_environment_does(tmp_path: Path) -> None:
    assert load(config(tmp_path, "fallbacks = 'a=b'")).fallbacks == {"a": ("b",)}


def test_fallbacks_of_the_environment_replace_those_of_the_file(tmp_path: Path) -> None:
    environ = {**config(tmp_path, "[fallbacks]\na = ['b']"), "FALLBACKS": "GPT-5 = o3 | o1,\nb=c d=e"}
    assert load(environ).fallbacks == {"gpt-5": ("o3", "o1"), "b": ("c",), "d": ("e",)}


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(SettingsError, match="larger than"):
        load({"CONFIG_FILE": str(file)})
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        load({"CONFIG_FILE": str(file)})


def test_urls_lose_their_trailing_slash() -> None:
    assert load({"POE_BASE_URL": "http://127.0.0.1:9000/poe/"}).poe_base_url == "http://127.0.0.1:9000/poe"


def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    settings = load({"POE_API_KEYS": f"mine:{KEY}", "ACCESS_TOKENS": f"team:{TOKEN}"})
    digest = settings.access_tokens[0].digest
    logging.getLogger("test").warning("%s %r %s", settings, settings, dataclasses.replace(settings, port=1))
    for shown in (caplog.text, repr(settings.poe_api_keys), repr(settings.access_tokens)):
        assert KEY not in shown
        assert TOKEN not in shown
        assert digest.hex() not in shown
        assert repr(digest) not in shown
    assert settings.poe_api_keys[0].secret == KEY


def test_no_malformed_secret_shows_itself() -> None:
    for value in (f"a:{KEY},b:{KEY}", f"'{KEY}'", f"a:{KEY} a:{KEY}x", f"{KEY}é", f"your-{KEY}", KEY[:12]):
        for name in ("POE_API_KEYS", "ACCESS_TOKENS"):
            assert KEY[:12] not in problem_with({name: value})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load({}).port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        load({"FALLBACKS": "a=b"}).fallbacks["a"] = ()  # type: ignore[index]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, "POE_API_KEYS is not set"),
        ({"POE_API_KEYS": KEY}, "ACCESS_TOKENS is not set, and HOST=0.0.0.0 can be reached from outside; make one"),
        ({"SANDBOX": "1", "HOST": "::"}, "ACCESS_TOKENS is not set, and HOST=::"),
        ({"POE_API_KEYS": KEY, "HOST": "poe.internal"}, "ACCESS_TOKENS is not set"),
    ],
)
def test_a_server_needs_an_upstream_and_a_door(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        check_serving(load(environ))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_on_loopback_no_token_is_needed(host: str) -> None:
    check_serving(load({"SANDBOX": "1", "HOST": host}))


def test_with_a_token_any_address_will_do() -> None:
    check_serving(load({"POE_API_KEYS": KEY, "ACCESS_TOKENS": TOKEN}))


def test_the_machine_is_told_by_fly() -> None:
    placed = module.placement({"FLY_IMAGE_REF": "registry/app:1", "FLY_MACHINE_ID": "e28", "FLY_REGION": "nrt"})
    assert (placed.image, placed.machine, placed.region) == ("registry/app:1", "e28", "nrt")
    assert module.placement({}).machine == ""


@given(st.sampled_from([each.name for each in described()]), st.text(st.characters(exclude_characters="\x00")))
def test_any_value_is_read_or_refused_in_one_line(name: str, value: str) -> None:
    problem = problem_with({name: value})
    assert not problem or problem.startswith((name, "PORT", "MAX_BODY"))
    assert len(problem.splitlines()) <= 1
