"""The statements by which nginx answers 503 by itself: a page for browsers, JSON for programs.

They stand in the server block and rewrite every request before nginx chooses a location, so that no location of the
row's or the operator's wins over them, websockets included. Only the paths by which certificates are renewed pass.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from email.utils import formatdate

from ...wire.edge import Maintenance

HEADER = "X-Islandflow-Maintenance"  # with the second since when: it tells one maintenance from another
MOST_CHARACTERS = 200  # of a message: nginx reads no parameter of 4 KiB or more
RETRY_SECONDS = 300  # where nobody has said until when
DEFAULT_MESSAGE = "We are working on it, and will be back soon."

_ACME = r"/\.well-known/acme-challenge/"
_PLACE = "/.islandflow-maintenance/"  # the two locations below it; no request reaches them but by the rewrites
_LOCATION = """\
  location = {place} {{
    internal;
    types {{ }}
    default_type {kind};
    charset utf-8;
    add_header Retry-After "{retry}" always;
    add_header Cache-Control no-store always;
    add_header {header} {since} always;
    return 503 '{body}';
  }}"""
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Maintenance</title><style>'
    "body{{margin:0;min-height:100vh;display:grid;place-content:center;padding:1.5rem;box-sizing:border-box;"
    "font:1.1rem/1.5 system-ui,sans-serif;color:#1d2733;background:#f5f7f9;text-align:center}}"
    "h1{{margin:0 0 .5rem;font-size:1.6rem}}p{{margin:.25rem 0;max-width:34rem}}"
    "@media(prefers-color-scheme:dark){{body{{color:#e6ebf0;background:#151b22}}}}</style></head>"
    "<body><main><h1>Maintenance</h1><p>{message}</p>{until}</main></body></html>"
)


def problem_of(message: str) -> str:
    """Return why a message can't be shown; empty where it can."""
    if len(message) > MOST_CHARACTERS:
        return f"the message has {len(message)} characters, and may have {MOST_CHARACTERS}"
    if not message.isprintable():
        return "the message has characters that can't be printed; it must be one line"
    return ""


def statements(maintenance: Maintenance, prefixes: Sequence[str], program: bool) -> str:
    """Return the statements for a host.

    JSON goes to what is below one of the `prefixes`; with `program`, as for the API's own hostname, to everybody.
    """
    kinds = {"json": ("application/json", _json(maintenance)), "page": ("text/html", _page(maintenance))}
    words = "|".join(prefix.replace(".", r"\.") for prefix in prefixes)
    rest = "json" if program else "page"
    rewrites = [f"  rewrite ^/(?:{words})(?:/|$) {_PLACE}json last;"] if words and not program else []
    rewrites.append(f"  rewrite ^(?!{_ACME}) {_PLACE}{rest} last;")
    locations = [
        _LOCATION.format(
            place=_PLACE + name,
            kind=kind,
            retry=_retry_after(maintenance),
            header=HEADER,
            since=mark(maintenance),
            body=_quoted(body),
        )
        for name, (kind, body) in kinds.items()
        if name in (rest, "json")
    ]
    return "\n".join([*rewrites, *locations])


def mark(maintenance: Maintenance) -> str:
    """Return the value that HEADER has in its answers."""
    return str(int(maintenance.since))


def _retry_after(maintenance: Maintenance) -> str:
    # A date counts down by itself; seconds would be the same an hour later.
    return formatdate(maintenance.until, usegmt=True) if maintenance.until else str(RETRY_SECONDS)


def _json(maintenance: Maintenance) -> str:
    until = {"until": formatdate(maintenance.until, usegmt=True)} if maintenance.until else {}
    # A dollar would begin a variable of nginx', which knows no way to write one.
    return json.dumps({"error": "maintenance", "message": _message(maintenance), **until}).replace("$", "\\u0024")


def _page(maintenance: Maintenance) -> str:
    until = ""
    if maintenance.until:
        until = f"<p>Expected to end: {formatdate(maintenance.until, usegmt=True)}</p>"
    message = html.escape(_message(maintenance)).encode("ascii", "xmlcharrefreplace").decode()
    return _PAGE.format(message=message.replace("$", "&#36;"), until=until)


def _message(maintenance: Maintenance) -> str:
    return maintenance.message or DEFAULT_MESSAGE


def _quoted(text: str) -> str:
    """Return the inside of a string in single quotes, as nginx reads it."""
    return text.replace("\\", "\\\\").replace("'", "\\'")
