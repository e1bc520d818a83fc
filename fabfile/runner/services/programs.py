"""Programs that print lines for as long as they are read, and end with their reader."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType

from ..system.machine import CommandFailed, environment_of

_MAX_LINE = 1 << 20  # bytes; what is longer comes in parts
_END_SECONDS = 2.0  # until a program that does not end is killed


class Programs:
    """Programs that are killed at the end of the block, whatever ends it."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._over = False

    def __enter__(self) -> Programs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._over = True
            running = [process for process in self._running if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
                continue
            process.kill()
            process.wait()

    def lines(self, argv: Sequence[str]) -> Iterator[bytes]:
        """The lines of a program, both its streams in one; it is started at once, and read as they are consumed.

        Raises CommandFailed where it can't be started, and after its last line where it ended badly.
        """
        with self._lock:
            if self._over:
                return iter(())
            try:
                process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment_of(None),
                )
            except OSError as error:
                raise CommandFailed(f"{argv[0]} could not be started: {error}", argv=list(argv)) from error
            self._running.append(process)
        return self._read(process, argv)

    def _read(self, process: subprocess.Popen[bytes], argv: Sequence[str]) -> Iterator[bytes]:
        assert process.stdout is not None
        try:
            with process.stdout as out:
                yield from iter(lambda: out.readline(_MAX_LINE), b"")
        except GeneratorExit:  # its reader has had enough
            process.terminate()
            raise
        finally:
            code = process.wait()
            with self._lock:
                self._running.remove(process)
        if code > 0:
            raise CommandFailed(f"{' '.join(argv[:2])} ended with {code}", code=code, argv=list(argv))
