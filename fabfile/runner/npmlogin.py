"""Getting a token from NPM's API, before anything is shipped: whoever is refused has changed nothing."""

from __future__ import annotations

from typing import Dict

from . import npmapi, npmserver
from .facts import EdgeLogin
from .machine import Machine
from .npmapi import ApiError


def answer(machine: Machine, login: EdgeLogin) -> Dict[str, str]:
    """What NPM's API says: a `token`, a `challenge` for a two-factor code, or why it is `refused`."""
    box = npmserver.container(machine, login.edge.container)
    address = box.addresses.get(login.edge.network)
    if not address:
        return {"refused": box.problem or f"container {box.name} is not on the network {login.edge.network}"}
    api = npmapi.Api(address, login.edge.api_port)
    try:
        if login.challenge:
            return npmapi.answer_challenge(api, login.challenge, login.code)
        return npmapi.log_in(api, login.identity, login.secret)
    except ApiError as error:
        return {"refused": str(error)}
