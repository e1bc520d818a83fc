"""One SSH connection to a VPS: made when it is needed, or beside what its owner does before."""

from __future__ import annotations

import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence

import paramiko
from fabric import Connection
from paramiko.ssh_exception import SSHException

from fabfile import inventory
from fabfile.remote import ssh

KEEPALIVE = 5  # seconds; keeps firewalls in between from forgetting a quiet connection


class Link:
    """A connection to `host`, with `timeout` (seconds) for each of its parts: Fabric's own, where `fab -H` made one."""

    def __init__(self, host: inventory.Host, timeout: float, connection: Connection | None = None) -> None:
        self._host = host
        self._timeout = timeout
        self._login = ssh.options(host, timeout) if connection is None else dict(connection.connect_kwargs)
        self._connection = connection or self._new()
        self._opening: _Opening | None = None

    @property
    def user(self) -> str:
        """Who logs in."""
        return str(self._connection.user)

    def again(self) -> Link:
        """A new connection to the same host, which logs in as this one does."""
        return Link(self._host, self._timeout, self._new())

    def begin(self) -> None:
        """Begin to connect, beside what the caller does next. What goes wrong with it is raised by `execute`."""
        if self._opening is None and not self._connection.is_connected:
            self._opening = _Opening(self._connect)
            self._opening.start()

    def execute(self, argv: Sequence[str]) -> paramiko.Channel:
        """The channel of a command that runs as root. Raises Unreachable, and UsageError for an example's address."""
        words = list(argv)
        if self.user != "root":
            # Why sudo refuses is told by its words, which it would otherwise translate.
            words = ["env", "LC_ALL=C", "sudo", "-n", *words]
        started = self._opening.began if self._opening else time.monotonic()
        try:
            channel: paramiko.Channel = self._transport().open_session(timeout=self._timeout)
            channel.exec_command(shlex.join(words))
        except (OSError, SSHException, EOFError) as error:
            self.close()
            raise ssh.connection_error(error, self._host, self._timeout, time.monotonic() - started) from error
        return channel

    def close(self) -> None:
        """Close it; what was started over it goes on."""
        self._connection.client.close()

    def _new(self) -> Connection:
        host, login = self._host, dict(self._login)
        return Connection(
            host.address, user=host.user, port=host.port, connect_timeout=self._timeout, connect_kwargs=login
        )

    def _transport(self) -> paramiko.Transport:
        opening, self._opening = self._opening, None
        if opening:
            opening.result()
        if not self._connection.is_connected:
            self._connect()
        transport: paramiko.Transport = self._connection.transport
        return transport

    def _connect(self) -> None:
        connection = self._connection
        ssh.refuse_example(self._host)
        # Fabric trusts any host key by itself, and knows none.
        ssh.trust_known(connection.client, self._host)
        connection.open()
        connection.transport.set_keepalive(KEEPALIVE)
        if isinstance(connection.transport.sock, socket.socket):  # and no command that an SSH configuration names
            # Each message is waited for: none may wait to be sent together with the next.
            connection.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Opening(threading.Thread):
    """A connection on its way. It ends with the process: whoever leaves before does not wait for it."""

    def __init__(self, connect: Callable[[], None]) -> None:
        super().__init__(name="connect", daemon=True)
        self.began = time.monotonic()
        self._connect = connect
        self._error: Exception | None = None

    def run(self) -> None:
        """Connect, and keep the error."""
        try:
            self._connect()
        except Exception as error:  # noqa: BLE001  `result` raises it where it is handled
            self._error = error

    def result(self) -> None:
        """Wait for the connection. Raises what connecting raised."""
        self.join()
        if self._error:
            raise self._error
