"""The inventory: how it says what is wrong with it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from fabfile.errors import InventoryError
from fabfile.inventory import load
from tests.support.inventories import REMOVED, problems

WRONG: list[tuple[str, Any, str]] = [
    ("services.api.port", 70000, "services.api.port: 70000 is not a port (1 to 65535)"),
    ("services.api.port", "4000", 'services.api.port: "4000" is text, and a whole number is needed'),
    ("services.api.port", True, "services.api.port: true is true or false, and a whole number is needed"),
    (
        "services.api.port",
        4000.0,
        "services.api.port: 4000.0 is a number with a point, and a whole number is needed",
    ),
    ("services.api.port", 3000, "services.api.port: 3000 is already the port of services.web.port"),
    ("infra.redis.port", 8222, "infra.nats.monitor_port: 8222 is already the port of infra.redis.port"),
    ("services.api.prot", 1, 'services.api.prot: unknown key; did you mean "port"?'),
    ("services.api.name", "api", "services.api.name: unknown key"),
    ("infra.nats.max_payload", 512, "infra.nats.max_payload: 512 is not a size in bytes that NATS takes"),
    ("infra.redis.settings", {"dir": "/"}, "infra.redis.settings: a table holds 'dir': only databases"),
    ("infra.redis.settings", {"databases": "many"}, "has 'many' for databases, which Redis would refuse"),
    ("infra.redis.settings", {"databases": 32}, "infra.redis.settings.databases: 32 is"),
    ("edgee", {}, 'edgee: unknown key; did you mean "edge"?'),
    ("services.api.kind", "apis", 'services.api.kind: "apis" is none of: web, api, worker'),
    ("services.api.kind", "worker", 'services: exactly one service of kind "api" is needed; there is: none'),
    ("services.candles.port", 5000, "services.candles.port: a worker has none; remove the line"),
    ("services.web.health", REMOVED, 'services.web.health: is missing: a service of kind "web" has one'),
    ("services.api.unit", "a/b.service", 'services.api.unit: "a/b.service" is not a unit name'),
    ("services.api.unit", "a\nb.service", r'services.api.unit: "a\nb.service" must not hold a line break'),
    ("services.api.unit", "a%n.service", 'services.api.unit: "a%n.service" is not a unit name'),
    ("services.api.unit", "a*.service", 'services.api.unit: "a*.service" is not a unit name'),
    ("services.api.unit", "islandflow-web.service", "services.api.unit: "),
    ("services.api.durables", ["a", "a"], 'services.api.durables[1]: "a" is already the durable of'),
    ("services.api.durables", ["a.b"], 'services.api.durables[0]: "a.b" is not a durable\'s name'),
    ("services.api.argv", "run", 'services.api.argv: "run" is text, and a list is needed'),
    ("services.api.argv", [], "services.api.argv: a list must not be empty"),
    ("services.api.argv", ["run\n"], r'services.api.argv[0]: "run\n" must not hold a line break'),
    ("services.api.directory", "../api", "is not a plain path"),
    ("services.api.directory", "/opt/api", 'services.api.directory: "/opt/api" is not in the checkout'),
    ("services.api.directory", "./", "services.api.directory: "),
    ("app.env_file", ".", "app.env_file: "),
    ("services.api.stop_signal", "INT", 'services.api.stop_signal: "INT" is none of: SIGTERM, SIGINT'),
    ("services.api.stop_timeout", 0, "services.api.stop_timeout: 0 is not a time limit"),
    ("services.api.stop_timeout", 45, "services.api.stop_timeout: 45 is not below edge.hold_limit, 45: requests wait"),
    ("services.api.build_env", ["*"], 'services.api.build_env[0]: "*" is not a name of an environment variable'),
    ("services.api.build_env", ["A*B"], 'services.api.build_env[0]: "A*B" is not a name of an environment variable'),
    ("services.api.build_rewrites", ["/x"], 'services.api.build_rewrites[0]: "/x" is not the path of a file below'),
    ("app.install_timeout", "10", 'app.install_timeout: "10" is text, and a number is needed'),
    ("app.any_text_is_true", ["A B"], 'app.any_text_is_true[0]: "A B" is not a name of an environment variable'),
    ("services.-api", {}, 'services.-api: "-api" is not the name of a service'),
    (
        "app.checkout",
        "home/delta",
        'app.checkout: "home/delta" is not an absolute path: it must begin with /',
    ),
    ("app.checkout", "/home/$USER", 'app.checkout: "/home/$USER" is not a plain path'),
    ("app.data_root", "/", 'app.data_root: "/" is the root directory'),
    ("app.user", "delta user", 'app.user: "delta user" is not the name of a Linux user'),
    ("app", REMOVED, "app: is missing"),
    ("app", 3, "app: 3 is a number, and a table is needed"),
    ("hosts", {}, "hosts: is empty: at least one host is needed"),
    ("hosts.vps.address", "my vps", 'hosts.vps.address: "my vps" is neither a host name nor an IP address'),
    ("hosts.vps.address", "300.1.1.1", 'hosts.vps.address: "300.1.1.1" is neither a host name'),
    ("hosts.vps.address", "-oProxyCommand=x", "hosts.vps.address: "),
    ("hosts.vps.key", "id_ed25519", 'hosts.vps.key: "id_ed25519" is not an absolute path'),
    ("default_host", "other", 'default_host: "other" is not a host; there are: vps'),
    ("edge.app_domain", "flow .example.org", 'edge.app_domain: "flow .example.org" is not a domain name'),
    ("edge.app_domain", "flow_x.example.org", "edge.app_domain: "),
    ("edge.app_domain", "a" * 64 + ".org", "edge.app_domain: "),
    ("edge.app_domain", "192.0.2.1", "edge.app_domain: "),
    ("edge.api_domain", "flow.deltaisland.io", "edge.api_domain: "),
    ("edge.api_prefixes", ["a|b"], 'edge.api_prefixes[0]: "a|b" is not a path prefix'),
    ("edge.network", "npm shared", "edge.network: "),
    ("runtimes.native.bind", "127.0.0.1", "the edge's container could not reach it"),
    ("runtimes.native.bind", "bridges", 'runtimes.native.bind: "bridges" is neither "bridge" nor an IPv4'),
    ("runtimes.native.upstream", "host.docker.internal", "runtimes.native.upstream: "),
    ("runtimes.native.upstream", "0.0.0.0", "no address that the edge's container could connect to"),
    ("runtimes.native.overrides", {"A B": "x"}, "runtimes.native.overrides: "),
    ("runtimes.native.overrides", {"A": "x\ny"}, r'runtimes.native.overrides.A: "x\ny" must not hold a line'),
    ("runtimes.native.overrides", {"A": 1}, "runtimes.native.overrides.A: 1 is a number, and text in quotes"),
    ("runtimes.docker.dockerfile", "Dockerfile", "runtimes.docker.dockerfile: unknown key"),
    (
        "runtimes.docker.overlay_file",
        "/home/delta/islandflow/overlay.yml",
        'overlay.yml" is in the checkout, /home/delta/islandflow, where this tool writes nothing',
    ),
    ("runtimes.docker.overlay_file", "/etc/islandflow/native.env", "is already the file of runtimes.native.overrides"),
    ("infra.redis.image", "Image name", "infra.redis.image: "),
    ("infra.redis.image_user", "redis", 'infra.redis.image_user: "redis" is not a numeric user and group'),
    ("infra.redis.data", "nats", "infra.redis.data: "),
    ("infra.redis.drop_in", "/x", "infra.redis.drop_in: unknown key"),
    ("infra.postgres", {}, "infra.postgres: unknown key; known here: nats, redis, clickhouse"),
    ("app.shell_scripts", ["../x.sh"], 'app.shell_scripts[0]: "../x.sh" is not the path of a file below the checkout'),
    ("app.shell_scripts", ["/x.sh"], 'app.shell_scripts[0]: "/x.sh" is not the path of a file below the checkout'),
    ("streams.ALERTS.max_bytes", 0, "streams.ALERTS.max_bytes: 0 is not a size in bytes"),
    ("streams.ALERTS.max_age_env", "A-B", 'streams.ALERTS.max_age_env: "A-B" is not a name of an environment variable'),
    ("streams.a*", {"max_age_env": "A", "max_bytes": 1}, """streams."a*": "a*" is not a stream's name"""),
    ("streams", REMOVED, "streams: is missing"),
    ("provider.adapters.alpaca.url_env", REMOVED, "provider.adapters.alpaca.url_env: is missing: the headers are for"),
    ("provider.service", "nobody", 'provider.service: "nobody" is none of the services: web, api,'),
    ("provider.adapters.alpaca.headers", {"a": "KEY"}, 'provider.adapters.alpaca.headers.a: "KEY" must name one env'),
    ("provider.adapters.alpaca.headers", {"a": "{A}{B}"}, "provider.adapters.alpaca.headers.a: "),
    ("provider.adapters.alpaca.headers", {"a": "{A|}"}, "provider.adapters.alpaca.headers.a: "),
    ("provider.adapters.alpaca.path", "v1", 'provider.adapters.alpaca.path: "v1" is not the path of an address'),
    ("provider.adapters.synthetic.path", "/v1", "provider.adapters.synthetic.url_env: is missing: the path is for a"),
    ("timeouts.step", 0, "timeouts.step: 0 is not a time limit"),
    ("timeouts.step", -1.5, "timeouts.step: -1.5 is not a time limit"),
    ("timeouts.step", float("inf"), "timeouts.step: inf is not a time limit"),
    ("timeouts.step", "60", 'timeouts.step: "60" is text, and a number is needed'),
    ("public.verify_tls", "yes", 'public.verify_tls: "yes" is text, and true or false is needed'),
    ("public.app_url", "flow.example.org", "public.app_url: "),
    ("public.app_url", datetime.date(2024, 1, 2), "public.app_url: 2024-01-02 is a date or time, and text"),
    ("public.raw_api", "shut", 'public.raw_api: "shut" is none of: open, closed'),
    ("public.certificate_days", -1, "public.certificate_days: -1 is not a number of days (0 to 3650)"),
    ("public.closed_ports", {"api": 0}, "public.closed_ports.api: 0 is not a port (1 to 65535)"),
    ("public.routes", {"nowhere": "/nowhere"}, "public.routes.nowhere: is none of edge.api_prefixes"),
    ("public.routes", {"news": "/prints"}, 'public.routes.news: "/prints" is not below /news'),
    ("public.routes", {"news": "/news?a b"}, 'public.routes.news: "/news?a b" is not the path of an address'),
    ("public.lookups.x", {"path": "/x", "body": "{"}, 'public.lookups.x.body: "{" is not JSON'),
    ("public.lookups.x", {"body": "{}"}, "public.lookups.x.path: is missing"),
    ("streams.ALERTS.max_bytes_env", "A-B", 'streams.ALERTS.max_bytes_env: "A-B" is not a name of an environment'),
    ("services.api.optional", "yes", 'services.api.optional: "yes" is text, and true or false is needed'),
    ("public.lookups.x", {"name": "y", "path": "/x", "body": "1"}, "public.lookups.x.name: unknown key"),
    ("public.event_within", 0, "public.event_within: 0 is not a time limit"),
    ("firewall.comment", "it's ours", "firewall.comment: "),
    ("backup.hook", "save.sh", 'backup.hook: "save.sh" is not an absolute path'),
    ("backup.before", "never", 'backup.before: "never" is none of: every hand-over, the first hand-over'),
    ("backup.hok", "/x", 'backup.hok: unknown key; did you mean "hook"?'),
    ("dns.zone", REMOVED, "dns.zone: is missing"),
    ("dns.zoen", "x", 'dns.zoen: unknown key; did you mean "zone"?'),
    ("dns", 3, "dns: 3 is a number, and a table is needed"),
    ("dns.api", "http://api.example.org", 'dns.api: "http://api.example.org" is not an https:// address: the token'),
    ("dns.api", "https://me@api.example.org", 'dns.api: "https://me@api.example.org" is not a plain address'),
    ("dns.records", {}, "dns.records: is empty: at least one record is needed"),
    ("dns.records.app.type", "MX", 'dns.records.app.type: "MX" is none of: A, AAAA, CNAME'),
    ("dns.records.app.ttl", 5, "dns.records.app.ttl: 5 is not a TTL: 1 (automatic), or 30 to 86400 seconds"),
    ("dns.records.app.ttl", True, "dns.records.app.ttl: true is true or false, and a whole number is needed"),
    ("dns.records.app.tll", 300, 'dns.records.app.tll: unknown key; did you mean "ttl"?'),
    ("dns.records.app.name", "app", "dns.records.app.name: unknown key"),
    ("dns.records.app.proxied", "yes", 'dns.records.app.proxied: "yes" is text, and true or false is needed'),
    ("dns.records.app.content", "::1", 'dns.records.app.content: "::1" is not what a record of type A holds'),
    ("dns.records.app.content", "a.org", 'dns.records.app.content: "a.org" is not what a record of type A holds'),
    ("dns.records.app.type", "CNAME", 'dns.records.app.content: "203.0.113.10" is not what a record of type CNAME'),
    ("dns.records.app.domain", "flow.example.org", 'dns.records.app.domain: "flow.example.org" is not in the zone'),
    ("dns.records.app.domain", "evildeltaisland.io", "dns.records.app.domain: "),
    (
        "dns.records.app.domain",
        "API.flow.deltaisland.io",
        "dns.records.api.domain: dns.records.app is the A record of the same domain",
    ),
]


