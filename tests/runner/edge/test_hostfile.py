"""Edits of a proxy host's file and advanced_config: what is ours changes, the rest stays byte for byte."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import assume, given

from fabfile.runner.edge.hostfile import own_upstream, server_block, updated_file
from fabfile.runner.edge.nginx import ParseError, parse
from fabfile.runner.edge.routes import (
    BEGIN,
    END,
    Drift,
    managed_block,
    managed_config,
    route_blocks,
)
from fabfile.runner.wire.edge import Upstream
from tests.runner.edge.test_nginx import Tree, crossplane_tree
from tests.runner.support.npm_shape import (
    DOMAIN,
    OPERATORS,
    PREFIXES,
    WEB,
    Advanced,
    HostShape,
    advanced_configs,
    host_shapes,
    old_block,
    upstreams,
)

API = Upstream("api", 4000)
BRIDGE = Upstream("172.18.0.1", 4000)
BLOCK = managed_block(PREFIXES, BRIDGE)


def settings(block: Tree) -> dict[str, str]:
    """The first `set` of each of a block's own upstream variables, as crossplane reads them."""
    found: dict[str, str] = {}
    for name, args, _ in block:
        if name == "set" and args[0] in ("$forward_scheme", "$server", "$port"):
            found.setdefault(args[0], args[1])
    return found


def as_settings(upstream: Upstream) -> dict[str, str]:
    return {"$forward_scheme": upstream.scheme, "$server": upstream.host, "$port": str(upstream.port)}


def api_locations(block: Tree) -> list[tuple[str, Tree]]:
    """The pattern and contents of every location that sends an API prefix to an upstream of its own."""
    return [
        (args[-1], children)
        for name, args, children in block
        if name == "location" and children and "$server" in settings(children)
        if any(prefix in args[-1] for prefix in PREFIXES)
    ]


@given(advanced_configs())
def test_the_managed_block_is_the_only_route_block_and_the_rest_stays(advanced: Advanced) -> None:
    result = managed_config(advanced.text, BLOCK)
    assert result.count(BLOCK) == 1
    left, at = result.replace(BLOCK, ""), 0
    for own in advanced.own:
        at = left.index(own, at) + len(own)  # every part of the operator's, in its order
    [(pattern, inside)] = api_locations(crossplane_tree(result + "\n"))
    assert pattern == f"^/({'|'.join(PREFIXES)})(/|$)"
    assert settings(inside) == as_settings(BRIDGE)


@given(advanced_configs())
def test_the_managed_block_stands_where_the_first_route_block_stood(advanced: Advanced) -> None:
    assume(advanced.ours)
    first = min(advanced.text.index(block) for block in advanced.ours)
    result = managed_config(advanced.text, BLOCK)
    assert result.startswith(advanced.text[:first] + BLOCK)


@given(advanced_configs())
def test_managing_twice_changes_nothing_more(advanced: Advanced) -> None:
    once = managed_config(advanced.text, BLOCK)
    assert managed_config(once, BLOCK) == once


@given(advanced_configs(), upstreams)
def test_the_way_back_differs_in_nothing_but_the_upstream(advanced: Advanced, upstream: Upstream) -> None:
    there = managed_config(advanced.text, BLOCK)
    back = managed_config(there, managed_block(PREFIXES, upstream))
    assert managed_config(back, BLOCK) == there
    assert back == there.replace(BLOCK, managed_block(PREFIXES, upstream))


@given(host_shapes(), upstreams)
def test_an_updated_file_is_what_npm_itself_would_write(shape: HostShape, upstream: Upstream) -> None:
    """The strongest statement there is: it equals a fresh rendering of NPM's template, byte for byte."""
    advanced = managed_config(shape.advanced, BLOCK)
    result = updated_file(shape.render(), DOMAIN, upstream, shape.advanced, advanced)
    assert result == dataclasses.replace(shape, upstream=upstream, advanced=advanced).render()
    assert updated_file(result, DOMAIN, upstream, advanced, advanced) == result


