"""Every setting: its name, type, default and meaning; and the one place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from service.values import specs, units
from service.values.file import ModelOverride, read_fallbacks, read_file
from service.values.specs import KeySpec, TokenSpec

__all__ = ["KeySpec", "ModelOverride", "Placement", "Settings", "SettingsError", "TokenSpec"]

EXIT_BAD_SETTINGS: Final = 78
"""EX_CONFIG of sysexits.h."""
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


Recovery = Literal["auto", "off", "verified", "whole"]
RECOVERIES: tuple[Recovery, ...] = ("auto", "off", "verified", "whole")


class SettingsError(ValueError):
    """A setting that cannot be used: one line that names it and holds no secret."""


def _setting(default: str, read: Callable[[str], Any], meaning: str, *, empty: Any = "", secret: bool = False) -> Any:
    """A field that `load` fills. `default` is written as an operator would write it; without one it is `empty`."""
    notes = {"default": default, "read": read, "meaning": meaning, "secret": secret}
    value = read(default) if default else empty
    return field(default_factory=lambda: value, metadata=notes, repr=not secret)


def _text(text: str) -> str:
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z._:%-]{1,255}", text):
        raise ValueError(f"{units.quoted(text)} is no address to listen on")
    return text


def _url(text: str) -> str:
    """A URL without its trailing slash. It may hold a password, so that no error shows it."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise ValueError("is no URL that begins with https:// or http://")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError("may hold neither a password nor a ? nor a #")
    return text.rstrip("/")


def _base_url(text: str) -> str:
    url = _url(text)
    if url.endswith("/v1"):
        raise ValueError("ends in /v1; give the part before it")
    return url


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(item.rstrip("/").lower() for item in units.items(text))
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-.0-9:;=a-z\[\]_~]+", origin):
            raise ValueError(f"{units.quoted(origin)} is no origin like https://chat.example.com")
    if "*" in origins and len(origins) > 1:
        raise ValueError("is either * or a list of origins")
    return origins


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings that take effect. Durations are in seconds, sizes in bytes.

    The models that `fallbacks` and `models` speak of are lower case; what `fallbacks` names instead is as written.
    """

    poe_api_keys: tuple[KeySpec, ...] = _setting(
        "",
        specs.keys,
        "Poe keys, separated by commas or newlines: KEY, NAME:KEY, or ACCOUNT/NAME:KEY where an account has several",
        empty=(),
        secret=True,
    )
    access_tokens: tuple[TokenSpec, ...] = _setting(
        "",
        specs.tokens,
        "tokens that callers show: TOKEN, NAME:TOKEN (the name is the tenant) or NAME:sha256-HEX; "
        "@2026-12-01T00:00Z after either ends it",
        empty=(),
        secret=True,
    )
    host: str = _setting("0.0.0.0", _host, "address to listen on; without ACCESS_TOKENS only a loopback one")  # noqa: S104 - a container listens on all
    port: int = _setting("8080", units.whole(0, 65535), "port to listen on")
    metrics_port: int = _setting("9091", units.whole(0, 65535), "port of the Prometheus metrics, on HOST; 0: off")
    sandbox: bool = _setting("0", units.switch, "1: serve the sandbox, a local Poe, whatever the keys")
    config_file: str = _setting("", _text, "TOML file of settings in lower case; no secret belongs in it")
    poe_base_url: str = _setting("https://api.poe.com", _base_url, "where Poe's API is")
    poe_upload_url: str = _setting(
        "https://www.quora.com/poe_api/file_upload_3RD_PARTY_POST", _url, "where attachments are uploaded"
    )
    head_deadline: float = _setting(
        "10", units.seconds_or_zero, "seconds that the HTTP head of a stream waits for the first visible event"
    )
    keepalive: float = _setting("10", units.seconds, "seconds between keep-alive comments")
    first_event_timeout: float = _setting(
        "60", units.seconds, "seconds from sending an upstream request that streams to its first sign of work"
    )
    answer_timeout: float = _setting(
        "300", units.seconds, "seconds to the first visible event, and to a whole answer of a wire that shows none"
    )
    idle_timeout: float = _setting("60", units.seconds, "seconds between two upstream events after the first visible")
    total_timeout: float = _setting("900", units.seconds, "seconds for one request, all attempts together")
    max_attempts: int = _setting(
        "0", units.whole(0, 1000), "attempts of one request; 0: as many as there are keys, wires and fallbacks"
    )
    key_strategy: str = _setting(
        "round_robin",
        units.one_of(("round_robin", "least_busy", "sticky")),
        "which key comes next: round_robin, least_busy, or sticky (a conversation stays on its key)",
    )
    queue_length: int = _setting("100", units.whole(0, 100_000), "requests that may wait for a free slot of a key")
    queue_wait: float = _setting("10", units.seconds_or_zero, "seconds that a request may wait for a free slot")
    poe_limit_per_minute: int = _setting(
        "500", units.whole(1, 1_000_000), "requests a minute of each account, until Poe names another number"
    )
    rest_max: float = _setting("10m", units.seconds, "longest rest of a key where Poe names no time, in seconds")
    breaker_failures: int = _setting(
        "5", units.whole(0, 1000), "requests in a row that one model fails on one wire before it rests; 0: never"
    )
    recovery: Literal["auto", "off", "verified", "whole"] = _setting(
        "auto", units.one_of(RECOVERIES), "what follows a cut after the first visible event: auto, off, verified, whole"
    )
    unknown_models: Literal["try", "refuse"] = _setting(
        "try", units.one_of(("try", "refuse")), "a model that is not in the catalogue: try it as a bot, or refuse it"
    )
    max_body: int = _setting("20MiB", units.size, "bytes of one request body; over it: 413")
    max_body_total: int = _setting("64MiB", units.size, "bytes of all request bodies in flight; over it: 503")
    max_header: int = _setting("64KiB", units.size, "bytes of the head of a request; over it: 431")
    read_timeout: float = _setting("30", units.seconds, "seconds in which a head or a body must arrive; over it: 408")
    max_streams: int = _setting("2000", units.whole(1, 1_000_000), "open requests on this process; over it: 503")
    fallbacks: Mapping[str, tuple[str, ...]] = _setting(
        "", read_fallbacks, "models that take over: model=other|third,model2=other", empty=_NOTHING
    )
    cors_origins: tuple[str, ...] = _setting("", _origins, "origins of browser clients, or *", empty=())
    drain_timeout: float = _setting("280", units.seconds_or_zero, "seconds that SIGTERM waits for open streams")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", units.one_of(("debug", "info", "warning", "error")), "debug, info, warning or error"
    )
    log_format: Literal["json", "text"] = _setting("json", units.one_of(("json", "text")), "json or text")
    models: Mapping[str, ModelOverride] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Described:
    """One setting in words: `name` as the environment knows it, `default` as one would write it."""

    name: str
    default: str
    meaning: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where Fly.io runs this process, for `/ready`; empty elsewhere."""

    image: str
    machine: str
    region: str


