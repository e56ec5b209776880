"""Who signs, what marks are given out, and what is known of one: the keys and rows behind a headshot's authenticity.

Invariants of this file:
- Private keys are sealed by the keyring and open only for as long as a caller signs with them.
- A question about a mark or a file is answered in a system session, from columns that name neither tenant nor person.
- Roots are never deleted, so that whatever was signed stays checkable after any rotation.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.ids import new_id
from core.keyring.deployment_keys import DeploymentKey, DeploymentKeys, DeploymentPurpose
from core.keyring.sealing import new_key
from core.keyring.service import Keyring
from core.provenance.certificates import Credential, new_root, new_signer
from core.provenance.models import Fingerprint, Mark, Signer
from core.settings import ProvenanceSettings
from core.subjects.models import Subject

_MARK_BYTES: Final = 8


class Standing(StrEnum):
    """What a mark or a file is to us."""

    LIVE = "live"
    ERASED = "erased"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Given:
    """A picture that is about to leave: the digest of its file, as `Provenance.fingerprint` makes it, and its mark."""

    fingerprint: bytes
    mark: bytes


class Provenance:
    """The deployment's authority over what it made. One per process; safe to use from many tasks at once."""

    def __init__(self, database: Database, keyring: Keyring, settings: ProvenanceSettings) -> None:
        self._database = database
        self._keyring = keyring
        self._keys = DeploymentKeys(database, keyring)
        self.settings = settings
        self._watermark_key: bytes | None = None

    async def watermark_key(self) -> bytes:
        """The 32 bytes that key the invisible mark, made at the first call. It never changes: old pictures carry it."""
        if self._watermark_key is None:
            key = await self._keys.newest(DeploymentPurpose.WATERMARK)
            if key is None:
                key = await self._keys.add(DeploymentPurpose.WATERMARK, 1, certificate=None, secret=new_key())
            self._watermark_key = await self._keys.open(key)
        return self._watermark_key

    async def mark_for(self, job_id: UUID, style: str) -> bytes:
        """The 64-bit mark of one style of a job: keyed, so that nobody can tell which job, and the same at each try."""
        said = b"likeness.mark.v1" + job_id.bytes + style.encode()
        return hmac.digest(await self.watermark_key(), said, hashlib.sha256)[:_MARK_BYTES]

    async def fingerprint(self, data: bytes) -> bytes:
        """The keyed digest of a file: equal for equal bytes, and useless to whoever has not got the key."""
        said = b"likeness.fingerprint.v1" + hashlib.sha256(data).digest()
        return hmac.digest(await self.watermark_key(), said, hashlib.sha256)

    async def anchors(self) -> list[str]:
        """The certificates, in PEM, of every root there ever was, oldest first; the first call makes one."""
        found = await self._keys.certificates(DeploymentPurpose.ROOT)
        if not found:
            await self._new_root(version=1)
            found = await self._keys.certificates(DeploymentPurpose.ROOT)
        return found

    def time_stamp_anchors(self) -> str:
        """The certificates, in PEM, of the authorities whose time stamps count; empty when none was named."""
        named = self.settings.time_stamp_anchors
        return "" if named is None else named.read_text()

    async def credential(self, tenant_id: UUID) -> Credential:
        """What signs this tenant's pictures now. A signer past its day is replaced first, without anybody's asking."""
        async with self._database.tenant(tenant_id) as session:
            signer = await _newest_signer(session)
        due = timedelta(days=self.settings.rotate_days)
        if signer is None or signer.created_at + due <= now():
            signer = await self._new_signer(tenant_id, after=signer)
        return await self._credential(signer)

    async def rotate_signer(self, tenant_id: UUID) -> None:
        """Give a tenant a new certificate. What the old one signed stays valid."""
        async with self._database.tenant(tenant_id) as session:
            signer = await _newest_signer(session)
        await self._new_signer(tenant_id, after=signer)

    async def rotate_root(self) -> None:
        """Give the deployment a new root: signers made from now on hang under it. The old one stays an anchor."""
        newest = await self._keys.newest(DeploymentPurpose.ROOT)
        await self._new_root(version=1 if newest is None else newest.version + 1)

    async def standing_of_mark(self, mark: bytes) -> Standing:
        """Whether a mark is one of ours, and whether its picture or person was erased."""
        async with self._database.system() as session:
            query = (
                select(Mark.headshot_id, Subject.erased_at)
                .outerjoin(Subject, col(Subject.id) == col(Mark.subject_id))
                .where(Mark.mark == mark)
            )
            found = (await session.exec(query)).first()
        if found is None:
            return Standing.UNKNOWN
        headshot_id, person_erased_at = found
        return Standing.ERASED if headshot_id is None or person_erased_at is not None else Standing.LIVE

    async def standing_of_file(self, data: bytes) -> Standing:
        """Whether exactly this file left here, and whether it was erased since."""
        async with self._database.system() as session:
            query = select(Fingerprint.mark).where(Fingerprint.fingerprint == await self.fingerprint(data))
            mark = (await session.exec(query)).first()
        return Standing.UNKNOWN if mark is None else await self.standing_of_mark(mark)

    async def _root(self) -> Credential:
        key = await self._keys.newest(DeploymentPurpose.ROOT) or await self._new_root(version=1)
        if key.certificate is None:
            raise RuntimeError("a root has a certificate")  # the database sees to it
        # The day on which it ends is not needed: a signer's own is taken from the certificate.
        return Credential(key.certificate, await self._keys.open(key), now())

    async def _new_root(self, *, version: int) -> DeploymentKey:
        root = new_root(now())
        return await self._keys.add(DeploymentPurpose.ROOT, version, certificate=root.certificate, secret=root.key)

    async def _new_signer(self, tenant_id: UUID, *, after: Signer | None) -> Signer:
        term = timedelta(days=self.settings.signer_days)
        made = new_signer(await self._root(), moment=now(), term=term)
        version = 1 if after is None else after.version + 1
        sealed = await self._keyring.seal_secret(tenant_id, f"provenance:signer:{version}", made.key)
        async with self._database.tenant(tenant_id) as session:
            adding = insert(Signer).values(
                id=new_id(), tenant_id=tenant_id, version=version, certificate=made.certificate, sealed_key=sealed,
                not_after=made.not_after, created_at=now(),
            )  # fmt: skip
            await session.exec(adding.on_conflict_do_nothing())
            retiring = update(Signer).where(col(Signer.version) < version, col(Signer.retired_at).is_(None))
            await session.exec(retiring.values(retired_at=now()))
            signer = await _newest_signer(session)
        if signer is None:
            raise RuntimeError("a signer that was just added is there")
        return signer

    async def _credential(self, signer: Signer) -> Credential:
        name = f"provenance:signer:{signer.version}"
        key = await self._keyring.open_secret(signer.tenant_id, name, signer.sealed_key)
        return Credential(signer.certificate, key, signer.not_after)


