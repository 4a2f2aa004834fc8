"""The gateway: one prompt in, one answer's events out, whatever keys, wires and fallback models that takes.

The first visible event commits an answer. Until it, a failed attempt gives way to the next one and nobody learns of
it; after it, a failure is the caller's to know, and no second attempt may speak (architecture, rule 2).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from service.access.tokens import Tokens
from service.attempts import A_KEYS_OWN, Attempts, Means
from service.deadline import Deadlines
from service.errors import POLICY, Failure, Refusal
from service.events import Event
from service.frozen import frozen
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.observe.record import Record
from service.prompt import Prompt
from service.routing.route import WireName
from service.settings import Placement, Recovery
from service.stages import format as formats
from service.stages.commit import Passage
from service.stages.recovery import DivergedError
from service.stages.shaping import Shaper
from service.wires.call import UpstreamCall

TELL_SECONDS = 0.1
MAX_ENDED = 256
"""Requests that may have ended without their line being written."""
COUNTED = frozenset({"chat", "models"})


@frozen
class Wishes:
    """What the headers of a request ask of the gateway, where they do."""

    wire: WireName | None = None
    recovery: Recovery | None = None


NO_WISHES = Wishes()


class Wire(Protocol):
    """What the gateway asks of a wire."""

    def stream(self, call: UpstreamCall) -> AsyncGenerator[list[Event], None]:
        """Answer `call` in events; raise `Failure`; let go of the upstream when closed."""


class Gateway:
    """Everything that outlives a request, and the one way to answer one."""

    def __init__(
        self,
        means: Means,
        wires: Mapping[WireName, Wire],
        metrics: Metrics,
        tokens: Tokens,
        log: Log,
        placement: Placement,
        deadlines: Deadlines,
    ) -> None:
        self.means = means
        self.settings = means.settings
        self.catalogue = means.catalogue
        self.pool = means.pool
        self.wires = wires
        self.metrics = metrics
        self.tokens = tokens
        self.log = log
        self.placement = placement
        self.deadlines = deadlines
        self.draining = False
        self.expired = False
        """The drain has lasted long enough: what is cancelled from now on is cancelled by us."""
        self.sandboxed = False
        self._ended: list[Record] = []
        self.open_requests = 0
        self.body_bytes = 0
        metrics.watch_open(lambda: self.open_requests)

    def finished(self, record: Record) -> None:
        """Take the record of a request that ended."""
        self._ended.append(record)
        if len(self._ended) >= MAX_ENDED:
            self.tell()

    def tell(self) -> None:
        """Tell the log and the metrics of the requests that ended: of many in a row at half the price of one by one."""
        ended, self._ended = self._ended, []
        for record in ended:
            self.log.request(record)
        self.log.flush()
        self.metrics.finished([record for record in ended if record.dialect in COUNTED])

    async def keep_telling(self) -> None:
        """Tell now and then, until cancelled, and then for the last time."""
        try:
            while True:
                await asyncio.sleep(TELL_SECONDS)
                if self._ended:
                    self.tell()
        finally:
            self.tell()

    def answer(self, prompt: Prompt, record: Record, wishes: Wishes) -> AsyncGenerator[list[Event], None]:
        """The events of the answer, batch by batch; raises `Refusal`, before the first batch or in the middle."""
        if prompt.output_format is None:
            return self._committed(prompt, record, wishes)
        return self._formatted(prompt, record, wishes)

    async def _formatted(self, prompt: Prompt, record: Record, wishes: Wishes) -> AsyncGenerator[list[Event], None]:
        """The answer held back until it is known to fit the asked format, mended once where it does not."""
        assert prompt.output_format is not None
        checker = formats.Checker(prompt.output_format)
        asked = formats.ask(prompt)
        answer = await formats.collect(self._committed(asked, record, wishes))
        reason = answer.reason_against(checker)
        if reason is not None:
            record.notice("response_format: the first answer did not fit and was asked for again")
            asked = formats.ask_again(asked, answer.text, reason)
            answer = await formats.collect(self._committed(asked, record, wishes), after=answer)
            reason = answer.reason_against(checker)
        if reason is not None:
            record.usage = answer.usage  # both were paid for
            message = f"The model's answer does not fit response_format after one repair: {reason}."
            raise Refusal(502, message, type_="server_error", code="schema_mismatch")
        yield answer.events()

    async def _committed(self, prompt: Prompt, record: Record, wishes: Wishes) -> AsyncGenerator[list[Event], None]:
        """The answer of as many attempts as it takes."""
        attempts = Attempts(self.means, prompt, record, wishes.wire)
        recovery = self._recovery(prompt, wishes)
        # Where the caller gets nothing before the end, there is nothing to compare a second answer with.
        collected = not prompt.stream or prompt.output_format is not None
        holds = recovery == "whole" or (recovery == "verified" and collected)
        passage = Passage(holds=holds, collected=holds or collected, keeps=recovery == "verified" and not holds)
        try:
            while True:
                lease, call = await attempts.next()
                passage.attempt()
                begun = False
                shaper = Shaper(prompt, enforce=call.route.wire == "bot", refused=call.refused, notice=record.notice)
                stream = self.wires[call.route.wire].stream(call)
                try:
                    async for raw in stream:
                        batch = passage.feed(shaper.feed(raw))
                        if passage.begun and not begun:
                            begun = True
                            lease.accepted()
                            attempts.began(call)
                        if batch:
                            yield batch
                        if shaper.over:
                            break
                except Failure as failure:
                    lease.failed(failure)
                    attempts.failed(call, failure)
                    _go_on(attempts, passage, call, failure)
                except DivergedError:
                    lease.cancelled()
                    raise attempts.diverged(call) from None
                except BaseException:
                    lease.cancelled()
                    attempts.cancelled(call)
                    raise
                else:
                    lease.succeeded()
                    attempts.succeeded(call)
                    return
                finally:
                    await stream.aclose()
        finally:
            attempts.close()

    def _recovery(self, prompt: Prompt, wishes: Wishes) -> Recovery:
        """What follows a cut. `auto` trusts a second answer to be the first one where nothing is left to chance."""
        asked = wishes.recovery or self.settings.recovery
        if asked != "auto":
            return asked
        return "verified" if prompt.sampling.temperature == 0 else "off"


def _go_on(attempts: Attempts, passage: Passage, call: UpstreamCall, failure: Failure) -> None:
    """Prepare what follows a failure; raises `Refusal` where nothing may."""
    unasked = POLICY[failure.kind].rests in A_KEYS_OWN and not passage.begun
    if not passage.committed or (passage.recovering and unasked):
        attempts.go_on(call, failure)
    elif passage.recoverable and attempts.recover(call, failure):
        passage.recover()
    else:
        raise attempts.final() from failure
