"""Which location serves a path and where it leads: what is said of a file, against nginx's own choice."""

from __future__ import annotations

import http.client
import random
from pathlib import Path

import pytest

from fabfile.runner.edge.routes import Drift, managed_block
from fabfile.runner.edge.routing.configuration import restrictions
from fabfile.runner.edge.routing.destinations import (
    BLOCK,
    FIXED,
    NGINX,
    ROW,
    UNKNOWN,
    answered_alone,
    asked_instead,
    serving,
    strays,
    unled,
)
from fabfile.runner.edge.routing.locations import HTTP, Includes, Undecided, chosen, whole_server
from fabfile.runner.wire.edge import NO_ANSWER, Upstream
from tests.runner.support.nginx_server import free_port, nginx
from tests.runner.support.npm_shape import DOMAIN, OPERATORS, WEB, HostShape

PREFIXES = ("ws", "history", "option-prints")
API = Upstream("api", 4000)
OURS = managed_block(PREFIXES, API)
ROOT = "  location / {"


def file(*advanced: str, root: str = "", paths: tuple[str, ...] = ()) -> str:
    """The app's file, with what an operator has pasted; `root` stands for NPM's own `location /`."""
    text = HostShape(WEB, "\n".join(advanced), paths=paths).render()
    if root:
        start = text.index(ROOT)
        text = text[:start] + root + text[text.index("  # Custom\n  include", start) - 1 :]
    return text


def wrong(text: str, includes: Includes | None = None, path: str = "") -> list[str]:
    return unled(text, "1.conf", includes or {}, DOMAIN, PREFIXES, path, text)


def kind(text: str, path: str) -> str:
    return serving(whole_server(text, "1.conf", {}, DOMAIN), path, PREFIXES).kind


def line_of(text: str, words: str) -> int:
    return text[: text.index(words)].count("\n") + 1


def test_what_npm_writes_is_led_by_the_row_and_our_block() -> None:
    text = file(OURS)
    assert wrong(text) == [] and strays(text, "1.conf", {}, DOMAIN, PREFIXES) == []
    assert [kind(text, path) for path in ("/", "/x", "/ws", "/ws/live", "/wss")] == [ROW, ROW, BLOCK, BLOCK, ROW]


@pytest.mark.parametrize(
    ("location", "path", "refused"),
    [
        ("location = / { return 302 /app; }", "", False),
        ("location = / { return 302 /app; }", "/app", False),
        ("location = / { return 200 hello; }", "/health", False),
        ("location = /ws { return 404; }", "", False),
        ("location = / { return 302 /app; }", "/", True),  # then what is asked through the edge shows nothing
        ("location / { return 302 /app; }", "", True),  # the app has no page any more
        ("location ^~ /ws { return 404; }", "", True),
    ],
)
def test_what_nginx_answers_at_one_path_is_so_whoever_owns(location: str, path: str, refused: bool) -> None:
    text = file(location, OURS, root="" if "= " in location or "^" in location else location)
    assert bool(wrong(text, path=path)) == refused
    (said,) = answered_alone(text, "1.conf", {}, DOMAIN, PREFIXES) if "= " in location else ("",)
    assert "= " not in location or "is answered by nginx itself" in said


@pytest.mark.parametrize(
    ("target", "instead"),
    [
        ("301 /app", "/app"),
        ("301 $scheme://$host/app", "/app"),
        (f"308 https://{DOMAIN}/app?a=b", "/app?a=b"),
        ("301 https://elsewhere.example/app", "/?x=1"),
        ("301 /ws", "/ws"),
        ("301 /$arg_page", "/?x=1"),
        ("301 /", "/?x=1"),
        ("301 http://[half/app", "/?x=1"),
        ("200 hello", "/?x=1"),
        ("444", "/?x=1"),
    ],
)
def test_where_a_redirect_leads_is_asked_in_place_of_the_path(target: str, instead: str) -> None:
    text = file(f"location = / {{ return {target}; }}", OURS)
    assert asked_instead(text, "1.conf", {}, DOMAIN, PREFIXES, "/?x=1") == instead
    assert asked_instead(file(OURS), "1.conf", {}, DOMAIN, PREFIXES, "/?x=1") == "/?x=1"