@pytest.mark.parametrize(("path", "value", "expected"), WRONG)
def test_a_bad_value_is_named_with_its_path(tmp_path: Path, path: str, value: Any, expected: str) -> None:
    found = problems(tmp_path, {path: value})
    assert any(expected in line for line in found), found


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "colour": "blue",
            "services.api.port": 3000,
            "services.web.unit": "a/b.service",
            "edge.app_domain": "flow .example.org",
            "app.checkout": "home/delta",
            "timeouts.step": "soon",
        },
    )
    starts = [line.split(":")[0] for line in found]
    assert starts == [
        "app.checkout",
        "colour",
        "edge.app_domain",
        "services.api.port",
        "services.web.unit",
        "timeouts.step",
    ]


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        (
            {"services.web.health": REMOVED, "services.web.port": REMOVED, "services.web.argv": "run"},
            ["services.web.argv: ", "services.web.health: is missing: a", "services.web.port: is missing: a"],
        ),
        (
            {"dns.records.app.content": "::1", "dns.records.app.domain": "a.org", "dns.zoen": "x", "dns.api": 5},
            [
                "dns.api: ",
                "dns.records.app.content: ",
                'dns.records.app.domain: "a.org" is not in',
                "dns.zoen: unknown",
            ],
        ),
        (
            {"provider.adapters.synthetic.path": "v1", "provider.adapters.synthetic.url": 5},
            [
                "provider.adapters.synthetic.path: ",
                "provider.adapters.synthetic.url: ",
                "provider.adapters.synthetic.url_env: is missing: the path",
                "provider.adapters.synthetic.url_env: is missing: the url",
            ],
        ),
    ],
)
def test_what_does_not_fit_together_is_named_beside_what_is_wrong_by_itself(
    tmp_path: Path, changes: dict[str, Any], starts: list[str]
) -> None:
    found = problems(tmp_path, changes)
    assert len(found) == len(starts) and all(map(str.startswith, found, starts)), found


