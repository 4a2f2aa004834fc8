"""`GET /usage/current_balance` and `/usage/points_history` (poe.md 7)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.sandbox.http import secret_of
from service.sandbox.poe_errors import Refused, invalid
from service.sandbox.state import Sandbox

_DEFAULT_ROWS = 20
_MOST_ROWS = 100


class UsageEndpoints:
    """Both endpoints; asking costs nothing, and a dry account may ask."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def balance(self, request: Request) -> Response:
        """The documented member only; other clients have seen more (poe.md 7)."""
        try:
            account = self._sandbox.account(secret_of(request.scope))
        except Refused as refused:
            return JSONResponse(refused.body, refused.status)
        return JSONResponse({"current_point_balance": account.points})

    async def history(self, request: Request) -> Response:
        """One page, newest row first. What a wrong limit or cursor brings is a guess."""
        try:
            account = self._sandbox.account(secret_of(request.scope))
            limit = request.query_params.get("limit", str(_DEFAULT_ROWS))
            if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_ROWS:
                raise invalid(f"Invalid 'limit': expected an integer between 1 and {_MOST_ROWS}.")
            page = account.page(
                limit=int(limit),
                after=request.query_params.get("starting_after"),
                now=self._sandbox.clock(),
                lag_seconds=self._sandbox.points_lag_seconds,
            )
            if page is None:
                raise invalid("Invalid 'starting_after': no such query.")
        except Refused as refused:
            return JSONResponse(refused.body, refused.status)
        return JSONResponse(page)