@pytest.mark.parametrize("own", OPERATORS[2:])
def test_what_operators_have_beside_it_is_no_reason_to_refuse(own: str) -> None:
    assert wrong(file(own, OURS)) == []


@pytest.mark.parametrize(
    ("advanced", "root", "samples", "words"),
    [
        ("", "location / { proxy_pass http://web:3000; }", "/, /…", "leads to web:3000 by itself"),
        ("", "location / { set $server web; include conf.d/include/proxy.conf; }", "/, /…", "leads to web:3000"),
        ("location ^~ /history { proxy_pass http://api:4000; }", "", "/history, /history/…", "leads to api:4000"),
        ("location = / { proxy_pass http://web:3000; }", "", "/", "leads to web:3000"),
        ("location ~ ^/hist { proxy_pass http://api:4000; }", "", "/history, /history/…", "leads to api:4000"),
        ("location ~* ^/HIST { proxy_pass http://api:4000$request_uri; }", "", "/history, /history/…", "leads to api"),
        ("location ~ . { proxy_pass http://all:1; }", "", "/, /…", "leads to all:1"),
        ("location = /ws { proxy_pass http://api:4000; }", "", "/ws", "leads to api:4000"),
        ("location /ws/ { proxy_pass http://api:4000; }", "", "/ws", "redirect it to the same path with a slash"),
        ("location ~ ^/(?|ws)/ { return 404; }", "", "/, /…", "may come first: its regular expression can't be read"),
        ("location ~ ^/[[:alpha:]]+$ { return 404; }", "", "/, /…", "may come first"),
        ("rewrite ^/history(.*) /past$1 last;", "", "/history, /history/…", "`rewrite ^/history(.*) /past$1 last`"),
        ("return 503;", "", "/, /…", "is answered by nginx itself: `return 503`"),
        ("", "location / { try_files $uri @web; }", "/, /…", "can't be told, because of its `try_files`"),
        ("", "location / { root /data/www; }", "/, /…", "is answered by nginx itself"),
        ("", "location / { proxy_pass http://$backend; }", "/, /…", "can't be told: `http://$backend`"),
        ("set $up http://web:3000;", "location / { proxy_pass $up; }", "/, /…", "leads to web:3000"),
        ("", "location / { proxy_pass https://$server:$port; }", "/, /…", "by itself"),
        ("", "location / { proxy_pass http://$server:3001; }", "/, /…", "leads to web:3001"),
        ("", "location / { if ($a) { proxy_pass http://b; } proxy_pass http://$server:$port; }", "/, /…", "its `if`"),
        ("if ($http_x) { set $server other; }", "", "/, /…", "can't be told"),
        ("include /snippets/more.conf;", "", "/, /…", "can't be read, so which location wins can't be told"),
        (
            "",
            "location / { location ~ ^/history { proxy_pass http://api:4000; } include conf.d/include/proxy.conf; }",
            "/history, /history/…",
            "leads to api:4000",
        ),
    ],
)
def test_what_is_not_led_is_named_with_its_line_and_words(advanced: str, root: str, samples: str, words: str) -> None:
    problems = wrong(file(advanced, OURS, root=root))
    assert [problem for problem in problems if words in problem and f"{DOMAIN}: {samples}" in problem], problems
    assert all("(1.conf, line " in problem for problem in problems)


def test_the_line_is_the_locations_own() -> None:
    text = file(OURS, "location ^~ /history { proxy_pass http://api:4000; }")
    [problem] = wrong(text)
    assert f"`location ^~ /history` (1.conf, line {line_of(text, 'location ^~')}) leads to api:4000" in problem


