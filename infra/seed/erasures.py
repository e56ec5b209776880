"""Erasures of the story: most are certified, one waits for its certificate, one has just begun, and one is stuck."""

from datetime import datetime, timedelta
from uuid import UUID

from core.bootstrap import Parts
from core.clock import frozen_at
from core.errors import StorageUnavailable
from core.rights import certify, erase
from core.rights.models import Step
from core.storage.service import SealedStore


class Erasures:
    """Carries erasures as far as the story wants them. people: whose."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.people: set[UUID] = set()

    async def through(self, tenant_id: UUID, subject_id: UUID, *, at: datetime) -> None:
        """To the very end."""
        await self._finish(tenant_id, subject_id, at=at)
        parts = self._parts
        with frozen_at(at + timedelta(seconds=8)):
            await certify.certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)

    async def leave(self, tenant_id: UUID, subject_id: UUID, *, how: int, at: datetime) -> None:
        """how: 0 begun, 1 waiting for its certificate, 2 stuck because the object store did not answer."""
        self.people.add(subject_id)
        if how == 1:
            await self._finish(tenant_id, subject_id, at=at + timedelta(seconds=2))
        for number in range(erase.STUCK_AFTER if how == 2 else 0):  # noqa: PLR2004 (the third way)
            with frozen_at(at + timedelta(minutes=1 + 5 * number)):
                await self._stumble(tenant_id, subject_id)

    async def _finish(self, tenant_id: UUID, subject_id: UUID, *, at: datetime) -> None:
        self.people.add(subject_id)
        parts = self._parts
        with frozen_at(at):
            await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)

    async def _stumble(self, tenant_id: UUID, subject_id: UUID) -> None:
        parts = self._parts

        def away(step: Step) -> None:
            if step is Step.OBJECTS:
                raise StorageUnavailable

        store: SealedStore = parts.store
        try:
            await erase.finish(parts.database, store, tenant_id=tenant_id, subject_id=subject_id, watch=away)
        except StorageUnavailable:
            return
