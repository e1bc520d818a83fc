"""Cloudflare's v4 API as far as the dns tasks use it: an HTTP server on 127.0.0.1 with zones, records and tokens.

Codes and words are those of the reference and of real answers. It is stricter than the real one where that quietly
corrects a request (a proxied record's TTL, unknown fields and filters), so that nothing careless is ever sent there.
"""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

BASE = "/client/v4"
ZONE_ID, OTHER_ID = "a" * 32, "b" * 32
TOKEN = "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY"

_PROXYABLE = ("A", "AAAA", "CNAME")
_FIELDS = {"type", "name", "content", "proxied", "ttl", "comment", "tags"}


@dataclass
class Grant:
    """What a token may do, and how long."""

    edit: bool = True
    verifiable: bool = True  # an account's own tokens are not, at the address for users' tokens
    status: str = "active"
    expires_on: str | None = None
    not_before: str | None = None

    @property
    def works(self) -> bool:
        expired = self.expires_on is not None and datetime.fromisoformat(self.expires_on) <= datetime.now(UTC)
        return self.status == "active" and not expired


@dataclass
class Fault:
    """An answer in place of the right one, once. With `late` the request is carried out all the same."""

    method: str = ""  # any
    status: int = 0  # the connection is closed without a word
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    late: bool = False


@dataclass
class Cloudflare:
    """The account: everything that a test may arrange, and what was asked: (method, path, query, body)."""

    zones: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tokens: dict[str, Grant] = field(default_factory=lambda: {TOKEN: Grant()})
    faults: list[Fault] = field(default_factory=list)
    page_size: int = 100  # the most that fits on a page, whatever is asked for
    filters: bool = True  # whether lists are limited to the name that was asked for
    quotes: bool = False  # whether refusals quote the whole request
    after_change: Callable[[dict[str, Any]], None] = lambda record: None
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def zone(self, name: str, identifier: str = ZONE_ID, status: str = "active") -> None:
        """Add a zone."""
        self.zones.append({"id": identifier, "name": name, "status": status, "paused": False, "type": "full"})
        self.records.setdefault(identifier, [])

    def record(self, name: str, kind: str, content: str, **values: Any) -> dict[str, Any]:
        """Add a record to the first zone; proxied with an automatic TTL unless told otherwise."""
        made = {
            "id": f"{len(self.records[ZONE_ID]) + 1:032x}",
            "name": name, "type": kind, "content": content,
            "proxiable": kind in _PROXYABLE, "proxied": kind in _PROXYABLE, "ttl": 1, "comment": None, "tags": [],
            **values,
        }  # fmt: skip
        self.records[ZONE_ID].append(made)
        return made

    @property
    def changes(self) -> list[Any]:
        """The bodies of all requests to change something."""
        return [body for method, _, _, body in self.asked if method != "GET"]


class Refusal(Exception):
    """An answer that is none: HTTP status, code, message, and what is behind it."""

    def __init__(self, status: int, code: int, message: str, *chain: tuple[int, str]) -> None:
        self.status = status
        self.error: dict[str, Any] = {"code": code, "message": message}
        if chain:
            self.error["error_chain"] = [{"code": number, "message": text} for number, text in chain]


