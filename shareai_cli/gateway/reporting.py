"""What a gateway tells the one who runs it beside its accounts: refusals, soft limits, a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from shareai_cli.config import Settings
from shareai_cli.gateway.audit_queue import AuditQueue
from shareai_cli.gateway.notices import WARNED, Notices, told_before
from shareai_cli.gateway.pools import PoolFactory
from shareai_cli.gateway.refusals import Refusals
from shareai_cli.gateway.webhook import Webhook
from shareai_cli.ledger import Ledger, changes_made, ended_keys


class Reporting:
    """All of it, with its tasks, from `start` to `close`; what comes before the start waits for it."""

    def __init__(
        self,
        ledger: Ledger,
        make_pool: PoolFactory,
        notice: Callable[[str], None],
        environ: Mapping[str, str],
    ) -> None:
        self._ledger = ledger
        self._notice = notice
        self._environ = environ
        self._audit = AuditQueue(ledger.store.record, notice)
        self.webhook = Webhook(make_pool, notice)
        self.refusals = Refusals(self._audit, partial(ended_keys, ledger.store.path))
        self.notices = Notices(self._audit, notice, self.webhook.send)

    def __repr__(self) -> str:
        return f"<Reporting [{self._audit!r}, {self.webhook!r}]>"

    async def prepare(self, settings: Settings) -> None:
        """Take up the first settings, and what was told before; raises `ConfigurationError`, `StateError`."""
        receiver = await self.webhook.prepare(settings.webhook, self._environ)
        told = await asyncio.to_thread(changes_made, self._ledger.store.path, WARNED)
        self.notices.recall(told_before(told))
        await self.webhook.take_up(receiver)

    def start(self) -> None:
        """Begin to write and to send."""
        self._audit.start()
        self.refusals.start()
        self.webhook.start()

    async def close(self) -> None:
        """End the tasks; what is to be in the audit is written."""
        await self.refusals.close()
        await self._audit.close()
        await self.webhook.close()
