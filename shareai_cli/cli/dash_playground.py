"""Asks models for `shareai dash`, as a client of the gateway that it watches, with a client's key."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack, suppress
from typing import Final, Protocol

from shareai_cli.cli.chat.access import account_of, key_of_variable
from shareai_cli.cli.chat.answer import Answer
from shareai_cli.cli.chat.client import ChatClient
from shareai_cli.cli.chat.conversation import Conversation, Options
from shareai_cli.cli.chat.facts import ENDINGS
from shareai_cli.cli.chat.key import new_key, own_key
from shareai_cli.cli.invocation import Invocation
from shareai_cli.client import Admin
from shareai_cli.dashboard.talking import Reply
from shareai_cli.errors import GatewayUnreachable, ShareAIError
from shareai_cli.paths import Paths
from shareai_cli.secrets import Secret
from shareai_cli.types import CostBasis, KeySettings, RequestRow
from shareai_cli.watching import Source, WatchedGateway

KEY_SECONDS: Final = 12 * 3600
"""How long a key is valid that is made for one dashboard alone."""


class Keys(Protocol):
    """Where the key comes from that the gateway is asked with. Its calls may block."""

    def key(self, admin: Admin) -> Secret:
        """Return the key; raises `ShareAIError`."""

    def another(self, admin: Admin) -> Secret | None:
        """Return another one, as this one is refused; None where there is none."""

    def close(self, admin: Admin) -> None:
        """Revoke what was made for this dashboard alone."""


class GivenKey:
    """A key that was given, and no other."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def key(self, admin: Admin) -> Secret:
        """See `Keys`."""
        return self._key

    def another(self, admin: Admin) -> None:
        """See `Keys`."""

    def close(self, admin: Admin) -> None:
        """See `Keys`."""


class ChatKey:
    """The key that chat presents to this machine's gateway, too."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def key(self, admin: Admin) -> Secret:
        """See `Keys`."""
        return own_key(self._paths, admin)

    def another(self, admin: Admin) -> Secret:
        """See `Keys`."""
        return new_key(self._paths, admin)

    def close(self, admin: Admin) -> None:
        """See `Keys`."""


class PassingKey:
    """A key that is made with the admin token on another machine, and ends with the dashboard."""

    def __init__(self) -> None:
        self._name = ""

    def key(self, admin: Admin) -> Secret:
        """See `Keys`."""
        name = f"dashboard-{secrets.token_hex(4)}"
        expires_ms = int((time.time() + KEY_SECONDS) * 1000)
        made = admin.create_key(name, KeySettings(expires_ms=expires_ms))
        self._name = name
        return Secret(made.key)

    def another(self, admin: Admin) -> Secret:
        """See `Keys`."""
        return self.key(admin)

    def close(self, admin: Admin) -> None:
        """See `Keys`."""
        if self._name:
            admin.revoke_key(self._name)


def find_keys(run: Invocation, *, is_own: bool) -> Keys:
    """Return where the key comes from: the variable, else this machine's key of chat, else a passing one."""
    given = key_of_variable(run)
    if given is not None:
        return GivenKey(given)
    return ChatKey(run.paths) if is_own else PassingKey()


class DashTalking:
    """`dashboard.talking.Talking`, over connections of its own, as the dashboard's come and go."""

    def __init__(self, source: Source, keys: Keys, *, is_own: bool) -> None:
        self.source = source
        self.is_own = is_own
        self._keys = keys
        self._key: Secret | None = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<DashTalking to {self.source.name}>"

    def voice(self, model: str, prompt: str) -> DashVoice:
        """See `Talking`."""
        return DashVoice(self, model, prompt)

    def close(self) -> None:
        """Revoke what was made for this dashboard, as far as the gateway is still there."""
        if self._key is None:
            return
        with suppress(ShareAIError):
            gateway = self.source.connect()
            if gateway is not None:
                self._keys.close(gateway.admin)
                gateway.close()

    async def key(self, admin: Admin) -> Secret:
        """Return the key, made now where there is none; raises `ShareAIError`."""
        async with self._lock:
            if self._key is None:
                self._key = await asyncio.to_thread(self._keys.key, admin)
            return self._key

    def another_key(self, admin: Admin, refused: Secret) -> Secret | None:
        """Return what to present instead of a key that is refused; None where there is nothing."""
        if self._key is refused:  # of several who ask at the same time the first one sees to it
            another = self._keys.another(admin)
            if another is None:
                return None
            self._key = another
        return self._key


