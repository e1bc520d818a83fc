"""A proxy host's row → its generated file, in the shape that Nginx Proxy Manager gives it, blank lines included.

Standard library only: it also runs inside the edge's container.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

WEBSOCKET = """proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;
proxy_http_version 1.1;
"""


def render(row: Mapping[str, Any]) -> str:
    """The whole file for a row of `proxy_host`; the row's JSON columns are text, as SQLite has them.

    For a disabled host comments alone, as NPM writes them when it writes many files at once.
    """
    names = json.loads(row["domain_names"])
    if not row["enabled"]:
        return _comment(names) + "\n\n\n"
    secure = bool(row["certificate_id"])
    return "".join(
        (
            _banner(names),
            "server {\n",
            f"  set $forward_scheme {row['forward_scheme']};\n",
            f'  set $server         "{row["forward_host"]}";\n',
            f"  set $port           {row['forward_port']};\n\n",
            _listen(secure),
            f"  server_name {' '.join(names)};\n",
            "\n  http2 on;\n" if secure and row["http2_support"] else "http2 off;\n",
            _certificate(row["certificate_id"]),
            _exploits(row["block_exploits"]),
            _force_tls(secure and row["ssl_forced"], row["trust_forwarded_proto"]),
            (WEBSOCKET if row["allow_websocket_upgrade"] else "") + "\n\n",
            f"  access_log /data/logs/proxy-host-{row['id']}_access.log proxy;\n",
            f"  error_log /data/logs/proxy-host-{row['id']}_error.log warn;\n",
            f"\n{row['advanced_config']}\n" + "\n" * 5,
            _root(secure, row["allow_websocket_upgrade"], row["access_list_id"]),
            "\n\n  # Custom\n  include /data/nginx/custom/server_proxy[.]conf;\n}\n\n",
        )
    )


def _comment(names: list[str]) -> str:
    rule = "# " + "-" * 60 + "\n"
    return f"{rule}# {', '.join(names)}\n{rule}"


def _banner(names: list[str]) -> str:
    hsts = 'map $scheme $hsts_header {\n    https   "max-age=63072000; preload";\n}\n'
    return f"{_comment(names)}\n\n\n{hsts}\n"


def _listen(secure: bool) -> str:
    tls = "listen 443 ssl;\nlisten [::]:443 ssl;\n\n" if secure else ""
    return f"  listen 80;\nlisten [::]:80;\n\n{tls}\n"


def _certificate(number: int) -> str:
    if not number:
        return "\n" * 3
    folder = f"/data/custom_ssl/npm-{number}"
    chain = f"  ssl_certificate {folder}/fullchain.pem;\n"
    return f"\n\n  # Custom SSL\n{chain}  ssl_certificate_key {folder}/privkey.pem;\n" + "\n" * 6


def _exploits(blocked: int) -> str:
    return "  # Block Exploits\n  include conf.d/include/block-exploits.conf;\n" + "\n" * 7 if blocked else "\n" * 3


def _force_tls(forced: int, trusted: int) -> str:
    trust = f'    set $trust_forwarded_proto "{"T" if trusted else "F"}";\n'
    text = f"    # Force SSL\n    \n{trust}    \n    include conf.d/include/force-ssl.conf;\n"
    return (text if forced else "") + "\n" * 4


def _access(number: int) -> str:
    """The lines of an access list that lets in whoever has a password; the passwords are in a file of NPM's."""
    if not number:
        return ""
    return (
        f'    # Authorization\n    auth_basic            "Authorization required";\n'
        f"    auth_basic_user_file  /data/access/{number};\n\n    "
        'proxy_set_header Authorization "";\n\n'
        "    # Access Rules: 0 total\n    deny all;\n\n    # Access checks must...\n    satisfy any;\n"
    )


def _root(secure: bool, websocket: int, access: int) -> str:
    indented = "".join(f"    {line}\n" for line in WEBSOCKET.splitlines())
    upgrade = f"{indented}    \n" if websocket else ""
    gap = "\n" * (9 if secure else 6)
    head = f"  location / {{\n{_access(access)}{gap}    \n{upgrade}"
    return f"{head}\n    # Proxy!\n    include conf.d/include/proxy.conf;\n  }}\n"
