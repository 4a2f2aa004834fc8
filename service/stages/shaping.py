"""What every answer gets on its way: a count of its tokens, and the limits that Poe leaves to us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from service.events import VISIBLE, Event, Finish, FinishReason, Reasoning, Text, Usage, escape, read
from service.prompt import Prompt
from service.stages.estimate import Floor, Meter, prompt_tokens
from service.stages.stopping import StopScanner

LIMIT_NOTICE = "max_tokens: kept by this service's own estimate, since bots know no such option"


class Shaper:
    """Passes one attempt's events on.

    `enforce`: the wire knows no token limit and may ignore stop sequences, so that the answer is ended here at the
    first of them, or once it is surely longer than the limit; `over` then says that nothing more is wanted of the
    upstream, and `notice` is told that the limit is ours. `refused` are members that the route does not take: stop
    sequences among them are looked for here, and those of nothing but blanks always, since Poe refuses such.
    """

    __slots__ = ("_floor", "_meter", "_prompt", "_scanner", "over")

    def __init__(
        self,
        prompt: Prompt,
        *,
        enforce: bool,
        notice: Callable[[str], None],
        refused: frozenset[str] = frozenset(),
    ) -> None:
        stops = prompt.stop if enforce or "stop" in refused else blank_stops(prompt)
        self._prompt = prompt
        self._meter = Meter()
        self._scanner = StopScanner(stops) if stops else None
        self._floor: Floor | None = None
        if prompt.max_tokens is not None and enforce:
            self._floor = Floor(prompt.max_tokens)
            notice(LIMIT_NOTICE)
        self.over = False

    def feed(self, batch: list[Event]) -> list[Event]:
        """What of a batch may pass."""
        if self._scanner is None and self._floor is None:
            last = batch[-1] if batch else None
            if type(last) is Finish and last.usage is not None:
                return batch  # somebody else has counted
            for event in batch:
                self._meter.feed(event)
            if type(last) is Finish:
                batch[-1] = self._with_usage(last)
            return batch
        out: list[Event] = []
        for event in batch:
            self._take(event, out)
            if self.over:
                self._end_early(batch, out)
                break
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        scanner = self._scanner
        if scanner is None:
            self._pass(event, out)
        elif isinstance(event, Text):
            self._pass(scanner.feed(event), out)
            if scanner.found and not self.over:
                self._end("stop", out)
        else:
            if isinstance(event, (*VISIBLE, Finish)):
                # What stands between two texts shows that no sequence reaches from one into the other.
                self._pass(scanner.flush(), out)
            if not self.over:
                self._pass(event, out)

    def _pass(self, event: Event | None, out: list[Event]) -> None:
        if event is None:
            return
        if isinstance(event, Finish):
            out.append(self._with_usage(event))
            self.over = True
            return
        within = None if self._floor is None else self._floor.feed(event)
        passing = event if within is None else _beginning(event, within)
        if passing is not None:
            self._meter.feed(passing)
            out.append(passing)
        if within is not None:
            self._end("length", out)

    def _end(self, reason: FinishReason, out: list[Event]) -> None:
        out.append(Finish(reason))
        self.over = True

    def _end_early(self, batch: list[Event], out: list[Event]) -> None:
        """Give the end its token counts: the provider's own where they are here already."""
        finish = out[-1]
        if isinstance(finish, Finish) and finish.usage is None:
            told = [event.usage for event in batch if isinstance(event, Finish)]
            out[-1] = self._with_usage(replace(finish, usage=told[-1] if told else None))

    def _with_usage(self, finish: Finish) -> Finish:
        if finish.usage is not None:
            return finish
        meter = self._meter
        usage = Usage(
            prompt_tokens=prompt_tokens(self._prompt),
            completion_tokens=round(meter.completion_tokens + meter.reasoning_tokens),
            reasoning_tokens=round(meter.reasoning_tokens),
            estimated=True,
        )
        return replace(finish, usage=usage)


def _beginning(event: Event, characters: int) -> Event | None:
    """The first characters of a text. Anything else passes whole: half a tool call is none."""
    if not isinstance(event, (Text, Reasoning)):
        return event
    return replace(event, pieces=(escape(read(event.pieces)[:characters]),)) if characters else None


def blank_stops(prompt: Prompt) -> tuple[str, ...]:
    """The stop sequences that Poe's REST endpoints refuse: those of nothing but blanks."""
    return tuple([text for text in prompt.stop if not text.strip()])
