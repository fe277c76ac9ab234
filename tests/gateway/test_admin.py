"""The admin interface passes on who asks."""

from __future__ import annotations

from typing import Any, cast

import pytest

from shareai_cli.client import ACTOR_HEADER
from shareai_cli.gateway.admin import AdminApi
from shareai_cli.secrets import Secret
from shareai_cli.types import Actor
from shareai_cli.wire.message import Request

TOKEN = "admin-token"


@pytest.mark.parametrize(("said", "name"), [("ann", "ann"), ("n%C3%A9e", "née"), ("%1B[31m", "unknown")])
async def test_a_reload_is_in_the_name_of_who_asks_for_it(said: str, name: str) -> None:
    """So that a command that has changed the configuration is told of by its user."""
    asked: list[Actor] = []

    async def reload(by: Actor) -> str | None:
        asked.append(by)
        return None

    nothing = cast(Any, None)
    api = AdminApi(
        Secret(TOKEN),
        nothing,
        cache=nothing,
        status=nothing,
        reload=reload,
        config=nothing,
        models=nothing,
        explain_route=nothing,
        settled=nothing,
        changed=nothing,
        overridden=nothing,
        feed=nothing,
        drills=nothing,
        refused=nothing,
    )
    headers = {b"authorization": f"Bearer {TOKEN}".encode(), ACTOR_HEADER.lower().encode(): said.encode()}
    response = await api.respond(Request("POST", "/admin/v1/reload", "", "1.1", headers, b"{}"))
    assert (response.status, response.body) == (200, b'{"problem":null}')
    assert asked == [Actor(name, "admin API")]