@contextlib.contextmanager
def serving(cloudflare: Cloudflare) -> Iterator[str]:
    """Serve until the block ends; yields the address of the API."""
    handler = type("Handler", (_Handler,), {"cloudflare": cloudflare})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{BASE}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    cloudflare: Cloudflare
    protocol_version = "HTTP/1.1"
    timeout = 5

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = self._body(raw)
        self.cloudflare.asked.append((self.command, parts.path.removeprefix(BASE), query, body))
        fault = self._fault()
        if fault and not fault.late:
            self._spoil(fault)
            return
        try:
            answer = 200, {"success": True, "errors": [], "messages": [], **self._answer(parts.path, query, body)}
        except Refusal as refusal:
            if self.cloudflare.quotes:
                quoted = f"{self.command} {self.path} {dict(self.headers.items())} {raw.decode()}"
                refusal.error["message"] += f" in {quoted}"
            answer = refusal.status, {"success": False, "errors": [refusal.error], "messages": [], "result": None}
        if fault:
            self._spoil(fault)
        else:
            self._send(answer[0], json.dumps(answer[1]), {"Content-Type": "application/json"})

    do_GET = do_PATCH = do_PUT = do_POST = do_DELETE = _serve

    def _body(self, raw: bytes) -> Any:
        try:
            return json.loads(raw) if raw else None
        except ValueError:
            return raw

    def _fault(self) -> Fault | None:
        for fault in self.cloudflare.faults:
            if fault.method in ("", self.command):
                self.cloudflare.faults.remove(fault)
                return fault
        return None

    def _spoil(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.status:
            said = {"success": False, "errors": [{"code": 10013, "message": "Unknown error"}], "result": None}
            self._send(fault.status, json.dumps(said) if fault.body is None else fault.body, fault.headers)

    def _send(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def _answer(self, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        token = self._token()
        if path == f"{BASE}/user/tokens/verify":
            self._only("GET")
            return self._verified(token)
        grant = self.cloudflare.tokens.get(token)
        if grant is None or not grant.works:
            raise Refusal(403, 9109, "Invalid access token")
        if path == f"{BASE}/zones":
            self._only("GET")
            return self._pages(self.cloudflare.zones, query, {"name"}, most=50)
        match = re.fullmatch(rf"{BASE}/zones/([^/]+)/dns_records(?:/([^/]+))?", path)
        if not match or not all(re.fullmatch("[0-9a-f]{32}", name) for name in match.groups() if name):
            raise Refusal(400, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?")
        records = self.cloudflare.records.get(match[1])
        if records is None:
            raise Refusal(404, 1001, "Invalid zone identifier")
        if match[2] is None:
            self._only("GET")
            return self._pages(records, query, {"name", "type"}, most=5_000_000)
        self._only("GET", "PATCH")
        record = next((record for record in records if record["id"] == match[2]), None)
        if record is None:
            raise Refusal(404, 81044, "Record does not exist.")
        if self.command == "PATCH":
            self._change(grant, record, body)
        return {"result": record}

    def _only(self, *methods: str) -> None:
        if self.command not in methods:
            raise Refusal(405, 10000, f"{self.command} method not allowed for the api_token authentication scheme")

    def _token(self) -> str:
        given = self.headers["Authorization"]
        if given is None:
            raise Refusal(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        match = re.fullmatch(r"Bearer ([A-Za-z0-9_-]{40})", given)
        if not match:
            raise Refusal(400, 6003, "Invalid request headers", (6111, "Invalid format for Authorization header"))
        return match[1]

    def _verified(self, token: str) -> dict[str, Any]:
        grant = self.cloudflare.tokens.get(token)
        if grant is None or not grant.verifiable:
            raise Refusal(401, 1000, "Invalid API Token")
        dates = {"expires_on": grant.expires_on, "not_before": grant.not_before}
        status = grant.status if grant.works or grant.status != "active" else "expired"
        said = [{"code": 10000, "message": "This API Token is valid and active", "type": None}]
        return {
            "result": {"id": "e" * 32, "status": status, **{name: date for name, date in dates.items() if date}},
            "messages": said if grant.works else [],
        }

    def _pages(self, everything: list[Any], query: dict[str, str], filters: set[str], most: int) -> dict[str, Any]:
        page, asked = int(query.get("page", "1")), int(query.get("per_page", "20"))
        query = {name: value for name, value in query.items() if name not in ("page", "per_page")}
        if set(query) - filters or not (page >= 1 and 5 <= asked <= most):
            raise Refusal(400, 6003, "Invalid request", (6009, f"Invalid query: {query}, {asked} on page {page}"))
        found = [
            item
            for item in everything
            if not self.cloudflare.filters or all(item[name].lower() == query[name].lower() for name in query)
        ]
        size = min(asked, self.cloudflare.page_size)
        shown = found[(page - 1) * size : page * size]
        pages = -(-len(found) // size)
        counts = {"page": page, "per_page": size, "count": len(shown), "total_count": len(found), "total_pages": pages}
        return {"result": shown, "result_info": counts}

    def _change(self, grant: Grant, record: dict[str, Any], body: Any) -> None:
        if not grant.edit:
            raise Refusal(403, 10000, "Authentication error")
        kind = self.headers["Content-Type"] or ""
        if not isinstance(body, dict) or not body or "application/json" not in kind or set(body) - _FIELDS:
            raise Refusal(400, 9207, "Request body is invalid.")
        _validate({**record, **body}, body)
        record.update(body)
        if record["proxied"]:
            record["ttl"] = 1
        self.cloudflare.after_change(record)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _validate(wanted: dict[str, Any], body: dict[str, Any]) -> None:
    """Refuse what can't be a record."""
    versions = {"A": 4, "AAAA": 6}
    if wanted["type"] in versions and _version(wanted["content"]) != versions[wanted["type"]]:
        kind, version = wanted["type"], versions[wanted["type"]]
        raise Refusal(400, 9003 + version // 2, f"Content for {kind} record must be a valid IPv{version} address.")
    if not isinstance(wanted["proxied"], bool) or (wanted["proxied"] and not wanted["proxiable"]):
        raise Refusal(400, 9041, "Invalid proxied mode. Record cannot be proxied")
    ttl = wanted["ttl"]
    whole = isinstance(ttl, int) and not isinstance(ttl, bool)
    if not whole or not (ttl == 1 or 60 <= ttl <= 86400) or (wanted["proxied"] and body.get("ttl", 1) != 1):
        raise Refusal(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")


def _version(content: str) -> int:
    try:
        return ipaddress.ip_address(content).version
    except ValueError:
        return 0
