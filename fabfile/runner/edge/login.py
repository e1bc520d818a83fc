"""Getting a token from NPM's API, before anything is shipped: whoever is refused has changed nothing."""

from __future__ import annotations

from ..system.machine import Machine
from ..wire.edge import EdgeLogin
from . import api as npmapi
from . import server
from .api import ApiError


def answer(machine: Machine, login: EdgeLogin) -> dict[str, str]:
    """What NPM's API says: a `token`, a `challenge` for a two-factor code, or why it is `refused`."""
    box = server.container(machine, login.edge.container)
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
