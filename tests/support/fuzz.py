"""Damages valid input at random, in the same way for the same seed, and reports each kind of fault once.

FUZZ_EXAMPLES is how many inputs each property tries; a test that is slower than others tries a share of them.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 200)
_REPOSITORY = str(Path(__file__).parents[2])

TEXTS = (
    *("", " ", "\n", "\0", "a b", "/", "..", "/../x", "-", "--", "%n", "$HOME", "${x", "~", '"', "'", "\\", "#", "[a]"),
    *(
        "-1",
        "0",
        "00",
        "1.5",
        "1e999",
        "NaN",
        "null",
        "true",
        "{}",
        "[]",
        "9" * 25,
        "9" * 5000,
        "x" * 3000,
        "{x}",
        "?:",
    ),
    *("ü—…", "\ufeffx", "\u202e", "\U0001f980", "१२", "²", "а.б", "xn--a", "Verbindung abgelehnt", "Нет такого файла"),
)
_VALUES: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 70000, 1 << 63, 1 << 90, 1.5, -0.0, 1e300, float("inf"), float("nan")),
    *([], {}, [[]], [None], [1, "a"], {"": None}, {"a": {"b": []}}, [{}], {"type": "plain"}, {"type": "X", "a": 1}),
)
_OTHER_LANGUAGE = {"Status": "Zustand", "active": "aktiv", "running": "läuft", "Default": "Voreinstellung", "yes": "да"}
Path_ = tuple[str | int, ...]


def search(act: Callable[[Random], object], *expected: type[Exception], share: float = 1.0) -> None:
    """Call `act` with so many seeds. Fails with one seed for each place where something but `expected` was raised."""
    faults: dict[str, str] = {}
    for seed in range(max(10, round(EXAMPLES * share))):
        try:
            act(Random(seed))
        except expected:
            continue
        except Exception as error:  # noqa: BLE001  whatever it is, it is what this looks for
            kind = str(error)[:100] if isinstance(error, AssertionError) else type(error).__name__
            faults.setdefault(f"{_place(error)} {kind}", f"seed {seed}: {str(error)[:300]}")
    assert not faults, "\n".join(f"{place}\n    {text}" for place, text in faults.items())


def _place(error: Exception) -> str:
    """The innermost line of this project's where it happened, and the one below which that was called."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_REPOSITORY)]
    own = [frame for frame in frames if "/fabfile/" in frame.filename] or frames
    return " < ".join(f"{frame.filename[len(_REPOSITORY) + 1 :]}:{frame.lineno}" for frame in own[:-3:-1])


# ── Bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def damaged(chance: Random, content: bytes) -> bytes:
    """The content after one to three accidents: cut off, garbled, in another language or encoding, doubled, empty."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        content = chance.choice(_ACCIDENTS)(chance, content)
    return content


def text(chance: Random, content: str) -> str:
    """As `damaged`, for text as programs' output is read: what is no UTF-8 is replaced."""
    return damaged(chance, content.encode()).decode(errors="replace")


def _cut(chance: Random, content: bytes) -> bytes:
    return content[: chance.randint(0, len(content))]


def _without_start(chance: Random, content: bytes) -> bytes:
    return content[chance.randint(0, len(content)) :]


def _garbled(chance: Random, content: bytes) -> bytes:
    at = chance.randint(0, len(content))
    return content[:at] + chance.randbytes(chance.randint(1, 12)) + content[at + chance.randint(0, 12) :]


def _inserted(chance: Random, content: bytes) -> bytes:
    at = chance.randint(0, len(content))
    return content[:at] + chance.choice(TEXTS).encode() + content[at + chance.randint(0, 6) :]


def _word_replaced(chance: Random, content: bytes) -> bytes:
    words = content.split(b" ")
    words[chance.randrange(len(words))] = chance.choice(TEXTS).encode()
    return b" ".join(words)


def _lines_moved(chance: Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if not lines:
        return b"\n\n"
    at = chance.randrange(len(lines))
    return b"".join(chance.choice((lines[:at] + lines[at + 1 :], [*lines, lines[at]], sorted(lines), lines[::-1])))


def _translated(chance: Random, content: bytes) -> bytes:
    for word, other in _OTHER_LANGUAGE.items():
        content = content.replace(word.encode(), other.encode())
    return content


def _encoded(chance: Random, content: bytes) -> bytes:
    as_text = content.decode(errors="replace")
    return as_text.encode(chance.choice(("utf-16", "latin-1", "utf-8-sig", "utf-32")), errors="replace")


def _something_else(chance: Random, content: bytes) -> bytes:
    deep = chance.choice((b"[", b'{"a":', b"(", b"{ "))
    return chance.choice((b"", b"\0", deep * 30_000, content + content, chance.choice(TEXTS).encode(), b"\xff\xfe" * 9))


_ACCIDENTS: Sequence[Callable[[Random, bytes], bytes]] = (
    *(_cut, _without_start, _garbled, _inserted, _word_replaced, _lines_moved),
    *(_translated, _encoded, _something_else, _inserted, _word_replaced),
)

# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def swapped(chance: Random, value: Any) -> Any:
    """Plain data with one to three values replaced, dropped, doubled or moved, at any depth."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        value = _changed(chance, value, chance.choice(places)) if places else chance.choice(_VALUES)
    return value


def as_json(chance: Random, value: Any) -> str:
    """The data as JSON after an accident: another type at some depth, a key twice, or bytes that are no JSON."""
    if chance.random() < 0.2:
        return text(chance, json.dumps(value))
    content = json.dumps(swapped(chance, value))
    if chance.random() < 0.05:  # the later one of two equal keys counts
        content = content.replace("}", f', "{chance.choice(("type", "name", "Id", ""))}": 5}}', 1)
    return content


def _places(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*at, key))


def _changed(chance: Random, value: Any, at: Path_) -> Any:
    """A copy of the value with another one in a place, or without it."""
    key, rest = at[0], at[1:]
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = _changed(chance, copy[key], rest)
    elif chance.random() < 0.2:
        del copy[key]
    elif isinstance(copy, dict) and chance.random() < 0.15:
        copy[chance.choice(TEXTS)] = copy.pop(key)
    else:
        copy[key] = _other(chance, copy[key])
    return copy


def _other(chance: Random, value: Any) -> Any:
    kind = chance.random()
    if kind < 0.1:
        return [value]
    if kind < 0.2:
        return {"a": value}
    if kind < 0.3:
        return str(value)
    return chance.choice(_VALUES if kind < 0.7 else TEXTS)