@pytest.mark.parametrize(
    "root",
    [
        "location / { proxy_pass http://$server:$port; }",
        "location / { proxy_pass $forward_scheme://$server:$port$request_uri; }",
        'location / { set $up "http://${server}:$port"; proxy_pass $up; }',
        "location / { if ($request_method = POST) { return 405; } include conf.d/include/proxy.conf; }",
        "location / { rewrite ^/old /new last; rewrite ^/(.*)$ /$1 break; include conf.d/include/proxy.conf; }",
        "location / { location ~ \\.css$ { proxy_pass http://cdn; } include conf.d/include/proxy.conf; }",
        "location / { access_log off; }\nlocation = / { include conf.d/include/proxy.conf; }",
    ],
)
def test_what_the_row_leads_in_other_words_is_led(root: str) -> None:
    problems = wrong(file(OURS, root=root))
    assert not [problem for problem in problems if f"{DOMAIN}: /," in problem or f"{DOMAIN}: /:" in problem]


def test_a_path_of_the_checks_is_looked_at_as_well() -> None:
    text = file(OURS, "location = /health { return 200; }")
    assert wrong(text) == [] and "/health: `location = /health`" in wrong(text, path="/health")[0]


def test_what_a_file_includes_stands_in_its_place() -> None:
    include = "/data/nginx/custom/server_proxy[.]conf"
    name = "/data/nginx/custom/server_proxy.conf"
    problems = wrong(file(OURS), {include: {name: "\nlocation = / { proxy_pass http://web:3000; }"}})
    assert problems == [
        f"{DOMAIN}: /: `location = /` ({name}, line 2) leads to web:3000 by itself, whatever the row says"
    ]
    assert "can't be read" in wrong(file(OURS), {include: {name: "location {{"}})[0]
    assert wrong(file(OURS), {include: {}}) == []


def test_an_upstream_block_of_the_hosts_own_is_no_row() -> None:
    """As a coming version of NPM may write it: `set $server` changes nothing then."""
    text = "upstream host_1 {\n  server web:3000;\n}\n" + file(root="location / { proxy_pass http://host_1; }")
    [problem, *_] = wrong(text)
    assert "leads to the upstream block host_1 (web)" in problem
    [stray] = strays(text, "1.conf", {}, DOMAIN, PREFIXES)
    assert stray.kind == FIXED and "web" in stray.hosts


@pytest.mark.parametrize(
    ("advanced", "host"),
    [
        ("location /docs { proxy_pass http://web:3000/docs; }", "web"),
        ("location /docs { set $x WEB; proxy_pass http://$x:3000; }", "web"),
        ("set $x http://web:3000;\nlocation /docs { proxy_pass $x; }", "web"),
        ("location ~ \\.js$ { proxy_pass http://172.20.0.5; expires 30d; }", "172.20.0.5"),
        ("location /a { location /a/b { proxy_pass http://web:3000; } }", "web"),
        ("location @down { proxy_pass http://web:3000; }", "web"),
        ("location /docs { if ($a) { set $server web; } include conf.d/include/proxy.conf; }", "web"),
        ("location /docs { set $port 9229; include conf.d/include/proxy.conf; }", "web"),
        ("if ($http_x) { set $server web; }\nlocation /docs { include conf.d/include/proxy.conf; }", "web"),
        ("location /rpc { grpc_pass grpc://api:4000; }", "api"),
    ],
)
def test_every_place_of_a_locations_own_is_found(advanced: str, host: str) -> None:
    found = strays(file(advanced, OURS), "1.conf", {}, DOMAIN, PREFIXES)
    assert found and all(host in outcome.hosts for outcome in found), found


HTTP_CONF = "/data/nginx/custom/http.conf"
DEFINED = """
upstream web_backend { server web:3000; server unix:/run/x.sock backup; }
upstream unread { server web:3000; include /data/more.conf; }
map $uri $docs_backend { default web_backend; ~^/old http://api:4000; }
map $uri $port_there { default 3000; }
split_clients $remote_addr $half { 50% web; * grafana; }
geo $there { default grafana; include /data/geo.conf; }
"""


