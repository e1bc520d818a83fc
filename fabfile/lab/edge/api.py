#!/usr/bin/python3
"""Nginx Proxy Manager's HTTP API on port 81, as far as proxy hosts go, with the answers of the original's.

Standard library only: it runs inside the edge's container. Who may log in is said by the variables that the original
makes its first user of; while the file `two-factor` lies in the data folder, the code in it is asked for as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import importlib
import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LIFETIME = 24 * 3600  # of a token, seconds
FIELDS = {
    "domain_names": list, "forward_scheme": str, "forward_host": str, "forward_port": int, "advanced_config": str,
    "enabled": bool, "ssl_forced": bool, "block_exploits": bool, "caching_enabled": bool, "http2_support": bool,
    "allow_websocket_upgrade": bool, "certificate_id": int, "access_list_id": int, "hsts_enabled": bool,
    "hsts_subdomains": bool, "trust_forwarded_proto": bool, "locations": list, "meta": dict,
}  # fmt: skip
Render = Callable[["dict[str, Any]"], str]  # a row → its generated file
Nginx = Callable[..., "tuple[bool, str]"]  # its arguments → whether it was content, and what it said


class Refusal(Exception):
    """An answer with an error in it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def run_nginx(*arguments: str) -> tuple[bool, str]:
    """The nginx of this container."""
    done = subprocess.run(["nginx", *arguments], capture_output=True, text=True)
    return done.returncode == 0, done.stderr.strip()


