#!/usr/bin/python3
"""The unrelated site behind the edge: it answers every request with its own name."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Other(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"other\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET


ThreadingHTTPServer(("0.0.0.0", 8080), Other).serve_forever()
