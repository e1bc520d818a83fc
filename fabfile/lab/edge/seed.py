"""What the edge holds before anything is cut over: three hosts, as rows and as generated files, and a certificate."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fabfile.lab.edge import hostfile

HERE = Path(__file__).parent
STAMP = "2024-05-01 12:00:00"
# What the old scripts left in the app's host: no markers, the prefixes of that day.
ADVANCED_CONFIG = """location ~ ^/(ws|replay|prints|joins|nbbo|dark|flow|candles|history)/ {
  set $forward_scheme http;
  set $server         "api";
  set $port           4000;

  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $http_connection;
  proxy_http_version 1.1;

  include conf.d/include/proxy.conf;
}"""


def hosts(app: str, api: str) -> list[dict[str, Any]]:
    """The three proxy hosts: the app, the API, and a stranger's, which nothing may ever change."""
    ours = {
        "certificate_id": 1, "ssl_forced": 1, "block_exploits": 1, "allow_websocket_upgrade": 1, "http2_support": 1,
    }  # fmt: skip
    return [
        _row(1, app, "web", 3000, advanced_config=ADVANCED_CONFIG, **ours),
        _row(2, api, "api", 4000, **ours),
        _row(3, "other.example.test", "other", 8080),
    ]


def _row(number: int, name: str, host: str, port: int, **given: Any) -> dict[str, Any]:
    return {
        "id": number, "created_on": STAMP, "modified_on": STAMP, "owner_user_id": 1, "is_deleted": 0,
        "domain_names": json.dumps([name]), "forward_host": host, "forward_port": port, "access_list_id": 0,
        "certificate_id": 0, "ssl_forced": 0, "caching_enabled": 0, "block_exploits": 0, "advanced_config": "",
        "meta": json.dumps({"nginx_online": True, "nginx_err": None}), "allow_websocket_upgrade": 0,
        "http2_support": 0, "forward_scheme": "http", "enabled": 1, "locations": "[]", "hsts_enabled": 0,
        "hsts_subdomains": 0, "trust_forwarded_proto": 0,
    } | given  # fmt: skip


def statements(rows: Sequence[dict[str, Any]]) -> str:
    """The SQL that puts `rows` into `proxy_host`."""
    return "".join(
        f"INSERT INTO proxy_host ({', '.join(row)}) VALUES ({', '.join(map(_literal, row.values()))});\n"
        for row in rows
    )


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def write_files(data: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the generated file of each row where it belongs under the folder `data`."""
    folder = data / "nginx/proxy_host"
    folder.mkdir(parents=True)
    for row in rows:
        (folder / f"{row['id']}.conf").write_text(hostfile.render(row))


def certify(data: Path, names: Sequence[str]) -> bytes:
    """Put certificate 1 for `names` into `data`; returns the authority's certificate (PEM). Its key is thrown away."""
    folder = data / "custom_ssl/npm-1"
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        authority, key = Path(scratch) / "ca.pem", Path(scratch) / "ca.key"
        _openssl("ca", authority, key, ["-subj", "/CN=Islandflow lab authority"])
        alternatives = f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"
        signed = ["-CA", str(authority), "-CAkey", str(key), "-subj", f"/CN={names[0]}", "-addext", alternatives]
        _openssl("leaf", folder / "fullchain.pem", folder / "privkey.pem", signed)
        return authority.read_bytes()


def _openssl(kind: str, certificate: Path, key: Path, words: list[str]) -> None:
    subprocess.run(
        [
            "openssl", "req", "-x509", "-config", str(HERE / "tls.cnf"), "-extensions", kind, "-days", "3650",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", str(key), "-out", str(certificate), *words,
        ],
        check=True, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
