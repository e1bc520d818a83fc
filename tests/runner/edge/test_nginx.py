"""Our reader of nginx configuration, against crossplane's."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import crossplane
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.edge.nginx import Directive, ParseError, parse, splice, tokens, top_comments
from tests.runner.support.npm_shape import advanced_configs, host_shapes

Tree = list[tuple[str, tuple[str, ...], "Tree | None"]]


def crossplane_tree(text: str) -> Tree:
    """What crossplane reads in `text`."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        payload = crossplane.parse(file.name, single=True, check_ctx=False, check_args=False)
    assert payload["status"] == "ok", payload["errors"]
    return _theirs(payload["config"][0]["parsed"])


def _theirs(items: Sequence[dict[str, Any]]) -> Tree:
    return [
        (item["directive"], tuple(item["args"]), _theirs(item["block"]) if "block" in item else None)
        for item in items
        if item["directive"] != "#"  # a comment in the middle of a directive
    ]


def our_tree(directives: Sequence[Directive]) -> Tree:
    """The same of ours. crossplane drops the brackets of an `if`."""
    found: Tree = []
    for directive in directives:
        values = directive.values
        if directive.name == "if":
            words = (values[0].removeprefix("("), *values[1:-1], values[-1].removesuffix(")"))
            values = tuple(word for word in words if word)
        children = None if directive.children is None else our_tree(directive.children)
        found.append((directive.name, values, children))
    return found


# Words as (as written, as meant). crossplane leaves escapes in bare words alone, so none are meant there.
_letters = "abcXYZ019_-./:^$|()*~[]="
_plain = st.text(_letters, min_size=1, max_size=12).filter(lambda word: word[0] not in "$(" and not word.endswith("$"))
_bare = st.one_of(
    _plain.map(lambda w: (w, w)), st.sampled_from([("${host}x", "${host}x"), ("a#b", "a#b"), ("a'b", "a'b")])
)
_inside = st.text(_letters + " ;{}#\n", max_size=16)
_words = st.one_of(
    _bare,
    _inside.map(lambda inner: (f'"{inner}"', inner)),
    _inside.map(lambda inner: (f"'{inner}'", inner)),
    _inside.map(lambda inner: (f'"{inner}\\"{inner}"', f'{inner}"{inner}')),
    _inside.map(lambda inner: (f"'it\\'s {inner}'", f"it's {inner}")),
)
_names = st.sampled_from(["set", "location", "server", "map", "default", "proxy_pass"])
_gaps = st.sampled_from([" ", "\n  ", "\t", " # set $a { } ;\n", "\r\n"])
_comments = st.sampled_from(["", "# plain\n", '# "open { quote\n', "   #}\n"])


@st.composite
def configurations(draw: st.DrawFn, depth: int = 3) -> tuple[str, Tree]:
    """A configuration's text, and what it means."""
    text, tree = "", []
    for _ in range(draw(st.integers(0, 3))):
        name, words = draw(_names), draw(st.lists(_words, max_size=3))
        text += draw(_comments) + name + "".join(draw(_gaps) + written for written, _ in words)
        children: Tree | None = None
        if depth and draw(st.booleans()):
            inner, children = draw(configurations(depth=depth - 1))
            text += " {\n" + inner + "}\n"
        else:
            text += ";\n"
        tree.append((name, tuple(meant for _, meant in words), children))
    return text, tree


@given(configurations())
def test_the_reader_understands_what_was_written_and_agrees_with_crossplane(made: tuple[str, Tree]) -> None:
    text, meant = made
    assert our_tree(parse(text)) == meant
    assert crossplane_tree(text) == meant


@given(host_shapes())
def test_the_reader_agrees_with_crossplane_on_generated_host_files(shape: Any) -> None:
    text = shape.render()
    assert our_tree(parse(text)) == crossplane_tree(text)