@pytest.mark.parametrize(
    ("passed", "hosts", "problem"),
    [
        ("http://web_backend/docs", {"web"}, ""),
        ("http://$docs_backend", {"web"}, ""),
        ("$docs_backend", {"web", "api"}, ""),
        ("http://web:$port_there/x", {"web"}, ""),
        ("http://$half:3000$request_uri", {"web", "grafana"}, ""),
        ("http://pre-$half:3000", {"pre-web", "pre-grafana"}, ""),
        ("$scheme://web.:3000", {"web."}, ""),
        ("http://$there", {"grafana"}, "$"),
        ("http://unread", {"web"}, "unread"),
        ("http://$arg_host", set(), "$"),
        ("http://grafana/$arg_x", {"grafana"}, ""),
        ("http://grafana:3000$arg_x", {"grafana"}, ""),
    ],
)
def test_what_is_defined_for_all_hosts_is_followed(passed: str, hosts: set[str], problem: str) -> None:
    text = file(f"location /docs {{ proxy_pass {passed}; }}", OURS)
    [found] = strays(text, "1.conf", {HTTP: {HTTP_CONF: DEFINED}}, DOMAIN, PREFIXES)
    assert {host for host in found.hosts if host != "unix"} == hosts
    assert (f"`{passed}`" in found.problem) == bool(problem)


def test_what_a_condition_sets_does_not_hide_what_was_set_before() -> None:
    text = file("set $x web;\nif ($http_x) { set $x grafana; }\nlocation /docs { proxy_pass http://$x:3000; }", OURS)
    [found] = strays(text, "1.conf", {}, DOMAIN, PREFIXES)
    assert set(found.hosts) == {"web", "grafana"} and not found.problem


def test_variables_that_name_each_other_come_to_an_end() -> None:
    maps = "".join(f"map $uri $v{n} {{ a $v{n}$v{n + 1}; b $v{n + 1}; }}\n" for n in range(20))
    text = file("location /docs { proxy_pass http://$v0; }", OURS)
    [found] = strays(text, "1.conf", {HTTP: {HTTP_CONF: maps}}, DOMAIN, PREFIXES)
    assert "`http://$v0`" in found.problem


@pytest.mark.parametrize("inside", ["include /snippets/x.conf;", "content_by_lua_file x;"])
def test_a_place_that_can_not_be_told_is_named(inside: str) -> None:
    [found] = strays(file(f"location /docs {{ {inside} }}", OURS), "1.conf", {}, DOMAIN, PREFIXES)
    assert found.problem == f"`{inside.split()[0]}`" and found.hosts == ()


def test_a_custom_location_of_npms_is_a_place_of_its_own() -> None:
    [found] = strays(file(OURS, paths=("/docs",)), "1.conf", {}, DOMAIN, PREFIXES)
    assert str(found.statement).startswith("`location /docs` (1.conf, line ") and found.hosts[:1] == ("elsewhere",)


@pytest.mark.parametrize(
    "advanced",
    [
        "location /x { return 404; }",
        "location /x { set $mode web; return 404; }",
        "location /x { set $mode web; include conf.d/include/proxy.conf; }",
    ],
)
def test_what_nobody_is_sent_to_is_no_place(advanced: str) -> None:
    assert strays(file(advanced, OURS), "1.conf", {}, DOMAIN, PREFIXES) == []


def test_a_variable_of_another_purpose_names_no_place() -> None:
    text = file("location /x { set $mode web; proxy_pass http://grafana:3000; }", OURS)
    assert [stray.hosts for stray in strays(text, "1.conf", {}, DOMAIN, PREFIXES)] == [("grafana",)]


def test_a_file_that_includes_itself_can_not_be_told() -> None:
    """nginx does not take it either; whoever looks must come to an end."""
    include, name = "/data/nginx/custom/server_proxy[.]conf", "/data/nginx/custom/server_proxy.conf"
    assert "can't be read" in wrong(file(OURS), {include: {name: f"include {include};\n" * 20}})[0]


def test_blocks_nested_beyond_all_measure_end_in_words() -> None:
    nested = "location / {" * 3000 + "}" * 3000
    with pytest.raises(Drift, match=f"{DOMAIN}: its blocks are nested too deeply"):
        wrong(file(nested))