_READERS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {each.name: each.metadata["read"] for each in fields(Settings) if each.metadata}
)
_SECRETS: Final = tuple(each.name for each in fields(Settings) if each.metadata.get("secret"))


def described() -> tuple[Described, ...]:
    """Every setting in words."""
    return tuple(
        Described(each.name.upper(), each.metadata["default"], each.metadata["meaning"], each.metadata["secret"])
        for each in fields(Settings)
        if each.metadata
    )


def load(environ: Mapping[str, str] | None = None, *, overrides: Mapping[str, str] = _NOTHING) -> Settings:
    """The settings: `overrides` before the environment, that before the file, that before the defaults.

    Names are upper case. A blank value is as good as none. Raises `SettingsError`.
    """
    given = {**(os.environ if environ is None else environ), **overrides}
    texts = {name: given.get(name.upper(), "").strip() for name in _READERS}
    values: dict[str, Any] = {}
    if path := texts["config_file"]:
        values |= _values_of_file(path)
    for name, text in texts.items():
        if text:
            values[name] = _value(name.upper(), name, text)
    settings = Settings(**values)
    _refuse_contradictions(settings)
    return settings


def placement(environ: Mapping[str, str] | None = None) -> Placement:
    """Where this process runs, from Fly's own variables."""
    given = os.environ if environ is None else environ
    return Placement(given.get("FLY_IMAGE_REF", ""), given.get("FLY_MACHINE_ID", ""), given.get("FLY_REGION", ""))


def check_serving(settings: Settings) -> None:
    """Raise `SettingsError` for what only a server must have: an upstream, and a door that is not open to all."""
    if not settings.poe_api_keys and not settings.sandbox:
        raise SettingsError("POE_API_KEYS is not set: give at least one Poe key, or SANDBOX=1 for a local Poe")
    if not settings.access_tokens and not is_loopback(settings.host):
        raise SettingsError(
            f"ACCESS_TOKENS is not set, and HOST={settings.host} can be reached from outside; {specs.HOW_TO_MAKE_ONE}"
        )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _values_of_file(path: str) -> dict[str, Any]:
    try:
        file = read_file(path, names=_READERS.keys() - {*_SECRETS, "config_file"}, secrets=_SECRETS)
    except ValueError as problem:
        raise SettingsError(f"CONFIG_FILE {units.quoted(path)}: {problem}") from None
    where = f"CONFIG_FILE {units.quoted(path)}: "
    values = {name: _value(f"{where}`{name}`", name, text) for name, text in file.texts.items() if text}
    if file.fallbacks is not None:
        values["fallbacks"] = file.fallbacks
    values["models"] = file.models
    return values


def _value(label: str, name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except ValueError as problem:
        raise SettingsError(f"{label}: {problem}") from None


def _refuse_contradictions(settings: Settings) -> None:
    if settings.max_body > settings.max_body_total:
        raise SettingsError("MAX_BODY is above MAX_BODY_TOTAL, so that no such body could ever be taken")
    if settings.port and settings.port == settings.metrics_port:
        raise SettingsError(f"PORT and METRICS_PORT are both {settings.port}; METRICS_PORT=0 switches the metrics off")
