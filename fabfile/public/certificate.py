"""Reads the certificate of a public name, and says what is wrong with it."""

from __future__ import annotations

import datetime
import socket
import ssl
from dataclasses import dataclass
from typing import Final

import requests.utils
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fabfile.inventory import Public
from fabfile.public.check import Refused

UNRECOGNIZED_NAME: Final = "TLS alert unrecognized_name: the edge has no host of this name"

# OpenSSL's X509_V_ERR_… numbers, from its x509_vfy.h.
_EXPIRED, _SELF_SIGNED, _NO_ISSUER, _OTHER_NAME = 10, (18, 19), (20, 21), 62


@dataclass(frozen=True)
class Certificate:
    """The server's own certificate."""

    names: tuple[str, ...]
    issuer: str
    ends: datetime.datetime
    fingerprint: str

    @classmethod
    def of(cls, der: bytes) -> Certificate:
        """From its DER form."""
        parsed = x509.load_der_x509_certificate(der)
        try:
            names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            dns_names = tuple(names.get_values_for_type(x509.DNSName))
        except x509.ExtensionNotFound:
            dns_names = ()
        fingerprint = parsed.fingerprint(hashes.SHA256()).hex()
        return cls(dns_names, _common_name(parsed.issuer), parsed.not_valid_after_utc, fingerprint)

    @property
    def days(self) -> int:
        """Whole days that are left; below zero when it has expired."""
        return (self.ends - datetime.datetime.now(datetime.UTC)).days

    def __str__(self) -> str:
        return f"valid for {_days(self.days)}, until {self.ends:%Y-%m-%d}, for {_join(self.names)}, by {self.issuer}"


def context(public: Public, *, verify: bool = True) -> ssl.SSLContext:
    """The context that verifies by `public.ca`, or by the authorities that `requests` trusts. Raises Refused."""
    ca = str(public.ca or requests.utils.DEFAULT_CA_BUNDLE_PATH)
    try:
        tls = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise Refused(f"public.ca: {ca} can't be read: {error.strerror or error}") from None
    if not (verify and public.verify_tls):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


def fetch(public: Public, address: str, port: int, name: str, timeout: float) -> tuple[Certificate, str]:
    """The certificate that `address` presents for `name`, and what is wrong with it; empty when nothing is.

    Raises Refused when TLS fails before a certificate, OSError when there is no connection.
    """
    try:
        return _handshake(context(public), address, port, name, timeout), ""
    except ssl.SSLCertVerificationError as error:
        certificate = _handshake(context(public, verify=False), address, port, name, timeout)
        return certificate, _problem(error, certificate, name)
    except ssl.SSLError as error:
        if "UNRECOGNIZED_NAME" in (error.reason or ""):
            raise Refused(UNRECOGNIZED_NAME) from None
        raise Refused(f"TLS fails: {(error.reason or str(error)).lower().replace('_', ' ')}") from None


def _handshake(judge: ssl.SSLContext, address: str, port: int, name: str, timeout: float) -> Certificate:
    with socket.create_connection((address, port), timeout) as plain:
        with judge.wrap_socket(plain, server_hostname=name) as secure:
            der = secure.getpeercert(binary_form=True)
    if not der:
        raise Refused("TLS fails: the server presents no certificate")
    return Certificate.of(der)


def _problem(error: ssl.SSLCertVerificationError, certificate: Certificate, name: str) -> str:
    if error.verify_code == _EXPIRED and certificate.days >= 0:
        return f"a certificate of the chain has expired; the server's own is {certificate}"
    if error.verify_code == _EXPIRED:
        return f"the certificate expired {_days(-certificate.days)} ago, on {certificate.ends:%Y-%m-%d}"
    if error.verify_code == _OTHER_NAME:
        return f"the certificate is for {_join(certificate.names)}, not for {name}"
    if error.verify_code in _SELF_SIGNED:
        return f"the certificate is signed by an authority that nobody trusts: {certificate.issuer}"
    if error.verify_code in _NO_ISSUER:
        return f"the chain is incomplete or ends at an unknown authority: {certificate.issuer} is not trusted"
    return f"the certificate is invalid: {error.verify_message}"


def _common_name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _join(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "no name"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