@given(configurations())
def test_offsets_are_those_of_the_text(made: tuple[str, Tree]) -> None:
    text, _ = made
    for directive in parse(text):
        assert our_tree(parse(text[directive.start : directive.end])) == our_tree([directive])
        assert text.count("\n", 0, directive.start) + 1 == directive.line
        if directive.children is not None:
            inside = text[directive.inner[0] : directive.inner[1]]
            assert our_tree(parse(inside)) == our_tree(directive.children)
    between, at = "", 0
    for token in tokens(text):
        between += text[at : token.start]
        at = token.end
    assert (between + text[at:]).strip() == "", "everything but white space belongs to a token"


@given(configurations())
def test_splicing_every_word_with_itself_changes_nothing(made: tuple[str, Tree]) -> None:
    text, _ = made
    assert splice(text, [(t.start, t.end, text[t.start : t.end]) for t in tokens(text)]) == text


@given(advanced_configs())
def test_fragments_are_read_as_well(advanced: Any) -> None:
    assert our_tree(parse(advanced.text)) == crossplane_tree(advanced.text + "\n")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("server {\n  listen 80;\n", 3, "unexpected end"),
        ("listen 80;\n}\n", 2, 'unexpected "}"'),
        ("server {\n  listen 80\n}", 3, 'unexpected "}"'),
        ("listen 80; ;\n", 1, 'unexpected ";"'),
        ("\n{ }\n", 2, 'unexpected "{"'),
        ('set $a "open;\n', 1, "quoted string"),
        ('set $a "b"c;\n', 1, 'unexpected "c"'),
        ("a b;\nset $a", 2, "unexpected end"),
        ("a \\", 1, "unexpected end"),
    ],
)
def test_what_nginx_would_not_read_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ParseError, match=r"^line \d+: ") as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"a b\;c;", r"b\;c"),
        (r'a "tab\tquote\"back\\slash\.";', 'tab\tquote"back\\slash\\.'),
        ("a b}c;", "b}c"),
    ],
)
def test_words_are_read_as_nginx_reads_them_where_crossplane_does_not(text: str, value: str) -> None:
    assert parse(text)[0].values == (value,)


def test_only_comments_outside_of_blocks_and_strings_are_top_comments() -> None:
    text = '# one\na "# two";\nb { # three\n}\n# four'
    assert [comment.value for comment in top_comments(text)] == ["# one", "# four"]


LUA = """
    -- a comment with a brace {  and a quote '
    local s = "}" .. '{"' .. [[ }} ]] .. [==[ ]] } ]==]
    --[[ a long
         one } ]]
    if ngx.var.uri:find("^/x{") then local t = { a = { 1 }, ["}"] = 2 } end
"""


@pytest.mark.parametrize(
    "name", ["access_by_lua_block", "content_by_lua_block", "set_by_lua_block $x", "log_by_lua_block"]
)
@pytest.mark.parametrize("lua", ["", "\n", LUA, " return { } "])
def test_a_block_of_lua_is_read_over(name: str, lua: str) -> None:
    text = f"location / {{\n  {name} {{{lua}}}\n  return 404;\n}}\nlisten 80;\n"
    [location, listen] = parse(text)
    [block, answer] = location.children or ()
    assert (block.name, block.children) == (name.split()[0], ()) and text[slice(*block.inner)] == lua
    assert (answer.name, listen.name) == ("return", "listen")
    assert listen.line == 1 + text[: listen.start].count("\n")
    assert splice(text, [(t.start, t.end, text[t.start : t.end]) for t in tokens(text)]) == text


def test_a_block_of_lua_that_is_not_closed_is_refused_with_its_line() -> None:
    with pytest.raises(ParseError, match=r"line 2: .*Lua is not closed"):
        parse('a b;\naccess_by_lua_block { local s = "}" \n')


def test_a_word_that_ends_like_lua_is_no_block_of_lua() -> None:
    [block] = parse("location x_by_lua_block {\n  return 404;\n}\n")
    assert [child.name for child in block.children or ()] == ["return"]