@given(host_shapes(), upstreams)
def test_crossplane_reads_the_wanted_upstreams_in_an_updated_file(shape: HostShape, upstream: Upstream) -> None:
    advanced = managed_config(shape.advanced, BLOCK)
    tree = crossplane_tree(updated_file(shape.render(), DOMAIN, upstream, shape.advanced, advanced))
    [server] = [children for name, _, children in tree if name == "server"]
    assert server is not None
    assert settings(server) == as_settings(upstream)
    [(_, inside)] = api_locations(server)
    assert settings(inside) == as_settings(BRIDGE)


@given(host_shapes(), upstreams)
def test_the_way_there_and_back_restores_every_byte(shape: HostShape, upstream: Upstream) -> None:
    text, advanced = shape.render(), managed_config(shape.advanced, BLOCK)
    there = updated_file(text, DOMAIN, upstream, shape.advanced, advanced)
    assert updated_file(there, DOMAIN, shape.upstream, advanced, shape.advanced) == text


@given(host_shapes())
def test_a_file_has_its_own_upstream(shape: HostShape) -> None:
    assert own_upstream(server_block(shape.render(), DOMAIN)) == shape.upstream


def test_the_samples_own_block_is_adopted_in_place() -> None:
    current = old_block(("ws", "replay", "prints"), API)
    assert managed_config(current, BLOCK) == BLOCK


def test_both_blocks_of_the_later_script_become_one_at_the_first_ones_place() -> None:
    """nginx takes the first matching location: a second block behind an old one never matches."""
    current = "\n".join([old_block(("ws", "flow"), API), OPERATORS[2], old_block(PREFIXES, BRIDGE, "(/|$)"), ""])
    assert managed_config(current, BLOCK) == f"{BLOCK}\n{OPERATORS[2]}\n"


def test_without_any_block_ours_is_appended() -> None:
    assert managed_config("", BLOCK) == BLOCK
    assert managed_config("client_max_body_size 1m;", BLOCK) == f"client_max_body_size 1m;\n{BLOCK}"


def test_text_on_the_same_line_is_not_swallowed_by_the_closing_marker() -> None:
    current = old_block(("ws",), API) + " client_max_body_size 1m; # why"
    result = managed_config(current, BLOCK)
    assert [directive.name for directive in parse(result)] == ["location", "client_max_body_size"]
    assert managed_config(result, BLOCK) == result


def test_windows_line_ends_around_the_markers_are_kept() -> None:
    current = "a b;\r\n" + BLOCK.replace("\n", "\r\n") + "\r\nc d;\r\n"
    assert managed_config(current, BLOCK) == f"a b;\r\n{BLOCK}\r\nc d;\r\n"


@pytest.mark.parametrize("marker", [BEGIN, END, f"{BEGIN}\n{BEGIN}\na b;\n{END}"])
def test_a_marker_without_its_counterpart_is_refused(marker: str) -> None:
    with pytest.raises(Drift, match="counterpart"):
        managed_config(marker + "\n", BLOCK)


def test_an_old_block_that_routes_more_than_the_api_is_refused_by_name() -> None:
    with pytest.raises(Drift, match=r"line 2: .* also tickets: add these"):
        managed_config("a b;\n" + old_block(("ws", "tickets"), API), BLOCK)


def test_an_old_block_that_an_operator_has_extended_is_refused_by_name() -> None:
    extended = old_block(("ws",), API).replace("  include", "  auth_basic closed;\n  include")
    with pytest.raises(Drift, match="`auth_basic closed`"):
        managed_config(extended, BLOCK)


def test_an_advanced_config_that_closes_the_server_block_is_refused() -> None:
    with pytest.raises(ParseError):
        managed_config("}\nserver {\n", BLOCK)


def test_a_route_block_has_its_prefixes_and_its_upstream() -> None:
    [found] = route_blocks(parse(BLOCK))
    assert (found.prefixes, found.upstream) == (PREFIXES, BRIDGE)


@pytest.mark.parametrize("prefixes", [("a|b",), ("",), ("a b",), ("ws\n",), ("{",)])
def test_a_prefix_that_is_no_plain_word_never_reaches_nginx(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="plain path prefix"):
        managed_block(prefixes, API)


