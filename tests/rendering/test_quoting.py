"""What is quoted is read back as it was, by the reader itself or by its documented rules."""

from __future__ import annotations

import shlex
from xml.etree import ElementTree

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fabfile.rendering import quoting

LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]))
WORDS = st.lists(LINES.filter(bool), min_size=1, max_size=5)
PATHS = LINES.map("/{}".format)


@given(WORDS)
@example(["/bin/echo", "100%", "$HOME", "${HOME}", 'a "b" c', "\\", ";", "it's", "a b"])
def test_systemd_reads_a_command_back_as_it_was(words: list[str]) -> None:
    assert systemd_command(quoting.exec_line(words)) == words


def test_a_semicolon_of_its_own_does_not_end_the_command() -> None:
    assert quoting.exec_line(["a", ";", "b"]) == 'a ";" b'


@given(PATHS)
def test_systemd_reads_a_single_path_back_as_it_was(path: str) -> None:
    assert specifiers_expanded(quoting.specifiers(path)) == path


@given(PATHS)
def test_systemd_reads_a_path_of_a_list_back_as_it_was(path: str) -> None:
    assert [specifiers_expanded(word) for word in systemd_split(quoting.path_word(path))] == [path]


@given(LINES)
@example("a b")
@example("$HOME `id`")
@example('\\"')
def test_an_environment_file_of_systemd_keeps_the_value(value: str) -> None:
    assert systemd_env_value(quoting.systemd_env(value)) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("no")
@example("1.10")
@example("\x85\u2028\ufeff\U0001f600")
def test_yaml_keeps_any_text(text: str) -> None:
    assert yaml.safe_load(quoting.yaml(text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_compose_interpolates_nothing(text: str) -> None:
    written = yaml.safe_load(quoting.compose(text))
    assert "$" not in written.replace("$$", "")
    assert written.replace("$$", "$") == text


@given(LINES)
def test_redis_reads_a_value_back_as_one_word(value: str) -> None:
    assert shlex.split(quoting.redis(value)) == [value]


@given(LINES)
def test_xml_keeps_the_text(text: str) -> None:
    legal = "".join(char for char in text if char not in "\ufffe\uffff")
    assert (ElementTree.fromstring(f"<a>{quoting.xml(legal)}</a>").text or "") == legal


# The readers' rules, from systemd.syntax(7), systemd.service(5), systemd.exec(5) and Compose's reference.


def systemd_split(line: str) -> list[str]:
    """Words, with double and single quotes and backslash escapes, before % and $ are looked at."""
    words: list[str] = []
    word: str | None = None
    quote, chars = "", iter(line)
    for char in chars:
        if char == "\\":
            escaped = next(chars)
            assert escaped in "\\\"'", f"unknown escape \\{escaped}"
            word = (word or "") + escaped
        elif quote:
            word, quote = (word or "", "") if char == quote else ((word or "") + char, quote)
        elif char in "\"'":
            word, quote = word or "", char
        elif char in " \t":
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + char
    assert not quote, "an open quote"
    return words if word is None else [*words, word]


def systemd_command(line: str) -> list[str]:
    assert " ; " not in line
    return [variables_expanded(specifiers_expanded(word)) for word in systemd_split(line)]


def specifiers_expanded(text: str) -> str:
    assert "%" not in text.replace("%%", ""), "a specifier"
    return text.replace("%%", "%")


def variables_expanded(text: str) -> str:
    assert "$" not in text.replace("$$", ""), "a variable"
    return text.replace("$$", "$")


def systemd_env_value(text: str) -> str:
    if not text.startswith('"'):
        assert not set(text) & set(" \"'\\#;$`"), "would need quotes"
        return text
    value, chars = "", iter(text[1:])
    for char in chars:
        if char == '"':
            assert next(chars, None) is None, "text behind the closing quote"
            return value
        if char == "\\":
            following = next(chars)
            value += following if following in '"\\`$' else char + following
        else:
            value += char
    raise AssertionError("an open quote")
