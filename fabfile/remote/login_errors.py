"""The words for each way of not getting in over SSH: what happened, and what to do. The VPS is untouched in each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from fabfile.errors import Unreachable


def unknown_host_key(
    target: str, fingerprint: str, files: Sequence[Path], remember: str, note: str = ""
) -> Unreachable:
    """The host's key is in no known_hosts file, and `remember` adds it. The tool itself never adds one."""
    if not files:
        return Unreachable(
            f"the host key of {target} is unknown ({fingerprint}): your ssh configuration names no known_hosts file",
            next_step="Name one as `known_hosts` in the inventory, or as UserKnownHostsFile in ~/.ssh/config.",
        )
    return Unreachable(
        f"the host key of {target} is unknown ({fingerprint}); it is not in {_listed(files)}{note}",
        next_step=f"Compare the fingerprint with the one your provider's console shows. If it is the same:\n{remember}",
    )


def changed_host_key(target: str, fingerprint: str, files: Sequence[Path], name: str) -> Unreachable:
    """The host shows another key than the known one: a new installation, or somebody in between."""
    return Unreachable(
        f"the host key of {target} has changed: it is now {fingerprint}, not the one in {_listed(files)}",
        next_step=(
            "If the VPS was not reinstalled, stop: somebody may be listening in between. If it was:\n"
            + "\n".join(f"ssh-keygen -R '{name}' -f {_quoted(file)}" for file in files)
        ),
    )


def revoked_host_key(target: str, fingerprint: str, files: Sequence[Path]) -> Unreachable:
    """The host shows a key that somebody has declared invalid."""
    return Unreachable(
        f"the host key of {target} is revoked: {fingerprint} is marked as such in {_listed(files)}",
        next_step=(
            "Stop: whoever has this key may pose as the VPS. Have whoever revoked it say which key is right, "
            "and give the VPS a new one."
        ),
    )


def certified_host(target: str, fingerprint: str, files: Sequence[Path], remember: str) -> Unreachable:
    """known_hosts has only the authority that signs the host's certificates, which Paramiko does not check."""
    return Unreachable(
        f"{target} is known only by a @cert-authority in {_listed(files)}, and this tool does not check host "
        f"certificates; the host's own key, {fingerprint}, is unknown",
        next_step=(
            "Log in with ssh, which checks the certificate, and have the VPS print its keys: "
            "cat /etc/ssh/ssh_host_*.pub | ssh-keygen -lf -\n"
            f"If the fingerprint is the same:\n{remember}"
        ),
    )


def refused_keys(
    target: str, user: str, offers: Sequence[str], omissions: Sequence[str], try_by_hand: str
) -> Unreachable:
    """The SSH server accepts no key that was offered; `omissions` says of each other key why it was not."""
    keys = f"the key {offers[0]}" if len(offers) == 1 else f"each of {len(offers)} keys ({', '.join(offers)})"
    message = f"{target} refuses {keys} for the user {user}" if offers else f"no key to offer to {target} for {user}"
    return Unreachable(
        message + _not_offered(omissions),
        next_step=(
            f"Try it by hand: {try_by_hand}\n"
            "Then add the public key to the user's authorized_keys, or name the right one as `key` "
            "in the inventory or in DEPLOY_SSH_KEY_PATH."
        ),
    )


def too_many_keys(target: str, user: str, offers: Sequence[str], omissions: Sequence[str], why: str) -> Unreachable:
    """The server closed the connection before every key was offered."""
    return Unreachable(
        f"{target} closed the connection after {len(offers)} keys for the user {user}: {why}. "
        f"Offered were {', '.join(offers)}{_not_offered(omissions)}",
        next_step=(
            "Name the right one as `key` in the inventory or in DEPLOY_SSH_KEY_PATH: it is offered first. "
            "Or set IdentitiesOnly yes and IdentityFile for this host in your ssh configuration."
        ),
    )


def no_answer_to_key(target: str, key: str, seconds: float) -> Unreachable:
    """Neither yes nor no to a key: the server is slow, or an agent waits for a touch or a word."""
    return Unreachable(
        f"no answer to {key} at {target} within {seconds:g} s",
        next_step=(
            "If the key waits for a touch or a confirmation, run the same command again and give it; "
            "or set a longer `timeouts.connect` in the inventory."
        ),
    )


def second_factor(target: str, user: str, key: str, methods: Sequence[str]) -> Unreachable:
    """The key is right, and the server demands something more."""
    return Unreachable(
        f"{target} accepts {key} for the user {user} and then demands {' or '.join(methods)}: a second factor, "
        "which a plan can't wait for",
        next_step=(
            "Let this user in with the key alone. On the VPS, in /etc/ssh/sshd_config:\n"
            f"Match User {user}\n    AuthenticationMethods publickey"
        ),
    )


def other_methods(target: str, user: str, methods: Sequence[str]) -> Unreachable:
    """The server accepts no keys at all from this user."""
    return Unreachable(
        f"{target} lets the user {user} in only by {' or '.join(methods) or 'nothing at all'}, and not with a key",
        next_step="Set PubkeyAuthentication yes in the VPS's /etc/ssh/sshd_config, or name a user that has a key.",
    )