@pytest.mark.parametrize(
    ("host", "port", "scheme"),
    [
        ("a b", 1, "http"),
        ("", 1, "http"),
        ('x";', 1, "http"),
        ("x\n", 1, "http"),
        ("-x", 1, "http"),
        ("x", 0, "http"),
        ("x", 65536, "http"),
        ("x", 1, "ftp"),
    ],
)
def test_an_upstream_that_nginx_could_misread_cannot_be_made(host: str, port: int, scheme: str) -> None:
    with pytest.raises(ValueError, match=r"is no|neither"):
        Upstream(host, port, scheme)


def test_a_file_of_another_host_is_refused() -> None:
    text = HostShape(names=(f"api.{DOMAIN}",)).render()
    with pytest.raises(Drift, match="0 server blocks"):
        updated_file(text, DOMAIN, WEB, "", "")


def test_two_server_blocks_of_the_name_are_refused() -> None:
    with pytest.raises(Drift, match="2 server blocks"):
        updated_file(HostShape().render() * 2, DOMAIN, WEB, "", "")


def test_a_file_that_is_no_configuration_is_refused_with_its_line() -> None:
    with pytest.raises(Drift, match=rf"{DOMAIN}: .* line 2"):
        updated_file("server {\n}}\n", DOMAIN, WEB, "", "")


@pytest.mark.parametrize(
    ("in_file", "in_database", "words"),
    [
        ("a b;", "a c;", r"line 1 is 'a c;' in the database, 'a b;' in the file"),
        ("a b;\nc d;", "a b;", r"goes on with 'c d;'"),
        ("a b;", "a b;\nc d;", r"line 2 is 'c d;' in the database, '' in the file"),
        ("a b;", "", r"line 1 is '' in the database, 'a b;' in the file"),
        ("", "a b;", r"'a b;' in the database, '' in the file"),
    ],
)
def test_drift_of_the_advanced_config_is_named(in_file: str, in_database: str, words: str) -> None:
    text = HostShape(advanced=in_file).render()
    with pytest.raises(Drift, match=f"{DOMAIN}: .*{words}"):
        updated_file(text, DOMAIN, WEB, in_database, in_database)


def test_a_stale_block_that_only_the_file_has_is_refused() -> None:
    text = HostShape(advanced="a b;\n\n" + old_block(("ws",), API)).render()
    with pytest.raises(Drift, match=r"2 times \(lines \d+, \d+\)"):
        updated_file(text, DOMAIN, WEB, "a b;", "a b;\n" + BLOCK)


def test_an_upstream_that_an_operator_overrides_is_refused() -> None:
    advanced = 'set $server "mine";'
    with pytest.raises(Drift, match=r"`set \$server` 2 times"):
        updated_file(HostShape(advanced=advanced).render(), DOMAIN, WEB, advanced, advanced)


def test_a_dot_in_a_prefix_is_a_dot_to_nginx_and_read_back() -> None:
    """Unescaped it would be any character: /v1x0 would go to the API as well."""
    prefixes = ("v1.0", "option_prints", "ws")
    block = managed_block(prefixes, API)
    assert r"location ~ ^/(v1\.0|option_prints|ws)(/|$) {" in block
    (found,) = route_blocks(parse(block))
    assert (found.prefixes, found.upstream) == (prefixes, API)
    ((pattern, _),) = [(args[-1], children) for _, args, children in crossplane_tree(block) if children]
    matching = re.compile(pattern)
    assert matching.match("/v1.0/x") and matching.match("/option_prints") and not matching.match("/v1x0/x")
    assert managed_config(block, block) == block


def test_a_block_of_the_old_scripts_with_a_dot_is_adopted() -> None:
    block = managed_block(("v1.0", "ws"), API)
    assert managed_config(old_block(("v1.0", "ws"), WEB), block) == block


@pytest.mark.parametrize("prefix", [".", "..", "a/b", "a|b", "a)", "a$", ""])
def test_what_is_no_prefix_never_reaches_the_edge(prefix: str) -> None:
    with pytest.raises(ValueError, match="no plain path prefix"):
        managed_block((prefix,), API)
