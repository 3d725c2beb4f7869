"""Roles and directives that docutils does not know: Sphinx's and other extensions'.

docutils drops what it does not know, with all text inside. Here each keeps its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MAX_NAMES = 500
_DIRECTIVE = re.compile(r"^[ \t]*\.\. (?:\|[^|\n]{1,100}\| )?([a-zA-Z][\w:+.-]{0,60})::", re.M)
_ROLE = re.compile(r":([a-zA-Z][\w:+.-]{0,60}):`|`:([a-zA-Z][\w:+.-]{0,60}):")
_TARGET = re.compile(r"\s*<[^<>]*>$")
_LITERAL = frozenset(
    """
    code-block sourcecode testcode testoutput prompt mermaid graphviz ipython literalinclude productionlist
    """.split()
)
_WITHOUT_TEXT = frozenset(
    "toctree highlight default-domain currentmodule module index tabularcolumns".split()
)


def register_names(source: str) -> None:
    """Tell docutils every role and directive that the text uses and docutils lacks."""
    from docutils.parsers.rst import directives, roles

    roles._roles.clear()  # what the document before this one declared with `.. role::`
    for name in sorted({match[1].lower() for match in _DIRECTIVE.finditer(source)})[:MAX_NAMES]:
        if name not in directives._directive_registry:
            directives.register_directive(name, _directive(name))
    used = {(match[1] or match[2]).lower() for match in _ROLE.finditer(source)}
    for name in sorted(used)[:MAX_NAMES]:
        if name not in roles._role_registry and name not in roles._roles:
            roles.register_local_role(name, _role)


def _role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[Any], list[Any]]:
    """The words that a reader sees: no target behind them, no signs before them."""
    from docutils import nodes, utils

    shown = _TARGET.sub("", utils.unescape(text)) or text
    return [nodes.inline(rawtext, shown.lstrip("~!"))], []


class _AnyOption(dict[str, Callable[[str], str]]):
    def __missing__(self, key: str) -> Callable[[str], str]:
        return _as_it_is


def _as_it_is(value: str) -> str:
    return value or ""


def _directive(name: str) -> type[Any]:
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Unknown(Directive):  # type: ignore[misc]
        """Its argument as a paragraph, its content as what it is."""

        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec = _AnyOption({"class": _as_it_is})  # an empty one means: no options

        def run(self) -> list[nodes.Node]:
            if name in _WITHOUT_TEXT:
                return []
            content = "\n".join(self.content)
            if name in _LITERAL:
                return [nodes.literal_block(content, content)] if content.strip() else []
            found: list[nodes.Node] = []
            if self.arguments:
                inline, _ = self.state.inline_text(" ".join(self.arguments[0].split()), self.lineno)
                found.append(nodes.paragraph("", "", *inline))
            inside = nodes.container()
            self.state.nested_parse(self.content, self.content_offset, inside)
            return [*found, *inside.children]

    return Unknown
