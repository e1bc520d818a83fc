"""The inventory's tables of the app itself: where its checkout is, its services, and who runs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from fabfile.inventory import fields
from fabfile.inventory.base import Conflict, Table


class App(Table):
    """The app on the VPS, whichever runtime runs it."""

    name: fields.Name
    """Prefix of the services' units: `islandflow` gives islandflow-api.service."""
    user: fields.User
    """Linux user that runs the app natively, as user units; needs lingering."""
    group: fields.User
    """Group of that user."""
    checkout: fields.RemotePath
    """The app's git checkout. The tool writes no file of its own there."""
    env_file: fields.RemotePath
    """Env file of the native services, written for Compose. Docker may have another: `runtimes.docker.env_file`."""
    bun: fields.RemotePath
    """The Bun program that starts each service natively."""
    install_argv: fields.Words
    """Arguments of `bun` that install the app's dependencies."""
    install_timeout: fields.Seconds = 600.0
    """Seconds after which that installation has failed."""
    installed: fields.RemotePath | None = None
    """What the installation leaves, as in `node_modules`. Preflight refuses where it is missing."""
    any_text_is_true: fields.EnvNames = ()
    """Variables of which the app takes any text for true, even "false". Preflight warns where the env file sets one."""
    unit_directory: fields.RemotePath
    """Where the app user's systemd units are."""
    data_root: fields.RemotePath
    """Folder of the servers' data, which both runtimes share."""
    owner_file: fields.RemotePath
    """File that names the owner, `native` or `docker`. Native units start only where it says `native`."""
    shell_scripts: fields.CheckoutPaths = ()
    """The checkout's own shell scripts, whose syntax `check.static` checks with bash."""

    @property
    def scripts(self) -> tuple[str, ...]:
        """The checkout's shell scripts, by their absolute paths."""
        return tuple(f"{self.checkout}/{script}" for script in self.shell_scripts)


class Service(Table):
    """A process of the app, started as `bun <argv>` in `directory`. The table's name is its name in Compose."""

    name: fields.ServiceName
    kind: Literal["web", "api", "worker"]
    """Decides which scopes contain it. There is one web, one api, and any number of workers."""
    directory: fields.RemotePath
    """Where it is started; `.` is the checkout itself."""
    argv: fields.SomeWords
    """Arguments of `bun` that start it. They may hold placeholders."""
    build_argv: fields.Words = ()
    """Arguments of `bun` that build it, in each release that is deployed. Without any nothing is built."""
    build_timeout: fields.Seconds = 900.0
    """Seconds after which a build has failed."""
    build_env: fields.EnvPatterns = ()
    """Variables of the env file that the build gets; a `*` at the end stands for any rest of the name."""
    build_rewrites: fields.CheckoutPaths = ()
    """Files tracked by git that the build writes anew. Changes of these in the checkout refuse no deploy."""
    built: fields.RemotePath | None = None
    """A file that the build leaves. Preflight refuses where it is missing."""
    stop_signal: Literal["SIGTERM", "SIGINT"] = "SIGTERM"
    """Signal that stops it natively."""
    stop_timeout: fields.Seconds = 10.0
    """Seconds after which systemd kills it; below `edge.hold_limit`, since requests wait meanwhile."""
    optional: bool = False
    """A hand-over starts it, and requires its health only if it was healthy before."""
    port: fields.Port | None = None
    """Port on which it listens in both runtimes. Web and api need one, workers have none."""
    parking_port: fields.Port | None = None
    """Port of its parking lot, where its requests wait. Web and api need one unless `edge.hold` is false."""
    health: fields.Route | None = None
    """Path that answers 2xx or 3xx while it is healthy. Web and api need one, workers have none."""
    durables: Annotated[tuple[fields.Durable, ...], BeforeValidator(fields.listed)] = ()
    """JetStream consumers that must be bound while it is healthy."""
    unit: fields.Unit
    """Its native unit."""

    @classmethod
    def conflicts(cls, written: dict[str, Any]) -> Iterator[Conflict]:
        """Web and api have a port and a health path; a worker has neither."""
        kind = written.get("kind")
        for key in ("port", "health"):
            if kind in ("web", "api") and key not in written:
                yield Conflict((key,), f'is missing: a service of kind "{kind}" has one')
        for key in ("port", "health", "parking_port"):
            if kind == "worker" and key in written:
                yield Conflict((key,), "a worker has none; remove the line")


class Native(Table):
    """systemd, as the app's runtime."""

    bind: fields.Bind
    """Where web and API listen. "bridge" is the gateway of the edge's Docker network; "0.0.0.0" is every address."""
    upstream: fields.Upstream
    """Where the edge sends requests: "bridge", or an IPv4 address of the VPS."""
    settings_file: fields.RemotePath = "/etc/islandflow/settings.env"
    """File that the tool writes on the VPS with what Compose reads in `app.env_file`, so that systemd reads the same.
    The units read it; `app.install` writes it anew when the env file has changed."""
    overrides_file: fields.RemotePath
    """File that the tool writes `overrides` to. The units read it after the app's settings, so it wins."""
    overrides: fields.Environment = Field(default_factory=dict)
    """Variables of each native service. They may hold placeholders. One that is nothing but `{redis_url}`, `{nats_url}`
    or `{clickhouse_url}` is written to `settings_file`: it has host and port of that server, and all else as
    `app.env_file` says, but for a login of Redis."""
    differences: fields.Environment = Field(default_factory=dict)
    """Variables that may differ between the runtimes, each with the reason. Preflight refuses any other difference that
    is no override, and in a URL one besides host and port, override or not."""


class Docker(Table):
    """Docker Compose, as the app's runtime. The app's own Compose file is never written."""

    project: fields.DockerName
    """The Compose project."""
    directory: fields.RemotePath
    """Compose's project directory."""
    file: fields.RemotePath
    """The app's own Compose file."""
    env_file: fields.RemotePath
    """Env file that Compose reads."""
    overlay_file: fields.RemotePath = "/etc/islandflow/docker-compose.overlay.yml"
    """Compose file outside the checkout that `docker.render` writes where there are `overrides`; it is laid over the
    app's own."""
    web_host: fields.ContainerHost
    """Name of the web container on the edge's network."""
    api_host: fields.ContainerHost
    """Name of the API's container on the edge's network."""
    overrides: fields.Environment = Field(default_factory=dict)
    """Variables that each service gets in Docker, whatever its env file says. They may hold placeholders."""
    foreign_projects: Annotated[tuple[fields.DockerName, ...], BeforeValidator(fields.listed)] = ()
    """Compose projects that should not be on the VPS. Preflight warns of them."""
    snapshot: fields.RemotePath | None = None
    """Folder with copies of the checkout's files that the image is built from."""
    snapshot_files: Annotated[tuple[fields.FileName, ...], BeforeValidator(fields.listed)] = ()
    """Those files, which must be the same as the checkout's."""


class Runtimes(Table):
    """Who can run the app."""

    native: Native
    docker: Docker


class Releases(Table):
    """Releases of the native app, which deploys build: each commit in a directory of its own."""

    folder: fields.RemotePath
    """Where they are, each in a directory that is named by its commit. The app's user must be able to write there."""
    keep: fields.ReleaseCount = 3
    """How many good ones stay built, the live one among them."""
    untracked: fields.CheckoutPatterns = ()
    """Untracked files that may lie in the checkout: no release has them. A `*` stands for any rest of a name. Any other
    untracked file refuses a deploy, since it may have been forgotten in a commit."""
