"""The receivers of the story. They answer as their part says, and nothing leaves this machine."""

import random
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from core.clock import now
from core.settings import WebhookSettings
from core.webhooks.send import Failure, Outcome, Sender
from infra.seed.cast import Receiver


class DrawnReceivers(Sender):
    """Answers instead of the network."""

    def __init__(self, settings: WebhookSettings, *, cast: Mapping[str, Receiver], begins: datetime, seed: int) -> None:
        super().__init__(settings)
        self._cast = cast
        self._begins = begins
        self._chance = random.Random(seed)  # noqa: S311 (a story, no secret)

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Outcome:  # noqa: ARG002 (the sender's shape)
        """What this receiver says today."""
        receiver = self._cast[urlsplit(url).hostname or ""]
        if receiver.breaks_on is not None and (now() - self._begins).days >= receiver.breaks_on:
            return Outcome(None, Failure.CONNECTION_FAILED)
        if self._chance.random() >= receiver.fails:
            return Outcome(HTTPStatus.NO_CONTENT, None)
        return self._chance.choice(
            (
                Outcome(HTTPStatus.BAD_GATEWAY, Failure.BAD_STATUS),
                Outcome(HTTPStatus.TOO_MANY_REQUESTS, Failure.BAD_STATUS),
                Outcome(None, Failure.TIMEOUT),
            )
        )

    async def close(self) -> None:
        """They stay: one set of receivers serves the whole month."""
