"""Certificates, as users' browsers would judge them, and what is wrong with one in words."""

from __future__ import annotations

import warnings
from datetime import timedelta
from pathlib import Path

import pytest

from fabfile import public
from fabfile.inventory import Site
from tests.public.outside import API, APP, ASKED, TLS_API, TLS_APP, asked, bad, named, site_of
from tests.support.https_server import DAY, Authority, Behaviour, serving


def test_a_good_certificate_says_whose_it_is_and_until_when(site: Site) -> None:
    ok, text = asked(site)[TLS_APP]
    assert ok and text.startswith("valid for 89 days, until 20") and text.endswith(f", for {APP}, {API}, by ca")


@pytest.mark.parametrize(
    ("names", "lasts", "text"),
    [
        ((APP, API), -DAY, "the certificate expired 2 days ago, on 20"),
        (("other.example",), 90 * DAY, "the certificate is for other.example, not for "),
    ],
    ids=["expired", "another name"],
)
def test_an_invalid_certificate_fails_every_check_behind_it(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, names: tuple[str, ...], lasts: timedelta, text: str
) -> None:
    with serving(behaviour, authority.certificate(*names, lasts=lasts)) as port:
        outcome = asked(site_of(tmp_path, port, ca=str(authority.file)))
    assert list(bad(outcome)) == ASKED and all(said.startswith(text) for said in bad(outcome).values())
    assert behaviour.asked == []


def test_a_name_that_is_missing_is_missed_for_that_name_alone(
    tmp_path: Path, authority: Authority, behaviour: Behaviour
) -> None:
    with serving(behaviour, authority.certificate(APP)) as port:
        outcome = asked(site_of(tmp_path, port, ca=str(authority.file)))
    assert outcome[TLS_APP][0] and outcome[TLS_API][1] == f"the certificate is for {APP}, not for {API}"


def test_an_unknown_authority_fails_every_check(tmp_path: Path, port: int) -> None:
    told = bad(asked(site_of(tmp_path, port)))
    unknown = "the chain is incomplete or ends at an unknown authority: ca is not trusted"
    assert list(told) == ASKED and set(told.values()) == {unknown}


def test_a_server_without_such_a_name_fails_the_check(site: Site, behaviour: Behaviour) -> None:
    behaviour.unknown = {API}
    told = bad(asked(site))
    assert told[TLS_API] == "TLS alert unrecognized_name: the edge has no host of this name" and len(told) == 2


def test_a_server_without_tls_fails_the_check(tmp_path: Path, behaviour: Behaviour) -> None:
    with serving(behaviour, None) as port:
        told = bad(asked(site_of(tmp_path, port)))
    assert list(told) == ASKED and all(text.startswith("TLS fails: ") for text in told.values())


@pytest.mark.parametrize(("days", "warned"), [(20, True), (22, False)])
def test_few_days_left_are_a_warning_and_no_failure(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, days: int, warned: bool
) -> None:
    certificate = authority.certificate(APP, API, lasts=days * DAY + timedelta(hours=1))
    with serving(behaviour, certificate) as port:
        site = site_of(tmp_path, port, ca=str(authority.file), certificate_days=21)
        found = {named(site, check): check for check in public.checks(site)}
    assert all(check.ok for check in found.values())
    assert [name for name, check in found.items() if check.warning] == ([TLS_APP, TLS_API] if warned else [])
    assert found[TLS_APP].text.startswith(f"valid for {days} days, until ")


def test_a_missing_ca_file_fails_the_check(tmp_path: Path, port: int) -> None:
    file = tmp_path / "nowhere.pem"
    told = bad(asked(site_of(tmp_path, port, ca=str(file))))
    assert list(told) == ASKED
    assert set(told.values()) == {f"public.ca: {file} can't be read: No such file or directory"}


def test_verification_can_be_turned_off_and_nags_nobody(
    tmp_path: Path, authority: Authority, behaviour: Behaviour
) -> None:
    certificate = authority.certificate("other.example", lasts=-DAY)
    with serving(behaviour, certificate) as port, warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = asked(site_of(tmp_path, port, verify_tls=False))
    assert bad(outcome) == {} and outcome[TLS_APP][1].startswith("not verified, as public.verify_tls is false: ")
