"""What every answer gets on its way: a count of its tokens, and on the bot wire the limits that Poe leaves to us."""

from __future__ import annotations

from dataclasses import replace

from service.events import Event, Finish, Text, Usage
from service.prompt import Prompt
from service.stages.estimate import Meter, prompt_tokens
from service.stages.stopping import StopScanner


class Shaper:
    """Passes one attempt's events on.

    `enforce` ends the answer itself at a stop sequence, and once the estimate of its tokens is surely over the limit;
    `over` then says that nothing more is wanted of the upstream.
    """

    __slots__ = ("_limit_tokens", "_meter", "_prompt", "_scanner", "over")

    def __init__(self, prompt: Prompt, *, enforce: bool) -> None:
        self._prompt = prompt
        self._meter = Meter()
        self._scanner = StopScanner(prompt.stop) if enforce and prompt.stop else None
        self._limit_tokens = prompt.max_tokens if enforce else None
        self.over = False

    def feed(self, batch: list[Event]) -> list[Event]:
        """What of a batch may pass; a batch is never empty."""
        if self._scanner is None and self._limit_tokens is None:
            last = batch[-1]
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
                break
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        scanner = self._scanner
        if scanner is not None:
            passed = scanner.feed(event) if isinstance(event, Text) else None
            if not isinstance(event, Text) or scanner.found:
                # Whatever is no text shows that the text before it is whole.
                held = None if scanner.found else scanner.flush()
                out += [text for text in (passed, held) if text is not None]
                if held is not None:
                    self._meter.feed(held)
            elif passed is not None:
                out.append(passed)
            if scanner.found:
                self._end(Finish("stop"), out)
                return
        if isinstance(event, Finish):
            self._end(event, out)
            return
        self._meter.feed(event)
        if scanner is None or not isinstance(event, Text):
            out.append(event)
        if self._limit_tokens is not None and self._meter.surely_over(self._limit_tokens):
            self._end(Finish("length"), out)

    def _end(self, finish: Finish, out: list[Event]) -> None:
        out.append(self._with_usage(finish))
        self.over = True

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
