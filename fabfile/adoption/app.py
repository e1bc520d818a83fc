"""The app's checkout, and what Docker and systemd run it with."""

from __future__ import annotations

import posixpath

from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import SERVERS, Scene
from fabfile.inventory import Docker
from fabfile.runner.wire.adoption import EnvFileFound, Work

_LOCK_FILES = ("bun.lock", "bun.lockb", "package.json", "tsconfig.base.json")


def fill(draft: Draft, scene: Scene) -> None:
    """The tables app and runtimes."""
    _checkout(draft, scene)
    _bun(draft, scene.project.work)
    _data_root(draft, scene)
    _env_file(draft, scene)
    _docker(draft, scene)
    _snapshot(draft, scene)
    _scripts(draft, scene)
    _units(draft, scene)


def _scripts(draft: Draft, scene: Scene) -> None:
    """The checkout's own shell scripts: of the shipped ones those that it has."""
    shipped = draft.get("app.shell_scripts")
    if shipped:
        there = [path for path in shipped if path in scene.project.work.paths]
        draft.ship("app.shell_scripts", there, "those that the checkout has")


def _units(draft: Draft, scene: Scene) -> None:
    """Native units that somebody installed before."""
    names = {str(server.get("unit")) for server in scene.shipped.get("infra", {}).values()}
    there = [*(unit for name, unit in scene.facts.units.items() if name in names), *scene.project.work.units]
    evidence = ", ".join(f"{unit.name} ({unit.active}, {unit.enabled})" for unit in there)
    draft.note("runtimes.native", f"Units of ours that are there already: {evidence or 'none'}.")


def below(base: str, path: str) -> str:
    """A path as the inventory has it: relative to its base, where it lies there."""
    if base and path == base:
        return "."
    return path[len(base) + 1 :] if base and path.startswith(f"{base}/") else path


def docker_env(scene: Scene) -> EnvFileFound | None:
    """The env file that Docker's services read."""
    inside = [file for file in scene.project.env_files if not file.problem]
    return inside[0] if inside else None


def _checkout(draft: Draft, scene: Scene) -> None:
    work = scene.project.work
    if work.problem:
        draft.ask("app.checkout", f"the git checkout that the app runs from; {work.problem}")
    else:
        commit = f"{work.head[:12]} of {work.remote or 'no remote'}" + (
            f", branch {work.branch}" if work.branch else ""
        )
        draft.found("app.checkout", work.root, f"git, around Compose's working directory: {commit}")
    if not work.user:
        draft.ask("app.user", "who runs the app natively; the checkout, whose owner that would be, was not found")
        draft.ask("app.group", "that user's group")
        draft.ask("app.unit_directory", "where that user's units lie: HOME/.config/systemd/user")
        return
    lingering = "lingers" if work.lingering else f"does not linger yet: sudo loginctl enable-linger {work.user}"
    if work.user == "root":
        draft.ask("app.user", "who runs the app natively, not root; the checkout belongs to root")
    else:
        draft.found("app.user", work.user, f"owner of the checkout; {lingering}")
    draft.found("app.group", work.group, "group of the checkout")
    if work.home:
        draft.propose("app.unit_directory", f"{work.home}/.config/systemd/user", f"the home of {work.user}")
    else:
        draft.ask("app.unit_directory", f"where the units of {work.user} lie, who has no home on the VPS")


def _bun(draft: Draft, work: Work) -> None:
    if work.bun:
        draft.found("app.bun", work.bun, f"there, version {work.bun_version or 'unknown'}")
    else:
        home = work.home or "HOME"
        draft.ask("app.bun", f"the path of Bun; it is neither {home}/.bun/bin/bun nor in /usr/local/bin or /usr/bin")


def _data_root(draft: Draft, scene: Scene) -> None:
    """The folder that holds the three servers' data."""
    sources = {name: source_of(scene, name) for name in SERVERS}
    parents = {posixpath.dirname(source) for source in sources.values() if source}
    if len(parents) == 1 and all(sources.values()):
        root = parents.pop()
        draft.found("app.data_root", root, "the servers' bind mounts")
        owner = f"{root}/owner"
        said = f"it says {scene.facts.owner}" if scene.facts.owner else "none yet; the first hand-over writes it"
        draft.propose("app.owner_file", owner, f"below the data root; {said}")
    else:
        evidence = ", ".join(f"{name}: {source or 'no bind mount'}" for name, source in sources.items())
        draft.ask("app.data_root", f"the folder with the servers' data; their mounts don't share one ({evidence})")


