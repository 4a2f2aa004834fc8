"""The environment of the programs that tasks run: named variables only, so that no secret of ours reaches a child."""

from __future__ import annotations

from collections.abc import Mapping

SECRETS = (
    "POE_API_KEYS",
    "ACCESS_TOKENS",
    "FLY_API_TOKEN",
    "FLY_ACCESS_TOKEN",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "CLOUDFLARE_API_TOKEN",
    "GRAFANA_AUTH",
    "PLAN_GITHUB_TOKEN",
)
"""What a shell may hold and a program that is not about it must not see; `./dev` has the same list."""
_EVERYWHERE = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TMPDIR",
        "TEMP",
        "TMP",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TERM",
        "SYSTEMROOT",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CI",
        "GITHUB_ACTIONS",
    ]
)
# What points flyctl elsewhere. LOG_LEVEL prints secrets, FLY_APP, FLY_ORG, FLY_REGION and FLY_JSON change what it does.
_FLYCTL = frozenset(
    ["FLY_API_TOKEN", "FLY_API_BASE_URL", "FLY_FLAPS_BASE_URL", "FLY_UIEX_BASE_URL", "FLY_REGISTRY_HOST", "DOCKER_HOST"]
)
_GH = frozenset(["GH_TOKEN", "GITHUB_TOKEN", "GH_HOST", "GH_REPO", "GH_CONFIG_DIR", "XDG_DATA_HOME", "XDG_STATE_HOME"])
_BROWSER = frozenset(
    [
        "BROWSER",
        "DBUS_SESSION_BUS_ADDRESS",
        "DESKTOP_SESSION",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "XDG_CURRENT_DESKTOP",
        "XDG_DATA_DIRS",
        "XDG_RUNTIME_DIR",
    ]
)
_SERVICE = frozenset(["POE_BASE_URL", "VIRTUAL_ENV"])


def for_flyctl(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """Quiet, without telemetry and traces (which carry the token), with `folder` as its configuration."""
    return {
        **_chosen(environ, _EVERYWHERE | _FLYCTL),
        "FLY_CONFIG_DIR": folder,
        "FLY_NO_UPDATE_CHECK": "1",
        "FLY_NO_INCIDENTS_CHECK": "1",
        "FLY_SEND_METRICS": "0",
        "FLY_SYNTHETICS_AGENT": "0",
        "FLY_TRACE_COLLECTOR_URL": "127.0.0.1",
        "NO_COLOR": "1",
    }


def for_gh(environ: Mapping[str, str]) -> dict[str, str]:
    """GitHub's command line, which may ask nothing."""
    quiet = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
    return {**_chosen(environ, _EVERYWHERE | _GH), **quiet}


def for_service(environ: Mapping[str, str]) -> dict[str, str]:
    """`python -m service`, which must not read the keys of this shell instead of those it is given."""
    return _chosen(environ, _EVERYWHERE | _SERVICE)


def for_anything(environ: Mapping[str, str]) -> dict[str, str]:
    """git and the like."""
    return _chosen(environ, _EVERYWHERE)


def for_browser(environ: Mapping[str, str]) -> dict[str, str]:
    """What opens a page for its owner."""
    return _chosen(environ, _EVERYWHERE | _BROWSER)


def for_development(environ: Mapping[str, str]) -> dict[str, str]:
    """Linters, tests and measurements: everything but `SECRETS`, which they neither need nor should see."""
    return {name: value for name, value in environ.items() if name not in SECRETS}


def _chosen(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    # A token out of a file brings its line break along, which no header takes.
    return {name: value.strip() for name, value in environ.items() if name in names or name.startswith("LC_")}
