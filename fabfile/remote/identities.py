"""Which keys are offered, in OpenSSH's order, and why each other one is not."""

from __future__ import annotations

import base64
import binascii
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from paramiko.ssh_exception import SSHException

from fabfile.remote import login_errors
from fabfile.remote.openssh import SshConfig

_BEGIN, _END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_PKCS8, _PKCS8_ENCRYPTED = b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_AGENT_SECONDS = 10.0  # seconds until an agent has listed its keys


@dataclass(frozen=True)
class Identity:
    """A key, and what it is called in words."""

    name: str
    key: paramiko.PKey


@dataclass
class Identities:
    """The keys to offer, in order. What can't be offered is added to `omissions` meanwhile, with its reason."""

    config: SshConfig
    explicit: Sequence[Path]  # that the inventory or the command line names
    passphrase: str | None = None
    omissions: list[str] = field(default_factory=list)
    locked_files: list[str] = field(default_factory=list)  # the files among them that only lack their passphrase

    def __iter__(self) -> Iterator[Identity]:
        """The explicit keys, then what OpenSSH offers: the agent's copies of files, the agent's others, files."""
        agent = {bytes(key.blob): key for key in self._agent_keys()}
        files = {file: _public_blob(file) for file in self.config.identity_files}
        copies = {file: agent[blob] for file, blob in files.items() if blob in agent}
        first = [file for file in files if file in self.explicit]
        rest = [file for file in files if file not in self.explicit]
        for file in first:
            yield from [_copy(copies[file], file)] if file in copies else self._from_file(file)
        yield from (_copy(copies[file], file) for file in rest if file in copies)
        if not self.config.is_on("identitiesonly"):
            others = [key for key in agent.values() if key not in copies.values()]
            yield from (Identity(f"the agent's {_label(key)}", key) for key in others)
        for file in rest:
            if file not in copies:
                yield from self._from_file(file)

    def _agent_keys(self) -> Sequence[AgentKey]:
        path = self._agent_path()
        if not path:
            return ()
        try:
            agent = _Agent(path)
            return [AgentKey(agent, bytes(key.blob), key.comment) for key in agent.get_keys()]
        except (OSError, SSHException, struct.error) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.omissions.append(f"the keys of the SSH agent at {path}, which does not answer ({why})")
            return ()

    def _agent_path(self) -> str:
        if "identityagent" not in self.config.values:
            return os.environ.get("SSH_AUTH_SOCK", "")
        value = self.config.value("identityagent")
        if not value:
            self.omissions.append("the keys of any SSH agent: IdentityAgent is none in your ssh configuration")
            return ""
        variable = "SSH_AUTH_SOCK" if value == "SSH_AUTH_SOCK" else value[1:] if value.startswith("$") else ""
        return os.environ.get(variable, "") if variable.isidentifier() else str(self.config.path(value))

    def _from_file(self, file: Path) -> Iterator[Identity]:
        """The key in a file. Raises Unreachable for an explicit one that can't be read."""
        try:
            kind, encrypted = _envelope(file)
            if kind.startswith("sk-"):
                self.omissions.append(f"{file}, a security key, which is used only from an SSH agent (ssh-add {file})")
            elif encrypted and self.passphrase is None:
                self._skip_locked(file)
            else:
                yield from self._loaded(file)
        except OSError as error:
            if file in self.explicit:
                raise login_errors.unreadable(str(file), error.strerror or type(error).__name__) from error

    def _loaded(self, file: Path) -> Iterator[Identity]:
        try:
            key = _load(file, self.passphrase)
            for certificate in self._certificates(key):
                key.load_certificate(str(certificate))
        except paramiko.PasswordRequiredException:
            self._skip_locked(file)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  Paramiko and its libraries raise all kinds for what is no key
            if not _is_public(file):  # the public half of a key that an agent holds, or does not
                self.omissions.append(f"{file}, which is no private key that can be used ({error})")
            else:
                self.omissions.append(f"{file}, whose private key no SSH agent holds")
        else:
            yield Identity(str(file), key)

    def _certificates(self, key: paramiko.PKey) -> list[Path]:
        """The file that certifies a key: a CertificateFile, or the one beside it."""
        public = key.asbytes()[4 + len(key.get_name()) :]
        files = [self.config.path(text) for text in self.config.values.get("certificatefile", ())]
        files += [Path(f"{identity}-cert.pub") for identity in self.config.identity_files]
        return [file for file in files if public in _blob(_read(file))][:1]

    def _skip_locked(self, file: Path) -> None:
        self.locked_files.append(str(file))
        self.omissions.append(f"{file}, which has a passphrase that no SSH agent knows")