def test_only_the_mistake_is_reported_and_not_what_follows_from_it(tmp_path: Path) -> None:
    assert [line.split(":")[0] for line in problems(tmp_path, {"app.name": "Island Flow"})] == ["app.name"]
    assert [line.split(":")[0] for line in problems(tmp_path, {"app.data_root": 5})] == ["app.data_root"]
    assert [line.split(":")[0] for line in problems(tmp_path, {"edge.api_domain": "a b"})] == ["edge.api_domain"]


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="does not exist; name another with -i or ISLANDFLOW_INVENTORY"):
        load(tmp_path / "none.toml", {})


def test_a_directory_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="can't be read: Is a directory"):
        load(tmp_path, {})


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "inventory.toml"
    file.write_text("[app]\nname = islandflow\n")
    with pytest.raises(InventoryError, match="line 2, column 8"):
        load(file, {})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"a = " + b"9" * 5000, b"\x00"])
def test_a_hostile_file_is_an_error_like_any_other(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "inventory.toml"
    file.write_bytes(content)
    with pytest.raises(InventoryError, match="is not TOML") as caught:
        load(file, {})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("base", ["", "srv", "/", "/srv/..", "/srv\n", "/srv/*", 5])
def test_what_is_relative_to_a_bad_path_is_not_reported_too(tmp_path: Path, base: str | int) -> None:
    for key in ("app.checkout", "app.data_root", "edge.root"):
        assert {line.split(":")[0] for line in problems(tmp_path, {key: base})} == {key}