async def note(
    session: AsyncSession, *, tenant_id: UUID, subject_id: UUID, headshot_id: UUID, pictures: Sequence[Given]
) -> None:
    """Write down what is about to leave, in the caller's tenant session: the headshot's mark, and every file of it."""
    for mark in {picture.mark for picture in pictures}:
        session.add(Mark(mark=mark, tenant_id=tenant_id, subject_id=subject_id, headshot_id=headshot_id))
    for picture in pictures:
        session.add(
            Fingerprint(fingerprint=picture.fingerprint, mark=picture.mark, tenant_id=tenant_id, subject_id=subject_id)
        )
    await session.flush()


async def forget(session: AsyncSession, headshot_id: UUID) -> None:
    """Unlink an erased headshot's mark, in the caller's tenant session: from now on it answers 'erased' alone."""
    marks = select(Mark.mark).where(Mark.headshot_id == headshot_id)
    await session.exec(delete(Fingerprint).where(col(Fingerprint.mark).in_(marks)))
    forgetting = update(Mark).where(col(Mark.headshot_id) == headshot_id)
    await session.exec(forgetting.values(headshot_id=None, subject_id=None))


async def _newest_signer(session: AsyncSession) -> Signer | None:
    query = select(Signer).where(col(Signer.retired_at).is_(None)).order_by(col(Signer.version).desc()).limit(1)
    return (await session.exec(query)).first()
