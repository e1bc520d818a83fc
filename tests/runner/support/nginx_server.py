"""A real nginx on 127.0.0.1, for what only nginx itself can say."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def nginx(folder: Path, servers: str, port: int) -> Iterator[None]:
    """A real nginx with these server blocks, one of which listens on 127.0.0.1:port."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    conf = folder / "nginx.conf"
    conf.write_text(
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nmaster_process off;\nevents {{}}\n"
        f"http {{\naccess_log off;\nserver_names_hash_bucket_size 128;\n{temporary}{servers}}}\n"
    )
    words = ["nginx", "-p", str(folder), "-c", str(conf)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        try:
            deadline = time.monotonic() + 60
            while not listens(port):
                assert running.poll() is None, running.stderr and running.stderr.read()
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.05)
            yield
        finally:
            running.terminate()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
