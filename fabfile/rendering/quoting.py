"""How a value is written so that its reader gets just that value: systemd, env files, Compose, Redis, XML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@=,+-]+", re.ASCII)


def specifiers(text: str) -> str:
    """For a unit's settings that take one value as it stands (a path, a description): only % is special."""
    return text.replace("%", "%%")


def exec_word(text: str) -> str:
    """One word of a unit's ExecStart= and its like: no specifier, no variable, no split at spaces."""
    plain = text.replace("%", "%%").replace("$", "$$")
    return plain if _PLAIN_WORD.fullmatch(text) else _double_quoted(plain)


def exec_line(words: Iterable[str]) -> str:
    """A whole command for ExecStart= and its like."""
    return " ".join(exec_word(word) for word in words)


def path_word(text: str) -> str:
    """One path of a unit's list of paths, such as ReadWritePaths=: there $ is an ordinary character."""
    plain = specifiers(text)
    return plain if _PLAIN_WORD.fullmatch(text) else _double_quoted(plain)


def bind_word(pair: Sequence[str]) -> str:
    """A source and a target as one word of BindPaths=, whose colons separate them."""
    source, target = (path.replace(":", "\\:") for path in pair)
    return path_word(f"{source}:{target}")


def systemd_env(value: str) -> str:
    """A value in a file for EnvironmentFile=, where a $ stands for itself."""
    return value if _PLAIN_WORD.fullmatch(value) else _double_quoted(value)


def compose(value: object) -> str:
    """A scalar of a Compose file: quoted YAML whose $ begins no variable."""
    return yaml(str(value).replace("$", "$$"))


def yaml(text: str) -> str:
    """A string of a YAML file, in double quotes."""
    return '"' + "".join(_yaml_char(char) for char in text) + '"'


def redis(text: str) -> str:
    """A value in redis.conf."""
    return text if _PLAIN_WORD.fullmatch(text) else _double_quoted(text)


def xml(text: object) -> str:
    """The text of an XML element."""
    return escape(str(text))


def _double_quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _yaml_char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