def test_some_answers_are_nginxs_own_or_can_not_be_told() -> None:
    assert kind(file("location = /x { return 404; }"), "/x") == NGINX
    assert kind(file("location /x { content_by_lua_file x; }"), "/x") == UNKNOWN


PROTECTED = "    auth_basic x;\n    deny all;\n    satisfy any;\n    include conf.d/include/proxy.conf;\n"


@pytest.mark.parametrize(
    ("advanced", "root", "expected"),
    [
        ("", "", []),
        ("", f"location / {{\n{PROTECTED}}}", ["`auth_basic x`", "`deny all`"]),
        ("auth_basic y;", "", ["`auth_basic y`"]),
        ("auth_basic y;", "location / { auth_basic off; include conf.d/include/proxy.conf; }", []),
        ("deny 10.0.0.0/8;\nallow all;", "", ["`deny 10.0.0.0/8`"]),
        ("location /admin { deny all; }", "", []),
        ("auth_request /authelia;", "", ["`auth_request /authelia`"]),
    ],
)
def test_who_is_let_in_is_read_from_the_location_and_the_server_block(
    advanced: str, root: str, expected: list[str]
) -> None:
    text = file(advanced, OURS, root=root)
    found = restrictions(text, "1.conf", {}, DOMAIN)
    assert [words.split(" (1.conf, line ")[0] for words in found] == expected
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("advanced", "expected"),
    [
        ("auth_basic y;", (401,)),
        ("deny all;", (403,)),
        ("if ($http_user_agent ~ bot) { return 403; }", (403,)),
        ("if ($blocked) { return 444; }", (444,)),
        ("if ($blocked) { return https://elsewhere.test; }", (302,)),
        ("if ($blocked) { set $x 1; }", ()),
        ("if ($request_method = POST) { return 405; }", ()),
        ("if ($request_method !~ ^(GET|HEAD)$ ) { return 444; }", ()),
        ("if ($request_method !~* ^(post)$) { return 444; }", (444,)),
        ("if ($scheme = http) { return 301 https://$host; }", ()),
        (f"if ($host != {DOMAIN}) {{ return 444; }}", ()),
        ("if ($host != elsewhere.test) { return 444; }", (444,)),
        ("ssl_verify_client on;", (400,)),
        ("ssl_verify_client optional;", ()),
        ("ssl_verify_client on; error_page 495 496 =403 /no.html;", (403,)),
        ("ssl_verify_client on; error_page 400 https://help.test/;", (302,)),
        ("auth_request /a; error_page 401 =302 https://portal.test/;", (302, 403)),
        ("auth_request /a; error_page 401 https://portal.test/;", (302, 403)),
        ("auth_request /a; error_page 401 403 = @in; location @in { return 303 /in; }", (303,)),
        ("auth_request /a; error_page 401 /in.html;", (401, 403)),
        ("auth_request /a; error_page 401 =odd /in.html;", (401, 403)),
        ("access_by_lua_block { ngx.exit(403) }", (401, 403, 302)),
    ],
)
def test_the_statuses_of_a_refusal_follow_from_its_statement(advanced: str, expected: tuple[int, ...]) -> None:
    found = restrictions(file(advanced, OURS), "1.conf", {}, DOMAIN)
    assert tuple(found.values()) == ((expected,) if expected else ())


# ── Against nginx itself ────────────────────────────────────────────────────────────────────────────────────────────

NAMES = ("/", "/a", "/a/", "/a/b", "/ab", "/A", "/b/", "/b")
EXPRESSIONS = ("^/a", "/b$", "^/(a|b)(/|$)", "^/A", "b/$", "^/$", "^/(?<x>a+)b")
PATHS = (*NAMES, "/a/b/c", "/b/c", "/abc", "/c")


