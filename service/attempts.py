"""The attempts of one request: which one is next, and when there is none.

Everything that follows a failure is decided by its kind (`errors.POLICY`): another key, another wire, a fallback
model, the same once more, or nothing. What limits repetition stands here too: the retry budget, the circuits, and the
wait for a rate limit that is about to pass.
"""

from __future__ import annotations

import asyncio
import random
from time import perf_counter

from service.errors import POLICY, Failure, Kind, Policy, Refusal, refusal_for
from service.frozen import frozen
from service.keys.lease import Lease
from service.keys.pool import Pool
from service.keys.refusal import NoOtherKey
from service.observe.record import Record
from service.prompt import Prompt
from service.routing.budget import RetryBudget
from service.routing.catalogue import Catalogue
from service.routing.circuits import Circuits, Way
from service.routing.model import Model
from service.routing.parameters import Lifted, lift
from service.routing.refusals import LearnedRefusals
from service.routing.route import Route, WireName
from service.settings import Settings
from service.values.file import ModelOverride
from service.wires.call import UpstreamCall
from service.wires.chat_body import EMULATED

PAUSE_SECONDS = (0.25, 0.5)
"""Between two attempts with the same key."""
LIMIT_WAIT_SECONDS = 5.0
"""A rate limit that passes within this time is waited for, once, where no other key is free."""
NEEDED = frozenset({"", "model", "messages", "tools"})
"""What cannot be left out of a request."""
POOLS_OWN = "The model could not be asked to the end with this key."
A_KEYS_OWN = frozenset({"key", "key and model", "account"})
"""What rests after failures of the pool's own; before any event they say that no model was asked."""
PARAMETERS_LEARNED = 4
"""Members that one request may lose to a model's 400s before the 400 is believed."""
SLOW_ANSWER_SECONDS = 900.0


Verdict = tuple[Way, Failure | Refusal]
"""What was said of a model on a wire."""


@frozen
class Means:
    """What the attempts of all requests share."""

    settings: Settings
    catalogue: Catalogue
    pool: Pool
    refusals: LearnedRefusals
    circuits: Circuits
    budget: RetryBudget


@frozen
class Place:
    """Where a request stands with one of the models it may use."""

    asked: str
    routes: tuple[Route, ...]
    tried: frozenset[str]


