"""What a caller asked of the answer's form, as against its content."""

from __future__ import annotations

from service.frozen import frozen


@frozen
class Options:
    """How to write the answer down.

    `custom_tools` are names of tools that take plain text: the model saw functions of one string, the caller gets
    back what it defined. `legacy_functions`: the caller gave `functions`, so it is answered with `function_call`.
    `hide_reasoning`: the caller wants the model to think but not to hear it. `ignored` are members of the request
    that have no effect whatever the model, for `x-proxy-notice`.
    """

    include_usage: bool = False
    media_as_parts: bool = False
    custom_tools: frozenset[str] = frozenset()
    legacy_functions: bool = False
    hide_reasoning: bool = False
    ignored: tuple[str, ...] = ()
