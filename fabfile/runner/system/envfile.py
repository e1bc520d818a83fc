"""Env files as their two readers read them: Compose (compose-go's dotenv) and systemd (EnvironmentFile=).

They agree on plain lines only. Compose knows `export`, comments behind values, variables and escapes; systemd knows
none of these, and passes over what is no assignment. Both readers here are held against the programs themselves by
tests/system/test_envfile.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

Values = dict[str, str]
Lookup = Callable[[str], "str | None"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # what systemd takes for a variable's name
# systemd takes no file with one of these code points, which are no characters. NUL ends a value for everybody.
_NO_CHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_UNFIT = re.compile(f"[\0{_NO_CHARACTERS}]")

# Compose, as its source has it (dotenv/parser.go, template/template.go).
_BLANKS = "\t\v\f\r \x85\xa0"  # spaces that do not end a line
_SPACES = (
    _BLANKS + "\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_LETTER = "_a-zA-Z\u017f\u212a"  # the last two are upper and lower case of an s and a k
_VARIABLE = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<named>[{_LETTER}][{_LETTER}0-9]*)"
    rf"|{{(?:(?P<braced>[{_LETTER}][{_LETTER}0-9]*(?::?[-+?].*)?)}}|(?P<invalid>)))"
)
_OPERATORS = (":?", "?", ":-", "-", ":+", "+")


class EnvFileError(ValueError):
    """The program does not take the file. Its words may name line and variable, never a value."""


def read_compose(path: Path, lookup: Lookup = lambda name: None) -> Values:
    """Name → value as Compose reads an env file. Raises OSError, and ValueError where Compose does not take it."""
    return parse_compose(path.read_bytes().decode(), lookup)


def read_systemd(path: Path) -> Values:
    """Name → value as systemd reads an EnvironmentFile. Raises OSError, and ValueError where it does not take it."""
    return parse_systemd(path.read_bytes().decode())


def parse_compose(text: str, lookup: Lookup = lambda name: None) -> Values:
    """Name → value. `lookup` has what Compose knows besides: its own environment, and the project's .env.

    Raises EnvFileError.
    """
    values: Values = {}
    rest = text[1:] if text.startswith("\ufeff") else text
    while rest := rest.lstrip(_SPACES):
        line = text.count("\n", 0, len(text) - len(rest)) + 1
        if rest[0] == "#":
            rest = rest.partition("\n")[2]
            continue
        try:
            rest = _statement(rest, values, lookup)
        except EnvFileError as error:
            raise EnvFileError(f"line {line}: {error}") from None
    return values


def parse_systemd(text: str) -> Values:
    """Name → value; what systemd takes for no assignment, or does not pass on, is left out. Raises EnvFileError."""
    values: Values = {}
    at = 0
    while at < len(text):
        char = text[at]
        if char in " \t\r\n":
            at += 1
        elif char in "#;":
            at = _after_comment(text, at)
        else:
            name, value, at = _assignment(text, at)
            if value is not None:
                if _UNFIT.search(name + value):
                    raise EnvFileError("a code point that is no character")
                values[name] = value
    return {name: value for name, value in values.items() if passed_on(name, value)}


def passed_on(name: str, value: str) -> bool:
    """Whether systemd gives such a variable to a service at all."""
    return bool(_NAME.fullmatch(name)) and not _UNFIT.search(value)


def systemd_text(values: Mapping[str, str]) -> str:
    """The lines of an EnvironmentFile that give just these variables, but for those that systemd does not pass on."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(values.items()) if passed_on(name, value))


def _quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def _statement(src: str, values: Values, lookup: Lookup) -> str:
    """Read one statement of Compose's into `values`; returns what follows it."""
    if _EXPORT.match(src):
        src = src[len("export") :].lstrip(_BLANKS)
    name, rest, inherited = _name(src)
    if " " in name:
        raise EnvFileError("a variable's name cannot contain a space")
    if inherited:
        value = lookup(name)
        if value is not None:
            values[name] = value
        return rest

    def known(variable: str) -> str | None:
        value = lookup(variable)
        return values.get(variable) if value is None else value

    try:
        value, rest = _value(rest, known)
    except EnvFileError as error:
        raise EnvFileError(f"{name}: {error}") from None
    values[name] = value
    return rest


def _name(src: str) -> tuple[str, str, bool]:
    """The name, what follows it, and whether it stands alone: then its value comes from elsewhere."""
    for at, char in enumerate(src):
        if char in "=:\n":
            return src[:at].rstrip(_SPACES), src[at + 1 :].lstrip(_BLANKS), char == "\n"
        if char not in _BLANKS and char not in "_.-[]" and unicodedata.category(char)[0] not in "LN":
            raise EnvFileError("a character that no variable's name can have")
    if not src:
        raise EnvFileError("nothing to export")
    return "", src.lstrip(_BLANKS), False


