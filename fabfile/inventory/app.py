"""The inventory's tables of the app itself: where its checkout is, and the services that run from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from fabfile.inventory import fields
from fabfile.inventory.base import Table


class App(Table):
    """The app on the VPS, whichever runtime runs it.

    `<bun> <install_argv>` leaves `installed` in the checkout. This version of the app takes any text for true, even
    "false", in the variables of `any_text_is_true`.
    """

    name: fields.Name
    user: fields.User
    group: fields.User
    checkout: fields.RemotePath
    env_file: fields.RemotePath
    bun: fields.RemotePath
    install_argv: fields.Words
    install_timeout: fields.Seconds = 600.0
    installed: fields.RemotePath | None = None
    any_text_is_true: fields.EnvNames = ()
    unit_directory: fields.RemotePath
    data_root: fields.RemotePath
    owner_file: fields.RemotePath
    shell_scripts: fields.CheckoutPaths = ()

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

    name: fields.Name
    kind: Literal["web", "api", "worker"]
    directory: fields.RemotePath
    argv: fields.SomeWords
    build_argv: fields.Words = ()
    build_timeout: fields.Seconds = 900.0
    build_env: fields.EnvPatterns = ()
    build_rewrites: fields.CheckoutPaths = ()
    built: fields.RemotePath | None = None
    stop_signal: Literal["SIGTERM", "SIGINT"] = "SIGTERM"
    stop_timeout: fields.Seconds = 10.0
    optional: bool = False
    port: fields.Port | None = None
    parking_port: fields.Port | None = None
    health: fields.UrlPath | None = None
    durables: Annotated[tuple[fields.Durable, ...], BeforeValidator(fields.listed)] = ()
    unit: fields.Unit