class _Agent(paramiko.agent.AgentSSH):
    """The agent behind a socket; Paramiko's own knows only the one of SSH_AUTH_SOCK."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_AGENT_SECONDS)
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]  # it is there for subclasses
        except (OSError, SSHException):
            connection.close()
            raise
        connection.settimeout(None)  # to sign may take a touch; the login has its own timeout


class AgentKey(paramiko.AgentKey):
    """A key of an agent, which may refuse to sign: Paramiko would lose the connection then, and all other keys."""

    refusal = ""

    def sign_ssh_data(self, data: Any, algorithm: str | None = None) -> paramiko.Message:
        """A signature; one that is none where the agent refuses, so that the server refuses the key."""
        try:
            return super().sign_ssh_data(data, algorithm)
        except (OSError, SSHException, struct.error) as error:
            self.refusal = str(error) or type(error).__name__
            message = paramiko.Message()
            message.add_string(algorithm or self.get_name())
            message.add_string(bytes(64))
            return message


def _load(file: Path, passphrase: str | None) -> paramiko.PKey:
    """The private key in a file. Raises OSError and whatever Paramiko does."""
    failure = SSHException("it is of no kind that Paramiko knows")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(str(file), passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except SSHException as error:
            failure = error
    content = file.read_bytes()
    if _PKCS8 in content or _PKCS8_ENCRYPTED in content:
        return _load_pkcs8(content, passphrase)
    raise failure


def _load_pkcs8(content: bytes, passphrase: str | None) -> paramiko.PKey:
    """A key in the form that OpenSSL writes today, and ssh-keygen reads; Paramiko alone does not."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(content, passphrase.encode() if passphrase and _PKCS8_ENCRYPTED in content else None)
    if isinstance(key, rsa.RSAPrivateKey):
        return paramiko.RSAKey(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return paramiko.ECDSAKey(vals=(key, key.public_key()))
    raise SSHException(f"ssh-keygen -p -f FILE turns it into a form that can be read; it is {type(key).__name__}")


def _copy(key: paramiko.AgentKey, file: Path) -> Identity:
    return Identity(f"{file} (from the agent)", key)


def _label(key: paramiko.AgentKey) -> str:
    return f"{key.get_name()} {key.comment}".strip()


def _public_blob(file: Path) -> bytes:
    """The public half of a key: beside it, in it, or what a file of a public key is; empty where none can be had."""
    beside = _blob(_read(Path(f"{file}.pub")))
    return beside or _inner(_read(file))[0] or _blob(_read(file))


def _envelope(file: Path) -> tuple[str, bool]:
    """The kind of a private key and whether it has a passphrase, as far as its file tells. Raises OSError."""
    content = file.read_bytes()
    if _PKCS8_ENCRYPTED in content:
        return "", True
    blob, encrypted = _inner(content)
    return (blob[4 : 4 + struct.unpack(">I", blob[:4])[0]].decode(errors="replace") if len(blob) > 4 else ""), encrypted


def _inner(content: bytes) -> tuple[bytes, bool]:
    """The public half in OpenSSH's form of a private key, which is never encrypted, and whether the rest is."""
    try:
        data = base64.b64decode(content.partition(_BEGIN)[2].partition(_END)[0])
        if not data.startswith(_MAGIC):
            return b"", False
        fields, at = [], len(_MAGIC)
        for number in range(4):  # cipher, derivation, its options, public key; before the last one the count of keys
            at += 4 if number == 3 else 0
            size = struct.unpack_from(">I", data, at)[0]
            fields.append(data[at + 4 : at + 4 + size])
            at += 4 + size
    except (binascii.Error, struct.error):
        return b"", False
    return fields[3], fields[0] != b"none"


def _blob(content: bytes) -> bytes:
    """The key in a file of a public key or a certificate."""
    words = content.split(None, 2)
    try:
        return base64.b64decode(words[1], validate=True) if len(words) > 1 else b""
    except binascii.Error:
        return b""


def _is_public(file: Path) -> bool:
    blob = _blob(_read(file))
    return len(blob) > 4 and blob[4:].startswith(_read(file).split(None, 1)[0])


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
