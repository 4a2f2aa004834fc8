"""Response headers as Poe sends them, the leaky ones included."""

from __future__ import annotations

import secrets

from service.sandbox.accounts import SandboxAccount


def poe_headers(*, seconds: float, account: SandboxAccount | None = None, with_rates: bool = False) -> dict[str, str]:
    """Headers of a REST answer that took so long.

    `set-cookie` and `x-q-stat` (which holds an address) are what a proxy must not pass on; rate headers are optional
    (poe.md 4.6). The cookie's and the address's values are made up.
    """
    headers = {
        "access-control-allow-headers": "Authorization, Content-Type",
        "access-control-allow-origin": "*",
        "openai-processing-ms": str(int(seconds * 1000)),
        "openai-version": "2020-10-01",
        "x-request-id": f"req_poe_{secrets.token_hex(16)}",
        "x-poe-feature-active": "chat-completions-strict",
        "x-q-stat": f",{secrets.token_hex(16)},192.0.2.44,443,sandbox",
        "set-cookie": f"__cf_bm={secrets.token_urlsafe(24)}; path=/; HttpOnly; Secure; SameSite=None",
        "cf-ray": f"{secrets.token_hex(8)}-NRT",
    }
    if with_rates and account is not None:
        left = account.remaining()
        headers["x-ratelimit-limit-requests"] = str(account.requests_per_minute or 500)
        headers["x-ratelimit-remaining-requests"] = str(499 if left is None else left)
        headers["x-ratelimit-reset-requests"] = "60"
    return headers