def some_locations(draw: random.Random, depth: int, within: str = "") -> str:
    """Locations as nginx allows them, each with a header that says its line; no two alike on a level."""
    lines, seen = [], set()
    for _ in range(draw.randint(0, 4)):
        modifier = draw.choice(["", "", "", "^~ ", "= ", "~ ", "~* ", "~"])
        name = draw.choice(EXPRESSIONS if "~" in modifier and modifier != "^~ " else NAMES)
        static = modifier in ("", "^~ ", "= ")
        key = (modifier == "= ", name) if static else (modifier.strip(), name)
        if key in seen or (static and not name.startswith(within)):
            continue
        seen.add(key)
        nested = depth and modifier != "= "
        inner = some_locations(draw, depth - 1, name) if nested else ""
        lines.append(
            f"location {modifier}{name} {{\nadd_header X-Line @ always;\nproxy_pass http://127.0.0.1:9;\n{inner}}}\n"
        )
    return "".join(lines)


def numbered(text: str) -> str:
    """The text with each `@` as the number of the line before, which is the location's."""
    lines = text.split("\n")
    return "\n".join(line.replace("@", str(number)) for number, line in enumerate(lines))


def test_the_location_that_wins_is_nginxs_own_choice(tmp_path: Path) -> None:
    draw, port = random.Random(11), free_port()
    texts = [
        numbered(f"server {{\nlisten 127.0.0.1:{port};\nserver_name s{n}.test;\n{some_locations(draw, 2)}}}\n")
        for n in range(150)
    ]
    with nginx(tmp_path, "".join(texts), port):
        pairs = {
            (n, path): (answered(port, f"s{n}.test", path), predicted(texts[n], n, path))
            for n in range(len(texts))
            for path in PATHS
        }
    assert [(texts[n], path, pair) for (n, path), pair in pairs.items() if pair[0] != pair[1]] == []
    assert len({theirs for theirs, _ in pairs.values()}) > 10, "many a location was chosen"


def answered(port: int, host: str, path: str) -> str:
    """The line of the location that nginx chooses; 301 where it redirects."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    connection.close()
    return "301" if answer.status == 301 else answer.getheader("X-Line") or ""


def predicted(text: str, number: int, path: str) -> str:
    try:
        found = chosen(whole_server(text, "x", {}, f"s{number}.test"), path)[0]
    except Undecided as doubt:
        assert doubt.redirected
        return "301"
    return str(found.directive.line) if found else ""


REFUSING = (
    "deny all;",
    "auth_basic x; auth_basic_user_file /dev/null;",
    "if ($http_user_agent = '') { return 403; }",
    "if ($host) { return 444; }",
    "if ($host) { return https://elsewhere.test; }",
    "auth_request /a;",
    "auth_request /a; error_page 401 =302 https://portal.test/;",
    "auth_request /a; error_page 401 https://portal.test/;",
    "auth_request /a; error_page 401 = @in; location @in { return 303 /in; }",
    "auth_request /a; error_page 401 =418 /in.html; location = /in.html { return 200; }",
    "auth_request /a; error_page 401 /in.html; location = /in.html { auth_request off; empty_gif; }",
    "deny all; error_page 403 =404 /in.html; location = /in.html { allow all; empty_gif; }",
)


def test_the_statuses_of_a_refusal_are_nginxs_own(tmp_path: Path) -> None:
    port = free_port()
    texts = [
        f"server {{\nlisten 127.0.0.1:{port};\nserver_name r{n}.test;\n{own}\n"
        f"location = /a {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host who.test; }}\n"
        "location / { proxy_pass http://127.0.0.1:9; }\n}\n"
        for n, own in enumerate(REFUSING)
    ]
    who = f"server {{ listen 127.0.0.1:{port}; server_name who.test; return 401; }}\n"
    with nginx(tmp_path, "".join((*texts, who)), port):
        answers = [refused_with(port, f"r{n}.test") for n in range(len(texts))]
    for n, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        foreseen = {status for found in restrictions(text, "x", {}, f"r{n}.test").values() for status in found}
        assert answer in foreseen, text


def refused_with(port: int, host: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status
    except http.client.RemoteDisconnected:
        return NO_ANSWER
    finally:
        connection.close()
