"""A person with something of everything, and their export, opened."""

import io
import json
import zipfile
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.bootstrap import Parts
from core.consent import service as consent
from core.consent.models import Purpose
from core.portability.build import build
from core.rights import exports, person, requests
from core.rights.models import Identity, PersonExport
from core.rights.rules import Kind
from core.subjects import service as subjects
from tests.delivered import LEDGER
from tests.queueing import Studio, made
from tests.scenes import a_notice

ROOT = "http://likeness.test"
DETAILS = "canary-details: everything, please"


@dataclass(frozen=True)
class Story:
    """A person with a past, who asks for all of it."""

    parts: Parts
    studio: Studio
    export_id: UUID

    @property
    def tenant_id(self) -> UUID:
        return self.studio.platform.tenant_id

    @property
    def subject_id(self) -> UUID:
        return self.studio.subject_id

    @classmethod
    async def begin(cls, parts: Parts) -> "Story":
        studio = await Studio.open(parts)
        tenant_id, subject_id = studio.platform.tenant_id, studio.subject_id
        await studio.submit()
        await studio.complete(await studio.claim(), replace(made(), ledger=LEDGER))
        notice_id = await a_notice(parts, studio.platform)
        async with parts.database.tenant(tenant_id) as session:
            await consent.decline(
                session,
                parts.keyring,
                actor="test",
                subject_id=subject_id,
                purpose=Purpose.MODEL_TRAINING,
                notice_id=notice_id,
            )
            await subjects.rectify(
                session,
                parts.keyring,
                await subjects.get(session, subject_id),
                actor="test",
                changes={"display_name": "Canary <b>Newname</b>"},
            )
            await person.make(session, subject_id=subject_id, actor="test", lifetime=timedelta(days=1))
            # Processing stands still, and the export is made all the same.
            await requests.receive(session, parts.keyring, subject_id=subject_id, kind=Kind.OBJECTION, actor="test")
            request, _ = await requests.receive(
                session,
                parts.keyring,
                subject_id=subject_id,
                kind=Kind.ACCESS,
                actor="test",
                identity=Identity.VERIFIED,
                details=DETAILS,
            )
            export = await exports.of_request(session, request.id)
        assert export is not None
        return cls(parts=parts, studio=studio, export_id=export.id)

    async def build(self) -> PersonExport | None:
        return await build(
            self.parts.database, self.parts.store, tenant_id=self.tenant_id, export_id=self.export_id, root=ROOT
        )

    async def row(self) -> PersonExport:
        async with self.parts.database.tenant(self.tenant_id) as session:
            return await session.get_one(PersonExport, self.export_id)

    async def file(self) -> bytes:
        async with self.parts.database.tenant(self.tenant_id) as session:
            asset = await exports.file_of(session, await exports.get(session, self.export_id))
        return await self.parts.store.read(asset)


def opened(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def rows(files: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(files[name])["data"]
    return found