def locked_key(key: str, others: Sequence[str] = ()) -> Unreachable:
    """The private key has a passphrase, which nobody is asked for, and the SSH agent does not hold it."""
    return Unreachable(
        f"the key {key} has a passphrase, and no SSH agent offers it{_not_offered(others)}",
        next_step=f'Give it to your agent: eval "$(ssh-agent)" && ssh-add {shlex.quote(key)}',
    )


def no_common_algorithm(target: str, what: str) -> Unreachable:
    """Server and client have no key exchange, cipher or kind of host key in common."""
    return Unreachable(
        f"no common algorithm with {target}: {what}",
        next_step=(
            "Compare `ssh -G HOST` (KexAlgorithms, HostKeyAlgorithms, Ciphers, MACs) with `sudo sshd -T` on the VPS. "
            "This tool speaks curve25519, ECDH and DH with SHA-2; AES; HMAC with SHA-2; Ed25519, ECDSA and RSA keys."
        ),
    )


def unreadable(file: str, why: str) -> Unreachable:
    """A key or known_hosts file of the operator's own machine can't be read."""
    return Unreachable(
        f"{file} can't be read: {why}",
        next_step="Name the right `key` and `known_hosts` in the inventory, or in DEPLOY_SSH_KEY_PATH.",
    )


def configuration(program: str, why: str) -> Unreachable:
    """OpenSSH itself can't say how it would log in."""
    return Unreachable(
        f"{program} does not accept its configuration on this machine: {why}",
        next_step="Correct it in ~/.ssh/config or /etc/ssh/ssh_config; `ssh -G HOST` prints what applies.",
    )


def unsupported(keyword: str, value: str) -> Unreachable:
    """The configuration says something that this tool can't do."""
    return Unreachable(
        f"your ssh configuration says {keyword} {value} for this host, which this tool can't do",
        next_step=f"Set {keyword} otherwise for this host in ~/.ssh/config.",
    )


def proxy_failed(target: str, command: str, why: str, *, is_jump: bool) -> Unreachable:
    """The way to the VPS, through jump hosts or a proxy command, did not come about; `why` in ssh's own words."""
    what = "the jump host" if is_jump else "the proxy command"
    fix = (
        "An unknown or changed host key of a jump host is refused, as the VPS's own is: log in to the jump host once "
        "with ssh and compare its fingerprint. Nobody is asked for a password or passphrase; give keys to your agent.\n"
        if is_jump
        else ""
    )
    return Unreachable(
        f"{what} on the way to {target} failed: {why}", next_step=f"{fix}Try it by hand: {command} < /dev/null"
    )


def timed_out(target: str, seconds: float) -> Unreachable:
    """No answer within `seconds`."""
    return Unreachable(
        f"{target} did not answer within {seconds:g} s",
        next_step="Check the inventory's address and port, that the VPS is up, and its firewall.",
    )


def unknown_name(target: str, why: str) -> Unreachable:
    """The name does not resolve."""
    return Unreachable(
        f"no connection to {target}: its name can't be resolved ({why})",
        next_step="Check the address in the inventory, HostName in your ssh configuration, and your DNS.",
    )


def refused_connection(target: str, why: str) -> Unreachable:
    """Nothing listens there, or there is no route; `why` says which."""
    return Unreachable(
        f"no connection to {target}: {why}",
        next_step="Check the address and the port in the inventory, and that sshd runs on the VPS.",
    )


def no_ssh(target: str) -> Unreachable:
    """Something listens, and closes the connection without a word of SSH."""
    return Unreachable(
        f"what listens at {target} closed the connection or speaks no SSH",
        next_step=(
            "Check the port. If it is sshd's, it may have had enough of you for a while (MaxStartups, "
            "PerSourcePenalties, fail2ban): wait some minutes, and look at its log on the VPS."
        ),
    )


def no_session(target: str, user: str, why: str) -> Unreachable:
    """One gets in, and may not run a command."""
    return Unreachable(
        f"{target} lets the user {user} in and opens no session: {why}",
        next_step="Look at MaxSessions, ForceCommand and the user's entry in authorized_keys on the VPS.",
    )


def silent(address: str, why: str) -> Unreachable:
    """The VPS has ceased to answer in the middle of something that ends by itself."""
    return Unreachable(
        f"{address} stopped answering: {why}",
        next_step="Run the same command again; if it stays, look at the VPS's own log.",
    )


def cannot_start(program: str, why: str) -> Unreachable:
    """The VPS is this machine, and lacks what everything begins with."""
    return Unreachable(
        f"{program} can't be started on this machine, which is the VPS: {why}",
        next_step="Install it, or run the tool from another machine.",
    )


def last_words(stderr: str) -> str:
    """What a program said last, on one line; empty where it said nothing."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Pseudo-terminal")]
    return "; ".join(lines[-3:])


def _listed(files: Sequence[Path]) -> str:
    return " or ".join(map(str, files))


def _quoted(file: Path) -> str:
    return shlex.quote(str(file))


def _not_offered(omissions: Sequence[str]) -> str:
    return f". Not offered: {'; '.join(omissions)}" if omissions else ""
