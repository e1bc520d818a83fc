"""The provider is asked with the app's own key, and the key is in no word of what comes back."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from fabfile.runner.facts.environment import in_force, settings
from fabfile.runner.facts.provider import check_provider
from fabfile.runner.wire.app import AdapterRef, Environment, Provided, ProviderRef
from tests.runner.support.servers import page, serving

KEY = "s3cret-key"
ADAPTERS = (
    AdapterRef("synthetic"),
    AdapterRef("alpaca", "PROVIDER_URL", {"authorization": "Bearer {PROVIDER_KEY}"}),
    AdapterRef("open", "PROVIDER_URL"),
    AdapterRef("pair", "PROVIDER_URL", {"x-id": "{NEW_ID|OLD_ID|ID}", "x-key": "{PROVIDER_KEY}"}, "/v2/quotes?feed=x"),
    AdapterRef("usual", "PROVIDER_URL", url="http://127.0.0.1:1"),
    AdapterRef("dark", unchecked="it speaks a protocol of its own"),
)


class Vps:
    """An env file and an overrides file."""

    def __init__(self, folder: Path) -> None:
        self.env, self.overrides = folder / "app.env", folder / "native.env"

    def reference(self, planned: dict[str, str] | None = None) -> ProviderRef:
        return ProviderRef(Environment("native", str(self.env), str(self.overrides), planned), "ADAPTER", ADAPTERS)

    def ask(self, *lines: str, overrides: str | None = None, planned: dict[str, str] | None = None) -> Provided:
        """Write the files and ask; nothing that comes back may hold the key."""
        self.env.write_text("\n".join(lines))
        if overrides is not None:
            self.overrides.write_text(overrides)
        found = check_provider(self.reference(planned))
        assert KEY not in repr(found)
        return found


@pytest.fixture
def vps(tmp_path: Path) -> Vps:
    return Vps(tmp_path)


@pytest.mark.parametrize("status", [200, 401, 403, 503])
def test_the_providers_answer_to_the_apps_own_key_is_returned(vps: Vps, status: int) -> None:
    asked: list[bytes] = []

    def talk(line: socket.socket) -> None:
        asked.append(line.recv(4096))
        line.sendall(page(status))

    with serving(talk) as port:
        url = f"PROVIDER_URL=http://127.0.0.1:{port}/v1/options?feed=x"
        found = vps.ask("ADAPTER=alpaca", url, f"PROVIDER_KEY={KEY}")
    head = asked[0].decode().lower()
    assert head.startswith("get /v1/options?feed=x http/1.1") and f"authorization: bearer {KEY}" in head
    assert (found.status, found.asked, found.problem) == (status, f"127.0.0.1:{port}", "")
    assert found.keys == {"PROVIDER_KEY": str(vps.env)} and found.adapter_origin == str(vps.env)


@pytest.mark.parametrize("below", ["", "/", "/v1/?who=me"])
def test_the_path_that_the_provider_has_is_asked_with_the_first_variables_that_are_set(vps: Vps, below: str) -> None:
    asked: list[bytes] = []

    def talk(line: socket.socket) -> None:
        asked.append(line.recv(4096))
        line.sendall(page(200))

    with serving(talk) as port:
        url = f"PROVIDER_URL=http://127.0.0.1:{port}{below}"
        found = vps.ask("ADAPTER=pair", url, "NEW_ID=", "OLD_ID=mine", "ID=other", f"PROVIDER_KEY={KEY}")
    head = asked[0].decode().lower()
    assert head.startswith("get /v2/quotes?feed=x http/1.1") and "x-id: mine\r\n" in head and "other" not in head
    assert found.status == 200 and list(found.keys) == ["OLD_ID", "PROVIDER_KEY"]


def test_where_no_variable_has_the_address_the_apps_own_is_asked(vps: Vps) -> None:
    assert vps.ask("ADAPTER=usual").asked == "127.0.0.1:1"
    assert vps.ask("ADAPTER=usual", "PROVIDER_URL=http://127.0.0.2:1").asked == "127.0.0.2:1"


def test_an_adapter_that_cannot_be_checked_has_a_reason(vps: Vps) -> None:
    found = vps.ask("ADAPTER=dark")
    assert (found.unchecked, found.asked, found.problem) == ("it speaks a protocol of its own", "", "")


def test_the_overrides_win_and_are_named(vps: Vps) -> None:
    found = vps.ask("ADAPTER=alpaca", overrides="ADAPTER=synthetic\n")
    assert (found.adapter, found.adapter_origin, found.asked) == ("synthetic", str(vps.overrides), "")


def test_overrides_that_a_plan_will_write_are_taken_in_place_of_the_file(vps: Vps) -> None:
    found = vps.ask("ADAPTER=alpaca", overrides="ADAPTER=alpaca\n", planned={"ADAPTER": "synthetic"})
    assert (found.adapter, found.adapter_origin) == ("synthetic", str(vps.overrides))


@pytest.mark.parametrize("line", ["", "ADAPTER="])
def test_without_a_choice_nobody_is_asked(vps: Vps, line: str) -> None:
    assert vps.ask(line) == Provided()


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["ADAPTER=other"], "the inventory knows no such adapter, only: synthetic, alpaca, open, pair, usual, dark"),
        (["ADAPTER=open"], "PROVIDER_URL is not set"),
        (["ADAPTER=alpaca", "PROVIDER_URL=http://127.0.0.1:1/"], "PROVIDER_KEY is not set"),
        (["ADAPTER=open", f"PROVIDER_URL=ftp://{KEY}@x/"], "PROVIDER_URL holds no http:// or https:// address"),
        (["ADAPTER=open", f"PROVIDER_URL=http://x:{KEY}/"], "PROVIDER_URL holds no http:// or https:// address"),
        (["ADAPTER=open", f"PROVIDER_URL=http://[{KEY}/"], "PROVIDER_URL holds no http:// or https:// address"),
        (["ADAPTER=open", f"PROVIDER_URL=http://127.0.0.1:1/{KEY} x"], "not HTTP: InvalidURL"),
        (
            ["ADAPTER=pair", "PROVIDER_URL=http://127.0.0.1:1", "NEW_ID= ", "OLD_ID="],
            "none of NEW_ID, OLD_ID, ID is set",
        ),
        (["ADAPTER=alpaca", "PROVIDER_URL=http://127.0.0.1:1/", f"PROVIDER_KEY={KEY}€"], "not HTTP: Unicode"),
    ],
)
def test_what_keeps_it_from_asking_is_told_without_a_secret(vps: Vps, lines: list[str], problem: str) -> None:
    assert problem in vps.ask(*lines).problem


def test_a_provider_that_cannot_be_reached_is_a_problem(vps: Vps) -> None:
    found = vps.ask("ADAPTER=open", f"PROVIDER_URL=http://{KEY}@127.0.0.1:1/{KEY}")
    assert found.asked == "127.0.0.1:1" and found.problem.startswith("no answer: ")


def test_a_redirect_is_not_followed(vps: Vps) -> None:
    """The key would travel to wherever it leads."""
    asked = threading.Semaphore(0)

    def talk(line: socket.socket) -> None:
        line.recv(4096)
        asked.release()
        line.sendall(page(302, headers={"Location": "/elsewhere"}))

    with serving(talk) as port:
        found = vps.ask("ADAPTER=alpaca", f"PROVIDER_URL=http://127.0.0.1:{port}/", f"PROVIDER_KEY={KEY}")
    assert found.status == 302
    assert asked.acquire(blocking=False) and not asked.acquire(blocking=False)


def test_a_missing_env_file_is_a_problem(vps: Vps) -> None:
    assert "No such file" in check_provider(vps.reference()).problem


def test_only_the_named_variables_leave_the_vps(vps: Vps) -> None:
    vps.env.write_text(f"AGE=1\nPROVIDER_KEY={KEY}\n")
    vps.overrides.write_text("AGE=2\nOTHER=3\n")
    environment = vps.reference().environment
    assert settings(environment, ("AGE", "NONE")).values == {"AGE": in_force(environment)["AGE"]}
    assert (in_force(environment)["AGE"].value, in_force(environment)["AGE"].origin) == ("2", str(vps.overrides))


def test_an_env_file_that_is_no_text_is_told(vps: Vps) -> None:
    vps.env.write_bytes(b"A=\xff")
    assert "can't decode" in settings(vps.reference().environment, ("A",)).problem
    assert "can't decode" in check_provider(vps.reference()).problem
