"""The inventory's tables of the app itself: where its checkout is, and the services that run from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from fabfile.inventory import fields as f
from fabfile.inventory.table import Table


class App(Table):
    """The app on the VPS, whichever runtime runs it.

    `<bun> <install_argv>` leaves `installed` in the checkout. This version of the app takes any text for true, even
    "false", in the variables of `any_text_is_true`.
    """

    name: f.Name
    user: f.User
    group: f.User
    checkout: f.RemotePath
    env_file: f.RemotePath
    bun: f.RemotePath
    install_argv: f.Words
    install_timeout: f.Seconds = 600.0
    installed: f.RemotePath | None = None
    any_text_is_true: f.EnvNames = ()
    unit_directory: f.RemotePath
    data_root: f.RemotePath
    owner_file: f.RemotePath
    shell_scripts: f.CheckoutPaths = ()

    @property
    def scripts(self) -> tuple[str, ...]:
        """The checkout's shell scripts, by their absolute paths."""
        return tuple(f"{self.checkout}/{script}" for script in self.shell_scripts)


class Service(Table):
    """One process of the app: `<bun> <argv>` in `directory`. Workers have neither port nor health path.

    `argv` may hold placeholders. `<bun> <build_argv>` builds it, with the variables of the env file that `build_env`
    names, and leaves `built` in the checkout; `build_rewrites` are files tracked by git that it writes anew. An
    `optional` service may be ill after a hand-over if it was before.
    """

    name: f.Name
    kind: Literal["web", "api", "worker"]
    directory: f.RemotePath
    argv: f.SomeWords
    build_argv: f.Words = ()
    build_timeout: f.Seconds = 900.0
    build_env: f.EnvPatterns = ()
    build_rewrites: f.CheckoutPaths = ()
    built: f.RemotePath | None = None
    stop_signal: Literal["SIGTERM", "SIGINT"] = "SIGTERM"
    stop_timeout: f.Seconds = 10.0
    optional: bool = False
    port: f.Port | None = None
    parking_port: f.Port | None = None
    health: f.UrlPath | None = None
    durables: Annotated[tuple[f.Durable, ...], BeforeValidator(f.listed)] = ()
    unit: f.Unit
