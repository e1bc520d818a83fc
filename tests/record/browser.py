"""A headless Chromium, driven over its own protocol: pages in several widths and both colour schemes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0  # seconds

# What reaches past the page's right edge, or past its own box where that does not scroll.
OVERFLOW = """
[...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  if (!box.width || element.closest("svg")) return false;
  for (let around = element.parentElement; around; around = around.parentElement)
    if (getComputedStyle(around).overflowX === "auto") return false;
  const spills = element.scrollWidth > element.clientWidth + 1
    && element.clientWidth > 0 && getComputedStyle(element).overflowX === "visible";
  return box.right > innerWidth + 1 || spills;
}).map(element => `${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 60)}`)
"""


class Page:
    """A tab."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(1)

    def open(self, address: str, width: int, scheme: str) -> None:
        """Show an address in a window so wide (CSS pixels), for who prefers light or dark."""
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._ask("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE
        while self.value("document.readyState") != "complete" or self.value("location.href") != address:
            assert time.monotonic() < deadline, "the page does not load"
            time.sleep(0.05)

    def value(self, script: str) -> Any:
        """What a script comes to."""
        return self._ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        found = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "sessionId": self._session, "method": method, "params": params}
        return _answer(self._socket, message)


@contextmanager
def page() -> Iterator[Page]:
    """A tab of a browser of its own. Fails, naming the package, where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"this test needs a browser: install the package chromium (none of {', '.join(NAMES)} is there)"
    # Chromium has no sandbox for root, as which tests run in CI.
    unconfined = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [f"--user-data-dir={profile}", "--headless", "--disable-gpu", "--remote-debugging-port=0"]
        command = [program, *unconfined, *options, "about:blank"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                port, path = _door(Path(profile), browser)
                with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
                    yield _tab(socket)
            finally:
                browser.terminate()


def _door(profile: Path, browser: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Port and path at which it can be driven, which it tells in its profile."""
    told, deadline = profile / "DevToolsActivePort", time.monotonic() + PATIENCE
    while not (told.exists() and len(told.read_text().split()) == 2):
        assert browser.poll() is None and time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.05)
    port, path = told.read_text().split()
    return port, path


def _tab(socket: ClientConnection) -> Page:
    target = _answer(socket, {"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}})
    params = {"targetId": target["targetId"], "flatten": True}
    attached = _answer(socket, {"id": 0, "method": "Target.attachToTarget", "params": params})
    return Page(socket, attached["sessionId"])


def _answer(socket: ClientConnection, message: dict[str, Any]) -> dict[str, Any]:
    """The answer to a message; what the browser tells by itself meanwhile is left out."""
    socket.send(json.dumps(message))
    while True:
        told = json.loads(socket.recv(timeout=PATIENCE))
        if told.get("id") == message["id"] and "method" not in told:
            assert "error" not in told, told
            result: dict[str, Any] = told["result"]
            return result
