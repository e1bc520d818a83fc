"""One SSH connection to a VPS: made when it is needed, or beside what its owner does before.

Where the tool runs on the VPS itself there is none, and commands are its child processes.
"""

from __future__ import annotations

import contextlib
import getpass
import shlex
import socket
import threading
from collections.abc import Callable, Sequence

import paramiko
from fabric import Config, Connection
from paramiko.ssh_exception import ChannelException, SSHException

from fabfile import inventory
from fabfile.remote import here, login_errors, ssh
from fabfile.remote.here import LocalChannel, Terminal
from fabfile.remote.route import Route
from fabfile.remote.ssh import Login

KEEPALIVE = 5  # seconds; keeps firewalls in between from forgetting a quiet connection

# OpenSSH's configuration is OpenSSH's to read; Fabric would read a part of it, and fail at the rest.
_FABRIC = {"load_ssh_configs": False, "authentication": {"strategy_class": None}}


class Link:
    """A connection to `host`, with `timeout` (seconds) for each of its parts: Fabric's own, where `fab -H` made one."""

    def __init__(
        self,
        host: inventory.Host,
        timeout: float,
        connection: Connection | None = None,
        login: Login | None = None,
    ) -> None:
        self._host = host
        self._timeout = timeout
        self._login = login or (Login.of(connection) if connection else Login())
        self._connection = connection
        self._route: Route | None = None
        self._opening: _Opening | None = None
        self.is_here = False
        """Whether the VPS is this machine, once it is connected."""
        # Both are the configuration's, once there is a connection.
        self._target = f"{host.address}:{host.port}"
        self.user = host.user
        """Who logs in."""

    def again(self) -> Link:
        """A new connection to the same host, which logs in as this one does."""
        return Link(self._host, self._timeout, login=self._login)

    def begin(self) -> None:
        """Begin to connect, beside what the caller does next. What goes wrong with it is raised by `execute`."""
        if self._opening is None and not self._is_connected:
            self._opening = _Opening(self._connect)
            self._opening.start()

    def execute(self, argv: Sequence[str], terminal: Terminal | None = None) -> paramiko.Channel | LocalChannel:
        """The channel of a command that runs as root, at a terminal where one is given.

        Raises Unreachable, and UsageError for an example's address.
        """
        self._ensure_connected()
        words = list(argv)
        if self.user != "root":
            # Why sudo refuses is told by its words, which it would otherwise translate.
            words = ["env", "LC_ALL=C", "sudo", "-n", *words]
        if self.is_here:
            return self._execute_here(words, terminal)
        assert self._connection is not None
        try:
            channel: paramiko.Channel = self._connection.transport.open_session(timeout=self._timeout)
            if terminal:
                channel.get_pty(*terminal)
            channel.exec_command(shlex.join(words))
        except (OSError, SSHException, EOFError) as error:
            self.close()
            if isinstance(error, ChannelException):
                raise login_errors.no_session(self._target, self.user, error.text) from error
            why = f"it was lost after the log-in ({str(error) or type(error).__name__})"
            raise login_errors.refused_connection(self._target, why) from error
        return channel

    def _execute_here(self, words: Sequence[str], terminal: Terminal | None) -> LocalChannel:
        try:
            return LocalChannel(words, terminal)
        except OSError as error:
            raise login_errors.cannot_start(words[0], str(error)) from error

    def close(self) -> None:
        """Close it; what was started over it goes on."""
        if self._connection is not None:
            self._connection.client.close()
        if self._route is not None:
            self._route.close()
        self._route = None

    @property
    def _is_connected(self) -> bool:
        return self.is_here or (self._connection is not None and bool(self._connection.is_connected))

    def _ensure_connected(self) -> None:
        opening, self._opening = self._opening, None
        if opening:
            opening.result()
        if not self._is_connected:
            self._connect()

    def _connect(self) -> None:
        config = ssh.configuration(self._host, self._login)
        if self._connection is None and here.is_here(config):
            self.is_here, self.user = True, getpass.getuser()
            return
        connection = self._connection or Connection(config.hostname, port=config.port, config=Config(overrides=_FABRIC))
        self._connection, self.user, self._target = connection, config.user, f"{config.hostname}:{config.port}"
        self._route = ssh.connect(connection, self._host, self._login, config, self._timeout)
        connection.transport.set_keepalive(KEEPALIVE)
        with contextlib.suppress(OSError):  # it is no TCP connection where a program stands in between
            # Each message is waited for: none may wait to be sent together with the next.
            self._route.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Opening(threading.Thread):
    """A connection on its way. It ends with the process: whoever leaves before does not wait for it."""

    def __init__(self, connect: Callable[[], None]) -> None:
        super().__init__(name="connect", daemon=True)
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