class Attempts:
    """Chooses attempt after attempt. `asked` is the name that the caller used for the model of the latest one."""

    def __init__(self, means: Means, prompt: Prompt, record: Record, forced: WireName | None) -> None:
        self._means = means
        self._prompt = prompt
        self._record = record
        self._forced = forced
        fallbacks = prompt.fallbacks or means.settings.fallbacks.get(prompt.model.lower(), ())
        self._names = [prompt.model, *fallbacks]
        self.asked = prompt.model
        self._routes: list[Route] = []
        self._tried: frozenset[str] = frozenset()
        self._limited: frozenset[str] = frozenset()
        """Those of the tried keys of which Poe has said when their rate allows more."""
        self._used: frozenset[str] = frozenset()
        """Those of them with which the model itself failed."""
        self._later: list[Place] = []
        """Models that fell silent, with what is left to try of them once no fallback is."""
        self._learned = 0
        self._repeats = 0
        self._repeating = False
        self._uploaded_again = False
        self._same_key_left = False
        self._waited = False
        self._broke: Refusal | None = None
        """While an answer is recovered: what the caller is told if that fails."""
        self._trial: Way | None = None
        """The open circuit that this request is the trial of."""
        self._begun: tuple[Way, ...] = ()
        self._failing: tuple[Way, ...] = ()
        self._last: Verdict | None = None
        self._passing: Verdict | None = None
        """The latest verdict that will be another one in a while."""
        self._poes: Failure | None = None
        """The latest failure that was Poe's or the network's."""
        self._open_next_model()

    async def next(self) -> tuple[Lease, UpstreamCall]:
        """A key and the call to make with it; raises `Refusal` when nothing is left to try."""
        while True:
            route = self._routes[0]
            way = self._consider(route)
            if not self._enter(way):
                if way not in self._failing:  # what this request has met itself is better known
                    self._judged(way, _unavailable(self._means.circuits.seconds_to_trial(way)))
                self._leave_route()
                continue
            refused = self._refused(route, way)
            try:
                lifted = lift(self._prompt, route.model, route.wire, refused)
            except Refusal as refusal:  # a parameter that this model takes in another way
                if self._last is None:
                    raise
                self._judged(way, refusal)
                self._leave_route()
                continue
            try:
                lease = await self._means.pool.lease(way[0], avoid=self._tried, session=self._prompt.session)
            except NoOtherKey:  # that all keys were tried is no news: what they failed with is
                await self._without_other_key(way)
            except Refusal as refusal:
                await self._without_key(way, refusal)
            else:
                return lease, self._call(route, way, lease, lifted, refused)

    def began(self, call: UpstreamCall) -> None:
        """The attempt's first visible event is here. What an answer is called is fixed with the first of its parts."""
        record = self._record
        record.first_event_at = record.first_event_at or perf_counter()
        if self._broke is None:
            record.answer_model = self.asked
        self._means.circuits.began(way_of(call.route), self)

    def succeeded(self, call: UpstreamCall) -> None:
        """The attempt's answer came to its end."""
        self._trial = None
        self._means.circuits.succeeded(way_of(call.route))
        self._count(call, "ok")
        if self._broke is not None:
            self._record.recovery = "recovered"

    def diverged(self, call: UpstreamCall) -> Refusal:
        """The second answer is not the one that the caller has a part of: what the caller is told."""
        self._record.recovery = "diverged"
        self.cancelled(call)
        return self.final()

    def cancelled(self, call: UpstreamCall) -> None:
        """The attempt was given up, for a reason that is not its own."""
        self._count(call, "cancelled")

    def failed(self, call: UpstreamCall, failure: Failure) -> None:
        """The attempt failed. Whatever follows, the failure counts."""
        self._judged(way_of(call.route), failure)
        self._count(call, failure.kind)
        if POLICY[failure.kind].passes:
            self._poes = failure
            self._used |= {call.key_name}
            self._count_against(way_of(call.route))
        elif failure.kind is Kind.RATE_LIMITED and failure.retry_after is not None:
            self._limited |= {call.key_name}

    def _count_against(self, way: Way) -> None:
        if way not in self._failing:
            self._failing += (way,)
            self._trial = None
            self._means.circuits.failed(way)

    def _judged(self, way: Way, verdict: Failure | Refusal) -> None:
        self._last = (way, verdict)
        if _passes(verdict):
            self._passing = self._last

    def _count(self, call: UpstreamCall, result: str) -> None:
        self._record.results.append((call.key_name, call.route.wire, result))

    def final(self) -> Refusal:
        """What the caller is told where nothing follows."""
        if self._broke is not None:
            return self._broke
        assert self._last is not None
        way, last = self._last
        if self._passing is not None and not _passes(last) and self._passing[0] != way:
            way, last = self._passing  # that another model or wire cannot help is no reason to blame the request
        if isinstance(last, Refusal):
            return last
        if POLICY[last.kind].rests in A_KEYS_OWN:
            if not self._means.pool.usable_count(way[0]):
                return self._means.pool.refusal(way[0])  # which speaks for all keys, and not for the last one alone
            last = self._poes or Failure(Kind.BROKEN, POOLS_OWN)  # a key in trouble is no news while another works
        if last.kind is Kind.NO_SUCH_MODEL:
            return self._means.catalogue.not_found(self.asked)  # which knows what may have been meant
        return refusal_for(last)

    def close(self) -> None:
        """The request is over, however it went."""
        self._leave_trial()

    def go_on(self, call: UpstreamCall, failure: Failure) -> None:
        """Choose what follows a failure that no caller has seen anything of; raises `Refusal` where nothing can."""
        policy = POLICY[failure.kind]
        if failure.kind in (Kind.NO_SUCH_MODEL, Kind.NOT_ON_WIRE):
            self._means.catalogue.learn_missing(call.route)
        mended = failure.kind is Kind.UNSUPPORTED_PARAMETER and self._leave_out(call, failure.param or "")
        if self._spent:
            raise self.final()
        if mended:
            return
        if failure.kind is Kind.UPLOAD_REFUSED and not self._uploaded_again:
            self._uploaded_again = True
        elif failure.kind is Kind.SILENT and self._names:
            self._later.append(Place(self.asked, tuple(self._routes), self._tried | {call.key_name}))
            self._open_next_model()
        elif policy.other_wire and len(self._routes) > 1:
            self._leave_route()
        elif policy.other_key and self._may_repeat(call, policy):
            self._tried |= {call.key_name}
        elif policy.other_model:
            self._open_next_model()
        else:
            raise self.final()

    def recover(self, call: UpstreamCall, failure: Failure) -> bool:
        """Whether an answer that broke off before the caller's eyes may be asked for once more: by another key, by a
        fallback, or else by the same key."""
        policy = POLICY[failure.kind]
        if self._broke is not None or self._spent or policy.blame == "request":
            return False
        if not self._means.budget.allows(way_of(call.route)):
            return False
        self._repeating = True
        self._broke = self.final()
        self._record.recovery = "failed"  # unless it succeeds
        self._same_key_left = True
        self._tried |= {call.key_name}
        return True

    @property
    def _spent(self) -> bool:
        limit = self._means.settings.max_attempts
        return bool(limit) and self._record.attempts >= limit

    def _open_next_model(self) -> None:
        """Take the next name that leads anywhere; raises what was the last to go wrong when there is none left."""
        self._leave_trial()
        while self._names:
            self.asked = self._names.pop(0)
            try:
                found = self._means.catalogue.routes(
                    self.asked, forced_wire=self._forced, tools=bool(self._prompt.tools)
                )
            except Refusal as refusal:
                self._judged((self.asked, "bot"), refusal)
                continue
            self._routes = list(found)
            self._begin_route()
            return
        self._return()

    def _return(self) -> None:
        """Go back to a model that fell silent: by another wire if there is one, else with another key."""
        if not self._later:
            raise self.final()
        place = self._later.pop()
        self.asked, self._routes = place.asked, list(place.routes)
        if len(self._routes) > 1:
            self._leave_route()
            return
        self._begin_route()
        self._tried = place.tried
        self._repeating = True
        if not self._means.budget.allows(way_of(self._routes[0])):
            self._return()

    def _begin_route(self) -> None:
        self._tried = self._limited = self._used = frozenset()
        self._repeats = 0
        self._same_key_left = False

    def _leave_route(self) -> None:
        """Go on with the next wire of the model, else with the next model."""
        self._leave_trial()
        if len(self._routes) > 1:
            self._routes.pop(0)
            self._begin_route()
        else:
            self._open_next_model()

    def _consider(self, route: Route) -> Way:
        """Note which model is asked for, be it in vain."""
        record = self._record
        record.wire, record.poe_model = route.wire, route.name
        record.series_model = route.model.id if route.model is not None else "other"
        return way_of(route)

    def _enter(self, way: Way) -> bool:
        """Whether the way's circuit lets this request pass."""
        circuits = self._means.circuits
        # An answer that has broken off may be asked for once more although it was what opened the circuit.
        if way == self._trial or self._broke is not None or not len(circuits):
            return True
        if not circuits.enter(way, self):
            return False
        self._trial = way
        return True

    def _leave_trial(self) -> None:
        if self._trial is not None:
            self._means.circuits.left(self._trial, self)
            self._trial = None

    async def _without_other_key(self, way: Way) -> None:
        """All usable keys have been tried by this way: wait for a limit that passes soon, or use the same key again."""
        if await self._waited_for_limit(way):
            return
        if self._same_key_left and len(self._used) == 1 and not (self._broke is not None and self._names):
            self._same_key_left = False
            self._tried -= self._used
            await self._pause(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - spreads load, guards nothing
        else:
            self._open_next_model()

    async def _without_key(self, way: Way, refusal: Refusal) -> None:
        if not await self._waited_for_limit(way):
            self._judged(way, refusal)
            self._open_next_model()

    async def _waited_for_limit(self, way: Way) -> bool:
        """Wait, once, for a rate limit of which Poe has said that it passes in a moment."""
        others = self._tried - self._limited
        if self._waited or not self._limited:
            return False
        seconds = self._means.pool.soonest(way[0], others)
        if seconds > LIMIT_WAIT_SECONDS:
            return False
        self._waited = True
        self._tried, self._limited = others, frozenset()
        await self._pause(seconds)
        return True

    async def _pause(self, seconds: float) -> None:
        self._record.waiting.begin()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._record.waiting.end()

    def _refused(self, route: Route, way: Way) -> frozenset[str]:
        learned = self._means.refusals.refused(*way)
        return learned | route.model.refuses if route.model is not None and route.wire == "chat" else learned

    def _call(self, route: Route, way: Way, lease: Lease, lifted: Lifted, refused: frozenset[str]) -> UpstreamCall:
        record, settings, model = self._record, self._means.settings, route.model
        for name in lifted.dropped:
            record.drop(name)
        if way not in self._begun:
            self._begun += (way,)
            self._means.budget.first(way)
        elif self._repeating:
            self._means.budget.repeat(way)
        self._repeating = False
        if lease.waited_seconds:
            record.waiting.add(lease.waited_seconds)
        record.attempts += 1
        record.key = lease.key.name
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
            waiting=record.waiting,
            accepted=lease.accepted,
            rates=lease.rates,
        )

    def _override(self, model: Model | None) -> ModelOverride | None:
        """What the settings say of this model, by the caller's name for it or by its own."""
        of = self._means.settings.models
        return of.get(self.asked.lower()) or (of.get(model.id) if model is not None else None)

    def _answer_seconds(self, *, slow: bool) -> float:
        usual = self._means.settings.answer_timeout
        return max(usual, SLOW_ANSWER_SECONDS) if slow else usual

    def _may_repeat(self, call: UpstreamCall, policy: Policy) -> bool:
        """Whether the way gets another attempt: after a key's own failure always, after one that passes within the
        retry budget, and where a fallback model waits only once."""
        if not policy.passes:
            return True
        self._repeats += 1
        if self._names and self._repeats > 1:
            return False
        self._same_key_left = policy.same_key and self._repeats == 1
        self._repeating = True
        return self._means.budget.allows(way_of(call.route))

    def _leave_out(self, call: UpstreamCall, parameter: str) -> bool:
        """Learn that the route refuses a parameter; False where leaving it out cannot help, or has not."""
        self._learned += 1
        if self._learned > PARAMETERS_LEARNED or parameter in call.refused or parameter in NEEDED:
            return False
        if not self._means.refusals.learn(*way_of(call.route), parameter):
            return False
        if parameter not in EMULATED:
            self._record.drop(parameter)
        return True


def way_of(route: Route) -> Way:
    """What circuits, budgets and lessons know a route by."""
    return (route.model.id if route.model is not None else route.name, route.wire)


def _passes(verdict: Failure | Refusal) -> bool:
    """Whether the same request may fare better in a while, by itself."""
    if isinstance(verdict, Refusal):
        return verdict.should_retry
    return POLICY[verdict.kind].passes or verdict.kind is Kind.RATE_LIMITED


def _unavailable(seconds: float) -> Refusal:
    return Refusal(
        503,
        "This model rests after failures of Poe, and is tried again in a moment.",
        type_="server_error",
        code="upstream_unavailable",
        retry_after=max(seconds, 1.0),
        should_retry=True,
    )
