"""What a platform takes with it before its keys are destroyed: a ZIP file of its own records, signed.

Members are JSON, or lines of JSON; certificates are the files as they were issued. `manifest.json` names each member
with its SHA-256, and `signature.json` signs the manifest: Ed25519 over "likeness.tenant-archive.v1", a newline, and the
bytes of `manifest.json`. Nothing sealed is opened for it, so it holds nothing of a person but random ids; what is
theirs leaves by their own exports.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.audit.models import AuditCheckpoint, AuditEntry
from core.clock import now
from core.consent.models import Consent, Notice
from core.db import Database
from core.headshots.models import BrandStyle, VisibleMark
from core.ids import Prefix, public
from core.keyring.service import Keyring
from core.rights import checkpoints
from core.rights.models import ErasureCertificate, RightsRequest
from core.tenants.models import ApiKey, Quota, Tenant
from core.terms.models import RetentionPolicy
from core.webhooks.models import WebhookEndpoint

FORMAT = "likeness.tenant-archive.v1"
PAGE = 1000

# Member → table, and what of it stays behind: secrets, and what only a key opens.
_TABLES: Mapping[str, tuple[type[SQLModel], frozenset[str]]] = {
    "tenant.json": (Tenant, frozenset()),
    "usage.json": (Quota, frozenset()),
    "retention.json": (RetentionPolicy, frozenset()),
    "notices.json": (Notice, frozenset()),
    "brand_styles.json": (BrandStyle, frozenset()),
    "visible_marks.json": (VisibleMark, frozenset({"sealed_logo"})),
    "api_keys.json": (ApiKey, frozenset({"secret_hash"})),
    "webhook_endpoints.json": (WebhookEndpoint, frozenset({"sealed_secret", "sealed_previous_secret"})),
    "rights_requests.json": (RightsRequest, frozenset({"sealed_details", "sealed_reason"})),
}


@dataclass
class _Archive:
    file: zipfile.ZipFile
    members: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        self.file.writestr(name, content)
        self.members[name] = hashlib.sha256(content).hexdigest()


async def write(database: Database, keyring: Keyring, *, tenant_id: UUID, into: IO[bytes]) -> str:
    """Write the archive into an open file; its SHA-256 is the answer. Raises NotFound for an unknown tenant.

    Memory grows with the audit log of the one tenant, by some 300 bytes an entry.
    """
    await checkpoints.sequence(database, keyring, tenant_id=tenant_id)
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as zipped:
        archive = _Archive(zipped)
        async with database.tenant(tenant_id) as session:
            for name, (table, behind) in _TABLES.items():
                archive.add(name, _json([_plain(row, behind) for row in (await session.exec(select(table))).all()]))
            archive.add("consents.json", _json(await _consents(session)))
            await _certificates(session, archive)
            await _log(session, archive)
        manifest = _json(
            {
                "format": FORMAT,
                "tenant": public(Prefix.TENANT, tenant_id),
                "made_at": now().isoformat(),
                "members": archive.members,
            }
        )
        key = await keyring.signing.active()
        signature = key.sign(FORMAT.encode() + b"\n" + manifest)
        zipped.writestr("manifest.json", manifest)
        zipped.writestr("signature.json", _json({"alg": "Ed25519", "kid": key.key_id, "value": signature.hex()}))
    into.seek(0)
    return hashlib.file_digest(into, "sha256").hexdigest()  # type: ignore[arg-type]  # any binary file will do


async def _consents(session: AsyncSession) -> list[dict[str, Any]]:
    """The ledger in numbers: how many entries of which purpose, action and notice."""
    group = (col(Consent.purpose), col(Consent.action), col(Consent.notice_id))
    counted = await session.exec(select(*group, func.count()).group_by(*group).order_by(*group))
    return [
        {"purpose": purpose, "action": action, "notice": notice and public(Prefix.NOTICE, notice), "entries": n}
        for purpose, action, notice, n in counted.all()
    ]


async def _certificates(session: AsyncSession, archive: _Archive) -> None:
    issued = select(ErasureCertificate).where(col(ErasureCertificate.document).is_not(None))
    for certificate in (await session.exec(issued.order_by(col(ErasureCertificate.id)))).all():
        name = public(Prefix.CERTIFICATE, certificate.id)
        archive.add(f"certificates/{name}.json", certificate.document or b"")
        if certificate.horizon_document is not None:
            archive.add(f"certificates/{name}.horizon.json", certificate.horizon_document)


async def _log(session: AsyncSession, archive: _Archive) -> None:
    lines = io.BytesIO()
    async for entry in _entries(session):
        lines.write(_json({"number": entry.number, "entry": audit.leaf(entry).decode()}) + b"\n")
    archive.add("audit/entries.jsonl", lines.getvalue())
    notes = (await session.exec(select(AuditCheckpoint.note).order_by(col(AuditCheckpoint.size)))).all()
    archive.add("audit/checkpoints.json", _json(list(notes)))


async def _entries(session: AsyncSession) -> AsyncIterator[AuditEntry]:
    after = -1
    while True:
        query = select(AuditEntry).where(col(AuditEntry.number) > after).order_by(col(AuditEntry.number)).limit(PAGE)
        page = (await session.exec(query)).all()
        for entry in page:
            yield entry
            session.expunge(entry)
        if len(page) < PAGE or page[-1].number is None:
            return
        after = page[-1].number


def _plain(row: SQLModel, behind: frozenset[str]) -> dict[str, Any]:
    return {name: _text(value) for name, value in row.model_dump(exclude=set(behind)).items()}


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex if isinstance(value, UUID) else value


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
