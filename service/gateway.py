"""The gateway: one prompt in, one answer's events out, whatever keys, wires and fallback models that takes.

The first visible event commits an answer. Until it, a failed attempt gives way to the next one and nobody learns of
it; after it, a failure is the caller's to know, and no second attempt may speak (architecture, rule 2).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from time import perf_counter
from typing import Protocol

from service.access.tokens import Tokens
from service.deadline import Deadlines
from service.errors import POLICY, Failure, Kind, Policy, Refusal, refusal_for
from service.events import VISIBLE, Event, Finish
from service.keys.lease import Lease
from service.keys.pool import Pool
from service.keys.refusal import NoOtherKey
from service.observe.log import Log
from service.observe.metrics import Metrics
from service.observe.record import Record
from service.prompt import Prompt
from service.routing.catalogue import Catalogue
from service.routing.model import Model
from service.routing.parameters import Lifted, lift
from service.routing.refusals import LearnedRefusals
from service.routing.route import Route, WireName
from service.settings import Placement, Settings
from service.stages import format as formats
from service.stages.shaping import Shaper
from service.values.file import ModelOverride
from service.wires.call import UpstreamCall
from service.wires.chat_body import EMULATED

PAUSE_SECONDS = (0.25, 0.5)
"""Between two attempts with the same key."""
PARAMETERS_LEARNED = 4
"""Members that one request may lose to a model's 400s before the 400 is believed."""
SLOW_ANSWER_SECONDS = 900.0
TELL_SECONDS = 0.1
MAX_ENDED = 256
"""Requests that may have ended without their line being written."""
COUNTED = frozenset({"chat", "models"})
COMMITTING = (*VISIBLE, Finish)


class Wire(Protocol):
    """What the gateway asks of a wire."""

    def stream(self, call: UpstreamCall) -> AsyncGenerator[list[Event], None]:
        """Answer `call` in events; raise `Failure`; let go of the upstream when closed."""