def source_of(scene: Scene, name: str) -> str:
    """Where on the host a server's data lies; empty where it lies in a volume, or nowhere."""
    container = scene.server(name)
    image_data = scene.shipped.get("infra", {}).get(name, {}).get("image_data", "")
    mounts = [mount for mount in container.mounts if mount.kind == "bind"] if container else []
    exact = [mount for mount in mounts if mount.target == image_data]
    data = exact or [mount for mount in mounts if not posixpath.basename(mount.target).partition(".")[2]]
    return data[0].source if len(data) == 1 else ""


def _env_file(draft: Draft, scene: Scene) -> None:
    """What native reads: the checkout's own file, or Docker's where that is the only one."""
    work, docker = scene.project.work, docker_env(scene)
    own = next((f for f in scene.project.env_files if f.path == f"{work.root}/.env" and not f.problem), None)
    if own:
        draft.found("app.env_file", ".env", f"in the checkout, with {len(own.names)} variables")
    elif docker and work.root:
        path = below(work.root, docker.path)
        draft.propose("app.env_file", path, "the checkout has no .env of its own, so native reads Docker's")
    else:
        draft.ask("app.env_file", "the file with the app's settings; neither the checkout nor Compose has one")
    for name, value in scene.project.in_file.items():
        place = ("runtimes", "native", "overrides", name)
        if place not in draft:
            native = "{runtime}" if value == "docker" else value
            draft.propose(place, native, "what the Compose file itself gives all services")
    overridden = {path[-1] for path in draft.below(("runtimes", "native", "overrides"))}
    differing = [name for name in scene.project.differing if name not in overridden]
    if own and differing:
        names = ", ".join(differing)
        draft.note(
            "runtimes.native.overrides",
            f"Docker's services get these variables otherwise than {own.path} says, and a cutover is refused for "
            f"them: {names}. What native must get otherwise than that file says goes here; for what may differ, "
            "runtimes.native.differences says why.",
        )
    adapter = str(scene.shipped.get("provider", {}).get("adapter_env", ""))
    _adapter(draft, scene, adapter, own or docker)


def _adapter(draft: Draft, scene: Scene, variable: str, native: EnvFileFound | None) -> None:
    """The app goes on with the adapter that it has in Docker."""
    values = {container.shown[variable] for container in scene.services.values() if variable in container.shown}
    if len(values) != 1 or native is None or not variable:
        return
    runs = values.pop()
    if native.shown.get(variable) != runs:
        path = ("runtimes", "native", "overrides", variable)
        draft.propose(path, runs, f"what Docker's containers have; {native.path} says otherwise")


def _docker(draft: Draft, scene: Scene) -> None:
    project, root = scene.project, scene.project.work.root
    draft.found("runtimes.docker.project", project.name, "the containers' labels")
    if project.directory:
        draft.found("runtimes.docker.directory", below(root, project.directory), "the containers' labels")
    files = [file for file in project.files if file != _overlay(scene)]
    if len(files) == 1:
        file, said = files[0], f"; Compose says: {project.problem}" if project.problem else ""
        draft.found("runtimes.docker.file", below(project.directory, file), f"the containers' labels{said}")
    else:
        evidence = ", ".join(files) or "none"
        draft.ask("runtimes.docker.file", f"the one Compose file; the containers were made from: {evidence}")
    env = docker_env(scene)
    if env:
        names = len(env.names)
        draft.found("runtimes.docker.env_file", below(project.directory, env.path), f"there, with {names} variables")
    else:
        tried = ", ".join(f"{file.path} ({file.problem})" for file in project.env_files) or "none is named"
        draft.ask("runtimes.docker.env_file", f"what Docker's services read their settings from: {tried}")


def _overlay(scene: Scene) -> str:
    """The Compose file of ours, which lies over the app's own where there are overrides."""
    default = str(Docker.model_fields["overlay_file"].default)
    return str(scene.shipped.get("runtimes", {}).get("docker", {}).get("overlay_file", default))


def _snapshot(draft: Draft, scene: Scene) -> None:
    shipped = scene.shipped.get("runtimes", {}).get("docker", {})
    copies = scene.project.copies
    name = shipped.get("snapshot") if shipped.get("snapshot") in copies else next(iter(copies), "")
    for key in ("snapshot", "snapshot_files"):
        draft.drop(("runtimes", "docker", key))
    if name:
        files = [file for file in copies[name] if file in _LOCK_FILES] or list(copies[name])
        draft.propose("runtimes.docker.snapshot", name, "beside the Compose file, with copies of the checkout's files")
        draft.propose("runtimes.docker.snapshot_files", files, "those that stand in both")
