"""Whatever happens in whatever order, the pool keeps its promises (random schedules on a fake clock)."""

from __future__ import annotations

import logging
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from service.errors import Failure, Kind, Refusal
from service.keys.account import STATES
from service.keys.lease import Lease
from service.keys.rest import TRIAL_SECONDS
from tests.clock import Clock
from tests.keys.clock import names, pool_of, take

KEYS = ("a/1", "a/2", "b", "c", "d")
MODELS = ("gpt", "claude", "o3")


class Schedules(RuleBasedStateMachine):
    """A simple idea of the pool beside the real one: what may not be leased, because Poe said so."""

    leases: Bundle[tuple[Lease, str]] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("service.keys").setLevel(logging.ERROR)
        self.clock = Clock()
        self.pool = pool_of(self.clock, *KEYS, queue_length=0)
        self.out = 0
        self.told: dict[tuple[str, str], float] = {}
        self.dry: set[str] = set()
        self.revoked: set[str] = set()

    @rule(seconds=st.floats(0.01, 200))
    def time_passes(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(target=leases, model=st.sampled_from(MODELS), avoid=st.frozensets(st.sampled_from(KEYS), max_size=2))
    def lease(self, model: str, avoid: frozenset[str]) -> object:
        try:
            lease = take(self.pool, model, avoid)
        except Refusal as refusal:
            self.check(refusal, model)
            return self.nothing(model)
        self.out += 1
        assert lease.key.name not in avoid
        assert lease.key.name not in self.revoked
        assert lease.key.account not in self.dry
        assert self.told.get((lease.key.name, model), 0) <= self.clock.now
        return lease, model

    def nothing(self, model: str) -> tuple[Lease, str]:
        """A lease that is over, to stand where there is none."""
        spare = take(pool_of(Clock(), "spare"))
        spare.cancelled()
        return spare, model

    def check(self, refusal: Refusal, model: str) -> None:
        """What the pool told must be true."""
        if refusal.status == 502:
            assert self.pool.soonest(model) <= TRIAL_SECONDS
            return
        assert self.pool.usable_count(model) == 0
        if refusal.status == 429:
            assert refusal.retry_after is not None
            self.clock.forward(refusal.retry_after + 0.001)
            assert self.pool.usable_count(model) > 0
        elif refusal.status == 402:
            assert self.dry
        else:
            assert refusal.status == 503
            assert self.revoked == set(KEYS)

    @rule(pair=consumes(leases))
    def success(self, pair: tuple[Lease, str]) -> None:
        self.close(pair[0])
        pair[0].succeeded()

    @rule(pair=consumes(leases))
    def caller_leaves(self, pair: tuple[Lease, str]) -> None:
        self.close(pair[0])
        pair[0].cancelled()

    @rule(pair=consumes(leases), kind=st.sampled_from([Kind.BROKEN, Kind.BAD_REQUEST, Kind.CUT, Kind.SILENT]))
    def failure_of_others(self, pair: tuple[Lease, str], kind: Kind) -> None:
        self.close(pair[0])
        before = dict(self.pool.states())
        pair[0].failed(Failure(kind, "no"))
        assert self.pool.states() == before

    @rule(pair=consumes(leases), seconds=st.none() | st.floats(0.1, 300), account_wide=st.booleans())
    def rate_limit(self, pair: tuple[Lease, str], seconds: float | None, account_wide: bool) -> None:
        lease, model = pair
        known = self.close(lease)
        lease.failed(Failure(Kind.RATE_LIMITED, "slow", retry_after=seconds, account_wide=account_wide))
        if known and seconds is not None:
            self.told[lease.key.name, model] = self.clock.now + seconds
        elif known and model in MODELS:
            assert self.pool.usable_count(model) < len(KEYS)

    @rule(pair=consumes(leases), kind=st.sampled_from([Kind.DRY, Kind.KEY_REVOKED]))
    def out_of_use(self, pair: tuple[Lease, str], kind: Kind) -> None:
        lease, _ = pair
        known = self.close(lease)
        lease.failed(Failure(kind, "no"))
        self.learn(lease.key.name if known else None)

    @rule(name=st.sampled_from(KEYS), points=st.sampled_from([0, 7]))
    def probe(self, name: str, points: int) -> None:
        self.clock.forward(0.01)
        self.pool.balance_seen(name, points, asked=self.clock.now)
        self.revoked.discard(name)
        if points:
            self.dry.discard(name.split("/")[0])

    def close(self, lease: Lease) -> bool:
        """Count an outcome; False for the stand-in of a lease that was refused."""
        if lease.key.name == "spare":
            return False
        self.out -= 1
        return True

    def learn(self, name: str | None) -> None:
        """A failure that sets out before the last good news is none, so the pool is believed where it changed."""
        if name is None:
            return
        state = self.pool.states()[name]
        if state == "revoked":
            self.revoked.add(name)
        if self.pool._keys[name].account.dry.active:
            self.dry.add(name.split("/")[0])

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.pool.open_leases == self.out
        assert set(self.pool.states().values()) <= set(STATES)

    @invariant()
    def what_is_out_of_use_is_probed(self) -> None:
        if self.revoked or self.dry:
            assert self.pool.next_probe() <= 600

    def teardown(self) -> None:
        """In the end everything comes back by itself."""
        logging.getLogger("service.keys").setLevel(logging.NOTSET)
        for _ in range(20):
            self.clock.forward(3601)
            for spec in self.pool.due():
                self.pool.balance_seen(spec.name, 100, asked=self.clock.now)
        assert set(self.pool.states().values()) == {"usable"}
        turns = Counter(name.split("/")[0] for name in names(self.pool, 40))
        assert set(turns.values()) == {10}


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
