"""What connections have received, asked of the kernel about real ones."""

from __future__ import annotations

import socket
from contextlib import closing

from fabfile.runner.system import sockdiag


def test_a_connection_that_was_answered_differs_from_one_that_was_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port))) as one, server.accept()[0] as other:
            ends = ("127.0.0.1", port, one.getsockname()[1])
            one.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sockdiag.received()[ends] == 0, "what it has sent does not count"
            assert other.recv(100)
            other.sendall(b"x" * 100)
            assert len(one.recv(100, socket.MSG_WAITALL)) == 100
            assert sockdiag.received()[ends] == 100
        assert ends not in sockdiag.received()