class Npm:
    """The manager: its database and files below `data`, its users, its nginx."""

    def __init__(self, data: Path, user: tuple[str, str], render: Render, nginx: Nginx = run_nginx) -> None:
        self.data, self.user, self.render, self.nginx = data, user, render, nginx
        self.key = os.urandom(32)
        self.now: Callable[[], float] = time.time

    def answer(self, method: str, path: str, token: str, body: Any) -> Any:
        """What the API says. Raises Refusal."""
        if (method, path) == ("POST", "/api/tokens"):
            return self.log_in(body)
        if (method, path) == ("POST", "/api/tokens/2fa"):
            return self.second_factor(body)
        if (method, path) == ("GET", "/api/"):
            return {"status": "OK", "version": {"major": 2, "minor": 15, "revision": 1}}
        self.authorize(token)
        if (method, path) == ("GET", "/api/nginx/proxy-hosts"):
            return [shown(row) for row in self.rows("is_deleted = 0")]
        place = re.fullmatch(r"/api/nginx/proxy-hosts/(\d+)(/enable|/disable)?", path)
        if place and place[2] and method == "POST":
            return self.switch(int(place[1]), place[2] == "/enable")
        if place and not place[2] and method == "GET":
            return shown(self.row(int(place[1])))
        if place and not place[2] and method == "PUT":
            return self.update(int(place[1]), body)
        raise Refusal(404, "Not Found")

    def log_in(self, body: Any) -> Any:
        login = body if isinstance(body, dict) else {}
        if (login.get("identity"), login.get("secret")) != self.user:
            raise Refusal(400, "Invalid email or password")
        if self.code():
            return {"requires_2fa": True, "challenge_token": self.token("challenge", 300)}
        return self.granted()

    def second_factor(self, body: Any) -> Any:
        self.valid(str(body.get("challenge_token", "")), "challenge")
        if str(body.get("code")) != self.code():
            raise Refusal(400, "Invalid verification code")
        return self.granted()

    def code(self) -> str:
        try:
            return (self.data / "two-factor").read_text().strip()
        except FileNotFoundError:
            return ""

    def granted(self) -> Any:
        expires = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.now() + LIFETIME))
        return {"token": self.token("user", LIFETIME), "expires": expires}

    def token(self, scope: str, seconds: float) -> str:
        text = json.dumps({"scope": scope, "exp": self.now() + seconds}).encode()
        signature = hmac.new(self.key, text, hashlib.sha256).hexdigest()
        return f"{base64.urlsafe_b64encode(text).decode()}.{signature}"

    def authorize(self, token: str) -> None:
        if not token:
            raise Refusal(404, "Not Found")
        self.valid(token, "user")

    def valid(self, token: str, scope: str) -> None:
        text, _, signature = token.partition(".")
        try:
            raw = base64.urlsafe_b64decode(text)
            claims = json.loads(raw)
        except (binascii.Error, ValueError):
            raise Refusal(500, "jwt malformed") from None
        if not hmac.compare_digest(hmac.new(self.key, raw, hashlib.sha256).hexdigest(), signature):
            raise Refusal(500, "invalid signature")
        if claims["exp"] < self.now():
            raise Refusal(400, "Token has expired")
        if claims["scope"] != scope:
            raise Refusal(403, "Permission Denied")

    def update(self, number: int, body: Any) -> Any:
        row = self.row(number)
        self.checked(body)
        values = {key: json.dumps(value) if isinstance(value, (list, dict)) else value for key, value in body.items()}
        self.write(number, {key: int(v) if isinstance(v, bool) else v for key, v in values.items()})
        if not row["enabled"]:  # what a PUT says of it reaches the database alone
            return shown(self.row(number))
        self.configure(number)
        return shown(self.row(number))

    def checked(self, body: Any) -> None:
        if not isinstance(body, dict) or not body:
            raise Refusal(400, "data must NOT have fewer than 1 items")
        for key, value in body.items():
            if key not in FIELDS:
                raise Refusal(400, "data must NOT have additional properties")
            kind = FIELDS[key]
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise Refusal(400, f"data/{key} must be {kind.__name__}")

    def switch(self, number: int, enable: bool) -> Any:
        row = self.row(number)
        if bool(row["enabled"]) == enable:
            raise Refusal(400, f"Host is already {'enabled' if enable else 'disabled'}")
        self.write(number, {"enabled": int(enable)})
        if enable:
            self.configure(number)
        else:
            self.file(number).unlink(missing_ok=True)
            self.reload()
        return True

    def configure(self, number: int) -> None:
        """Write the host's file if nginx takes it; else it is gone, and the row says so."""
        self.reload()
        self.file(number).unlink(missing_ok=True)
        self.file(number).write_text(self.render(self.row(number)))
        content, said = self.nginx("-t")
        if not content:
            self.file(number).unlink()
        meta = {**json.loads(self.row(number)["meta"]), "nginx_online": content, "nginx_err": None if content else said}
        self.write(number, {"meta": json.dumps(meta)})
        self.reload()

    def reload(self) -> None:
        content, said = self.nginx("-t")
        if not content:
            raise Refusal(500, f"Internal Error: {said}")
        self.nginx("-s", "reload")

    def file(self, number: int) -> Path:
        return self.data / "nginx/proxy_host" / f"{number}.conf"

    def row(self, number: int) -> dict[str, Any]:
        found = self.rows("is_deleted = 0 AND id = ?", number)
        if not found:
            raise Refusal(404, f"Item Not Found - {number}")
        return found[0]

    def rows(self, condition: str, *values: Any) -> list[dict[str, Any]]:
        with self.database() as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(f"SELECT * FROM proxy_host WHERE {condition} ORDER BY id", values)
            return [dict(row) for row in found]

    def write(self, number: int, values: dict[str, Any]) -> None:
        columns = ", ".join(f"{key} = ?" for key in values)
        stamp = "modified_on = datetime('now', 'localtime')"
        with self.database() as connection:
            connection.execute(f"UPDATE proxy_host SET {columns}, {stamp} WHERE id = ?", (*values.values(), number))

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.data / "database.sqlite")


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the API shows it: lists, objects and truth values instead of text and numbers."""
    lists = {key: json.loads(row[key] or "[]") for key in ("domain_names", "meta", "locations")}
    flags = {key: bool(row[key]) for key, kind in FIELDS.items() if kind is bool}
    return {key: value for key, value in {**row, **lists, **flags}.items() if key != "is_deleted"}


class Handler(BaseHTTPRequestHandler):
    """One request of the API's."""

    protocol_version = "HTTP/1.1"
    npm: Npm

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        try:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = 200, self.npm.answer(self.command, self.path, token, json.loads(raw or b"null"))
        except Refusal as refusal:
            status, answer = refusal.status, {"error": {"code": refusal.status, "message": str(refusal)}}
        except ValueError as error:
            status, answer = 400, {"error": {"code": 400, "message": str(error)}}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request may hold a secret."""


def server(npm: Npm, address: str, port: int) -> ThreadingHTTPServer:
    """A server of the API, not yet serving."""
    return ThreadingHTTPServer((address, port), type("Bound", (Handler,), {"npm": npm}))


if __name__ == "__main__":
    # In the container the two lie side by side, in no package.
    rendering: Render = importlib.import_module("hostfile").render
    admin = os.environ.get("INITIAL_ADMIN_EMAIL", ""), os.environ.get("INITIAL_ADMIN_PASSWORD", "")
    server(Npm(Path("/data"), admin, rendering), "0.0.0.0", 81).serve_forever()