class Gateway:
    """Everything that outlives a request, and the one way to answer one."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        pool: Pool,
        wires: Mapping[WireName, Wire],
        metrics: Metrics,
        tokens: Tokens,
        log: Log,
        placement: Placement,
        deadlines: Deadlines,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.pool = pool
        self.wires = wires
        self.metrics = metrics
        self.tokens = tokens
        self.log = log
        self.placement = placement
        self.deadlines = deadlines
        self.refusals = LearnedRefusals()
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

    def answer(self, prompt: Prompt, record: Record, forced: WireName | None) -> AsyncGenerator[list[Event], None]:
        """The events of the answer, batch by batch; raises `Refusal`, before the first batch or in the middle."""
        if prompt.output_format is None:
            return self._committed(prompt, record, forced)
        return self._formatted(prompt, record, forced)

    async def _formatted(
        self, prompt: Prompt, record: Record, forced: WireName | None
    ) -> AsyncGenerator[list[Event], None]:
        """The answer held back until it is known to fit the asked format, mended once where it does not."""
        assert prompt.output_format is not None
        checker = formats.Checker(prompt.output_format)
        asked = formats.ask(prompt)
        answer = await formats.collect(self._committed(asked, record, forced))
        reason = answer.reason_against(checker)
        if reason is not None:
            record.notice("response_format: the first answer did not fit and was asked for again")
            asked = formats.ask_again(asked, answer.text, reason)
            answer = await formats.collect(self._committed(asked, record, forced))
            reason = answer.reason_against(checker)
        if reason is not None:
            message = f"The model's answer does not fit response_format after one repair: {reason}."
            raise Refusal(502, message, type_="server_error", code="schema_mismatch")
        yield answer.events()

    async def _committed(
        self, prompt: Prompt, record: Record, forced: WireName | None
    ) -> AsyncGenerator[list[Event], None]:
        run = Run(self, prompt, record, forced)
        while True:
            lease, call = await run.next_attempt()
            committed = False
            held: list[Event] = []
            shaper = Shaper(prompt, enforce=call.route.wire == "bot", refused=call.refused, notice=record.notice)
            stream = self.wires[call.route.wire].stream(call)
            try:
                async for raw in stream:
                    batch = shaper.feed(raw)
                    if not committed:
                        held += batch
                        if not _commits(batch):
                            continue
                        committed, batch = True, held
                        run.commit()
                        lease.accepted()
                    if batch:
                        yield batch
                    if shaper.over:
                        break
            except Failure as failure:
                lease.failed(failure)
                run.ended(call, failure.kind)
                run.consider(call, failure, committed=committed)
            except BaseException:
                lease.cancelled()
                run.ended(call, "cancelled")
                raise
            else:
                lease.succeeded()
                run.ended(call, "ok")
                return
            finally:
                await stream.aclose()


class Run:
    """The attempts of one request: which one is next, and when there is none."""

    def __init__(self, gateway: Gateway, prompt: Prompt, record: Record, forced: WireName | None) -> None:
        self._gateway = gateway
        self._prompt = prompt
        self._record = record
        self._forced = forced
        self._waiting = record.waiting
        fallbacks = prompt.fallbacks or gateway.settings.fallbacks.get(prompt.model.lower(), ())
        self._names = [prompt.model, *fallbacks]
        self._asked = prompt.model
        self._routes: list[Route] = []
        self._tried: frozenset[str] = frozenset()
        self._learned = 0
        self._repeats = 0
        self._same_key_left = False
        self._last: Failure | Refusal | None = None
        self._open_next_model()

    def _open_next_model(self) -> None:
        """Take the next name that leads anywhere; raises what was the last to go wrong when there is none left."""
        while self._names:
            self._asked = self._names.pop(0)
            try:
                found = self._gateway.catalogue.routes(
                    self._asked, forced_wire=self._forced, tools=bool(self._prompt.tools)
                )
            except Refusal as refusal:
                self._last = refusal
                continue
            self._routes = list(found)
            self._begin_route()
            return
        raise self._final()

    def _begin_route(self) -> None:
        self._tried = frozenset()
        self._repeats = 0
        self._same_key_left = False

    def _final(self) -> Refusal:
        last = self._last
        assert last is not None
        if isinstance(last, Refusal):
            return last
        if last.kind is Kind.NO_SUCH_MODEL:
            return self._gateway.catalogue.not_found(self._asked)  # which knows what may have been meant
        return refusal_for(last)

    async def next_attempt(self) -> tuple[Lease, UpstreamCall]:
        """A key and the call to make with it; raises `Refusal` when nothing is left to try."""
        while True:
            route = self._routes[0]
            refused = self._refused(route)
            lifted = lift(self._prompt, route.model, route.wire, refused)
            try:
                lease = await self._gateway.pool.lease(_model_id(route), avoid=self._tried)
            except NoOtherKey:
                # Keys that this request has tried are no news: what they failed with is.
                if self._same_key_left:
                    self._same_key_left = False
                    self._tried = frozenset()
                    pause_seconds = random.uniform(*PAUSE_SECONDS)  # noqa: S311 - spreads load, guards nothing
                    self._waiting.seconds += pause_seconds
                    await asyncio.sleep(pause_seconds)
                else:
                    self._open_next_model()
            except Refusal as refusal:
                self._last = refusal
                self._open_next_model()
            else:
                return lease, self._call(route, lease, lifted, refused)

    def _refused(self, route: Route) -> frozenset[str]:
        learned = self._gateway.refusals.refused(_model_id(route), route.wire)
        return learned | route.model.refuses if route.model is not None and route.wire == "chat" else learned

    def _call(self, route: Route, lease: Lease, lifted: Lifted, refused: frozenset[str]) -> UpstreamCall:
        record, settings, model = self._record, self._gateway.settings, route.model
        for name in lifted.dropped:
            record.drop(name)
        record.attempts += 1
        record.wire = route.wire
        record.key = lease.key.name
        record.poe_model = route.name
        record.series_model = model.id if model is not None else "other"
        slow = model is not None and (model.slow or not model.makes_text)
        override = self._override(model) if settings.models else None
        return UpstreamCall(
            prompt=self._prompt,
            route=route,
            key_name=lease.key.name,
            secret=lease.key.secret,
            parameters=lifted.parameters,
            first_event_seconds=(override and override.first_event_timeout) or settings.first_event_timeout,
            answer_seconds=(override and override.answer_timeout) or self._answer_seconds(slow=slow),
            idle_seconds=settings.idle_timeout,
            notice=record.notice,
            refused=refused,
            drop=record.drop,
            waiting=self._waiting,
        )

    def _override(self, model: Model | None) -> ModelOverride | None:
        """What the settings say of this model, by the caller's name for it or by its own."""
        of = self._gateway.settings.models
        return of.get(self._asked.lower()) or (of.get(model.id) if model is not None else None)

    def _answer_seconds(self, *, slow: bool) -> float:
        usual = self._gateway.settings.answer_timeout
        return max(usual, SLOW_ANSWER_SECONDS) if slow else usual

    def commit(self) -> None:
        """The answer's first visible event is here: what it is called is now fixed."""
        record = self._record
        record.first_event_at = perf_counter()
        record.answer_model = self._asked

    def ended(self, call: UpstreamCall, result: str) -> None:
        """Count an attempt: `ok`, `cancelled` or the kind of its failure."""
        self._record.results.append((call.key_name, call.route.wire, result))

    def consider(self, call: UpstreamCall, failure: Failure, *, committed: bool) -> None:
        """Choose what follows a failure; raises `Refusal` where nothing can, so after the commit point always."""
        self._last = failure
        if committed:
            raise self._final() from failure
        policy = POLICY[failure.kind]
        if failure.kind in (Kind.NO_SUCH_MODEL, Kind.NOT_ON_WIRE):
            self._gateway.catalogue.learn_missing(call.route)
        limit = self._gateway.settings.max_attempts
        if limit and self._record.attempts >= limit:
            raise self._final()
        if failure.kind is Kind.UNSUPPORTED_PARAMETER and self._leave_out(call, failure.param or ""):
            return
        if failure.kind is Kind.UPLOAD_REFUSED and not self._repeats:
            self._repeats += 1
        elif policy.other_wire and len(self._routes) > 1 and not (failure.kind is Kind.SILENT and self._names):
            self._drop_route()
        elif policy.other_key and not self._gives_way(policy, failure):
            self._tried |= {call.key_name}
        elif policy.other_model:
            self._open_next_model()
        else:
            raise self._final()

    def _gives_way(self, policy: Policy, failure: Failure) -> bool:
        """Whether a fallback model should have its turn before another key: after silence, which a second key would
        only double, and after one repeat of a failure that passes."""
        self._repeats += 1
        self._same_key_left = policy.same_key and self._repeats == 1
        return bool(self._names) and (failure.kind is Kind.SILENT or (policy.same_key and self._repeats > 1))

    def _leave_out(self, call: UpstreamCall, parameter: str) -> bool:
        """Learn that the route refuses a parameter; False where leaving it out cannot help."""
        self._learned += 1
        if self._learned > PARAMETERS_LEARNED or parameter in ("", "model", "messages", "tools"):
            return False
        if not self._gateway.refusals.learn(_model_id(call.route), call.route.wire, parameter):
            return False
        if parameter not in EMULATED:
            self._record.drop(parameter)
        return True

    def _drop_route(self) -> None:
        self._routes.pop(0)
        self._begin_route()


def _commits(batch: list[Event]) -> bool:
    return any(isinstance(event, COMMITTING) for event in batch)


def _model_id(route: Route) -> str:
    return route.model.id if route.model is not None else route.name
