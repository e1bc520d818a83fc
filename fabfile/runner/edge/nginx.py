"""Parses nginx configuration and keeps offsets, so that an edit is an exact splice of the original text.

The tokens are those of nginx's own reader (ngx_conf_read_token): quotes only open at the start of a word, a
backslash protects the next character, `${name}` does not open a block, and `#` inside a word is no comment. The inside
of a block of Lua (`access_by_lua_block { … }`) is one token: its braces, quotes and comments are Lua's.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SPACE = " \t\r\n"
_LUA_BLOCK = "_by_lua_block"  # how the names of directives end whose block is Lua
# What may hold a brace that is none of Lua's own: long brackets as text or comment, comments, strings.
_LUA_PART = re.compile(r"""(?s)(?:--)?\[(=*)\[.*?\]\1\]|--[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}]""")
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}


class ParseError(ValueError):
    """The text is not nginx configuration; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class Token:
    """A word, a comment or one of `;{}`, and where it stands: text[start:end], quotes included."""

    kind: str  # word, comment, lua, or the character itself
    value: str  # a word as nginx understands it: without quotes and escapes
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Directive:
    """One directive: text[start:end], from its name to its semicolon or closing brace.

    A block has `children` and its inside is text[inner[0]:inner[1]]; a simple directive has None and (0, 0).
    """

    name: str
    args: tuple[Token, ...]
    children: tuple[Directive, ...] | None
    start: int
    end: int
    line: int
    inner: tuple[int, int] = (0, 0)

    @property
    def values(self) -> tuple[str, ...]:
        """The arguments as nginx understands them."""
        return tuple(arg.value for arg in self.args)

    def find(self, name: str, first: str = "") -> list[Directive]:
        """Direct children called `name`, and, if given, with this first argument."""
        return [
            child for child in self.children or () if child.name == name and (not first or child.values[:1] == (first,))
        ]


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of `text`, comments included. Raises ParseError."""
    at, line, name = 0, 1, ""  # of the directive at hand
    while at < len(text):
        char = text[at]
        if char in SPACE:
            line += char == "\n"
            at += 1
            continue
        if char == "#":
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            token = Token("comment", text[at:end], at, end, line)
        elif char in ";{}":
            token = Token(char, char, at, at + 1, line)
        elif char in "\"'":
            end = _quoted_end(text, at, line)
            token = Token("word", _unescape(text[at + 1 : end - 1]), at, end, line)
        else:
            end = _bare_end(text, at, line)
            token = Token("word", _unescape(text[at:end]), at, end, line)
        yield token
        line += text.count("\n", at, token.end)
        at = token.end
        if token.kind == "{" and name.endswith(_LUA_BLOCK):
            end = _lua_end(text, at, line)
            yield Token("lua", text[at:end], at, end, line)
            line += text.count("\n", at, end)
            at = end
        if token.kind in (";", "{", "}"):
            name = ""
        elif token.kind == "word":
            name = name or token.value


def parse(text: str) -> list[Directive]:
    """Parse the directives of `text`, which may be a whole file or a fragment of complete directives.

    Raises ParseError, with the line, where nginx would not read it either.
    """
    return list(_parsed(text))


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[Directive, ...]:
    """What `parse` returns. A plan reads the same few files a dozen times, to judge, change and verify them."""
    parents: list[tuple[list[Token], int, list[Directive]]] = []
    directives: list[Directive] = []
    words: list[Token] = []
    for token in tokens(text):
        if token.kind in ("comment", "lua"):
            continue
        if token.kind == "word":
            words.append(token)
            continue
        if bool(words) == (token.kind == "}"):
            raise ParseError(f'unexpected "{token.kind}"', token.line)
        if token.kind == ";":
            directives.append(_directive(words, None, token.end))
            words = []
        elif token.kind == "{":
            parents.append((words, token.end, directives))
            words, directives = [], []
        elif not parents:
            raise ParseError('unexpected "}"', token.line)
        else:
            head, inner_start, siblings = parents.pop()
            siblings.append(_directive(head, tuple(directives), token.end, (inner_start, token.start)))
            directives = siblings
    if words or parents:
        expected = '";" or "}"' if words else '"}"'
        raise ParseError(f"unexpected end, expecting {expected}", 1 + text.count("\n"))
    return tuple(directives)


def top_comments(text: str) -> list[Token]:
    """Return the comments that stand outside every block."""
    depth, comments = 0, []
    for token in tokens(text):
        depth += (token.kind == "{") - (token.kind == "}")
        if token.kind == "comment" and depth == 0:
            comments.append(token)
    return comments


def splice(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Return `text` with each text[start:end] replaced; the edits must not overlap."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _directive(
    words: list[Token],
    children: tuple[Directive, ...] | None,
    end: int,
    inner: tuple[int, int] = (0, 0),
) -> Directive:
    name = words[0]
    return Directive(name.value, tuple(words[1:]), children, name.start, end, name.line, inner)


def _quoted_end(text: str, start: int, line: int) -> int:
    at = start + 1
    while at < len(text) and text[at] != text[start]:
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise ParseError("unexpected end, a quoted string is not closed", line)
    # A closing parenthesis is let through for the sake of `if (… = "…")`.
    if at + 1 < len(text) and text[at + 1] not in SPACE + ";{)":
        raise ParseError(f'unexpected "{text[at + 1]}" behind a quoted string', line)
    return at + 1


def _bare_end(text: str, start: int, line: int) -> int:
    at, variable = start, False
    while at < len(text):
        char = text[at]
        if char == "{" and variable:
            at += 1
            continue
        if char in SPACE + ";{":
            return at
        variable = char == "$"
        at += 2 if char == "\\" else 1
    raise ParseError('unexpected end, expecting ";" or "}"', line)


def _lua_end(text: str, start: int, line: int) -> int:
    """Return the offset of the brace that closes a block of Lua."""
    depth = 1
    for part in _LUA_PART.finditer(text, start):
        depth += (part[0] == "{") - (part[0] == "}")
        if not depth:
            return part.start()
    raise ParseError("unexpected end, a block of Lua is not closed", line)


def _unescape(raw: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), raw, flags=re.DOTALL)
