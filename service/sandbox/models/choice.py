"""Which of the offered tools a model calls."""

from __future__ import annotations

import re

from service.sandbox.ask import Ask, OfferedTool
from service.sandbox.models.orders import told_to_call, told_to_call_one

# Words in names of tools that say nothing about what they are for.
_EMPTY_WORDS = frozenset({"get", "set", "the", "run", "use", "tool", "make", "function", "and", "for", "with"})
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+")


def choose_tools(ask: Ask) -> tuple[OfferedTool, ...]:
    """The tools to call now, none where plain text will do.

    A forced tool is called, and so is a single one. Of several, those that the prompt names; else those that share a
    telling word with it. `required` calls the first if nothing fits; without parallel calls only the first is called.
    Both may also be said in the system prompt, since bots know no other way.
    """
    if ask.forced_tool is not None:
        return tuple(tool for tool in ask.tools if tool.name == ask.forced_tool)
    if not ask.tools or ask.tool_choice == "none":
        return ()
    if len(ask.tools) == 1:
        return ask.tools
    text = ask.text.lower()
    words = set(re.findall(r"[\w-]+", text))
    chosen = [tool for tool in ask.tools if tool.name.lower() in words] or [
        tool for tool in ask.tools if _telling_words(tool.name) & words
    ]
    if not chosen and (ask.tool_choice == "required" or told_to_call(ask)):
        chosen = [ask.tools[0]]
    return tuple(chosen if ask.parallel and not told_to_call_one(ask) else chosen[:1])


def _telling_words(name: str) -> set[str]:
    return {word.lower() for word in _NAME_WORDS.findall(name) if len(word) > 2} - _EMPTY_WORDS