class DashVoice:
    """`dashboard.talking.Voice`."""

    def __init__(self, talking: DashTalking, model: str, prompt: str) -> None:
        self.model = model
        self._talking = talking
        self._answer = Answer(model)
        self._account: RequestRow | None = None
        self._conversation = Conversation(Options())
        self._conversation.ask(prompt)

    def __repr__(self) -> str:
        return f"<DashVoice of {self._answer!r}>"

    def now(self) -> Reply:
        """See `Voice`."""
        return _reply(self._answer, self._account)

    async def run(self) -> None:
        """See `Voice`."""
        answer = self._answer
        try:
            async with AsyncExitStack() as closing:
                gateway = await asyncio.to_thread(self._talking.source.connect)
                if gateway is None:
                    raise GatewayUnreachable("No gateway runs.", hint="Start one: shareai serve")
                closing.callback(gateway.close)
                try:
                    await self._ask(gateway)
                finally:
                    answer.stop()
                    if answer.request_id:
                        asked = asyncio.to_thread(account_of, gateway.admin, answer.request_id)
                        self._account = await asked
        except ShareAIError as error:
            answer.error = error
        finally:
            answer.stop()

    async def _ask(self, gateway: WatchedGateway) -> None:
        access = DashAccess(gateway, self._talking, await self._talking.key(gateway.admin))
        client = ChatClient(access)
        try:
            await client.ask(self._answer, self._conversation.body(self.model))
        finally:
            await client.close()


class DashAccess:
    """`chat.access.Access` to a gateway that is watched."""

    is_temporary = False

    def __init__(self, gateway: WatchedGateway, talking: DashTalking, key: Secret) -> None:
        self.key = key
        self.base_url = f"{gateway.address}/v1"
        self.is_own = talking.is_own
        self._admin = gateway.admin
        self._talking = talking

    def reconnect(self) -> bool:
        """See `Access`."""
        return False

    def renew_key(self) -> bool:
        """See `Access`."""
        another = self._talking.another_key(self._admin, self.key)
        if another is None:
            return False
        self.key = another
        return True

    def default_model(self) -> str | None:
        """See `Access`."""
        return None

    def account(self, request_id: str) -> RequestRow | None:
        """See `Access`."""
        return account_of(self._admin, request_id)

    def close(self) -> None:
        """See `Access`."""


def _reply(answer: Answer, account: RequestRow | None) -> Reply:
    tokens, first = answer.tokens, answer.first_token_seconds
    usage = account.usage if account is not None else None
    prompt = completion = None
    if tokens is not None:
        prompt, completion = tokens.prompt_tokens, tokens.completion_tokens
    elif usage is not None:
        prompt = usage.prompt + usage.cached + usage.cache_write
        completion = usage.completion + usage.reasoning
    return Reply(
        text=answer.text,
        target=answer.target,
        attempts=answer.attempts,
        is_thinking=answer.is_thinking,
        has_ended=answer.has_ended,
        is_stopped=answer.is_stopped and answer.error is None,
        error=str(answer.error) if answer.error is not None else "",
        ending=ENDINGS.get(answer.finish_reason, ""),
        first_us=round(first * 1e6) if first is not None else None,
        elapsed_us=round((answer.total_seconds if answer.has_ended else answer.elapsed()) * 1e6),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_nano=account.cost_nano if account is not None else None,
        is_cost_known=account is not None,
        is_estimate=account is not None and account.basis is CostBasis.ESTIMATED,
    )