def _value(src: str, known: Lookup) -> tuple[str, str]:
    if src[:1] in ("'", '"'):
        text, rest = _in_quotes(src)
        return (_substituted(_ESCAPE.sub(_unescaped, text), known) if src[0] == '"' else text), rest
    value, _, rest = src.partition("\n")
    return _substituted(value.partition(" #")[0].rstrip(_SPACES), known), rest


def _in_quotes(src: str) -> tuple[str, str]:
    """What stands between the quotes, in which only an escaped quote has lost its backslash, and what follows."""
    chars: list[str] = []
    quote, escape = src[0], False
    for at, char in enumerate(src[1:], 1):
        if char == quote and not escape:
            return "".join(chars), src[at + 1 :]
        if char == "\\" and not escape:
            escape = True
            continue
        if escape and char != quote:
            chars.append("\\")
        chars.append(char)
        escape = False
    raise EnvFileError("a quote that is not closed")


def _unescaped(match: re.Match[str]) -> str:
    what = match[0][1:]
    if what == "$":
        return "$$"  # no variable begins here
    if what[0] != "0":
        return _ESCAPED.get(what, match[0])
    digits = what[1:]
    octal = re.fullmatch(r"[0-3][0-7]{2}", digits)
    return chr(int(digits, 8)) if octal else f"\\{digits}"


def _substituted(text: str, known: Lookup) -> str:
    """With the variables' values in place of their names."""
    return _VARIABLE.sub(lambda match: _replacement(match[0], known), text)


def _replacement(text: str, known: Lookup) -> str:
    operator = min((op for op in _OPERATORS if op in text), key=text.index, default="")
    end = _closing_brace(text)
    text, rest = (text[: end + 1], text[end + 1 :]) if end >= 0 else (text, "")
    match = _VARIABLE.search(text)
    if match and match["escaped"]:
        return "$"
    if not match or match["invalid"] is not None:
        raise EnvFileError("${ that begins no variable; $$ is a plain $")
    if match["named"]:
        return known(match["named"]) or ""
    if not operator or operator not in match["braced"]:
        return known(match["braced"]) or ""
    return _with_operator(match["braced"], operator, known) + _substituted(rest, known)


def _with_operator(text: str, operator: str, known: Lookup) -> str:
    """What stands for ${NAME:-other} and its like; a colon takes an empty value for none."""
    name, _, other = text.partition(operator)
    value = known(name)
    there = bool(value) if operator[0] == ":" else value is not None
    if operator[-1] == "?" and not there:
        raise EnvFileError(f"{name} must have a value")
    if (operator[-1] == "-" and not there) or (operator[-1] == "+" and there):
        return _substituted(other, known)
    return value or ""


def _closing_brace(text: str) -> int:
    """Where the first brace is closed, or -1. What follows an opening brace at once is passed over, as Compose does."""
    depth, at = 0, 0
    while at < len(text):
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        if text[at] == "{":
            depth += 1
            at += 1
        at += 1
    return -1


def _after_comment(text: str, at: int) -> int:
    """Where the line ends, which a backslash does not hide (since systemd 254)."""
    while at < len(text) and text[at] not in "\r\n":
        at += 1
    return at


def _assignment(text: str, at: int) -> tuple[str, str | None, int]:
    """Name and value that begin here, and where they end; without a value where the line has no =."""
    start, at = at, at + 1  # a = that stands first is part of the name
    while at < len(text) and text[at] not in "=\r\n":
        at += 1
    name = text[start:at].rstrip(" \t")
    if at == len(text) or text[at] != "=":
        return name, None, at
    value, at = _systemd_value(text, at + 1)
    return name, value, at


def _systemd_value(text: str, at: int) -> tuple[str, int]:
    chars: list[str] = []
    fixed = 0  # up to here a space at the end stays
    bare = False  # outside of quotes a quote begins some only where no bare character stands before it
    while at < len(text) and text[at] not in "\r\n":
        char = text[at]
        at += 1
        if char in "'\"" and not bare:
            inside, at = _systemd_quoted(text, at, char)
            chars += inside
            fixed = len(chars)
        elif char == "\\":
            bare = True
            if at < len(text) and text[at] not in "\r\n":
                chars.append(text[at])
            at += 1
            fixed = len(chars)
        elif bare or char not in " \t":
            bare = True
            chars.append(char)
            fixed = fixed if char in " \t" else len(chars)
    return "".join(chars[:fixed]), at


def _systemd_quoted(text: str, at: int, quote: str) -> tuple[list[str], int]:
    chars: list[str] = []
    while at < len(text) and text[at] != quote:
        char = text[at]
        at += 1
        if char != "\\" or quote == "'":
            chars.append(char)
        elif at < len(text):
            chars += [text[at]] if text[at] in '"\\`$' else ["\\", text[at]] if text[at] != "\n" else []
            at += 1
    return chars, at + 1
