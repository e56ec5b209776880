"""What an export holds, as data: each table of people, the file that its rows go into, and how a row is written.

Every column is written unless it is hidden for a reason given here, so what a table learns tomorrow is exported
tomorrow. What is sealed or binary must be said: opened, written in hexadecimal, or hidden. A table of people that is
neither here nor in `LEFT_OUT` fails a test.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log
from core.audit import service as audit
from core.audit.models import AuditEntry
from core.consent import receipt
from core.consent import service as consent
from core.consent.models import Consent, Restriction
from core.headshots.models import Headshot
from core.ids import Prefix, public
from core.jobs.models import Job
from core.keyring.service import Keyring
from core.keyring.signing_keys import SigningKey
from core.photos.models import Photo
from core.portability.models import PersonImport
from core.provenance.card import card
from core.provenance.models import Fingerprint, Mark
from core.rights import requests
from core.rights.models import PersonExport, PersonLink, RightsRequest
from core.storage.models import Asset
from core.subjects import access
from core.subjects import service as subjects
from core.subjects.models import AccessEntry, Subject, SubjectRevision
from core.terms.models import LegalHold

FORMAT: Final = "likeness-export/1"
SOURCE: Final = "import:"  # and the id: the name of the field that an import is sealed in


@dataclass(frozen=True)
class Reading:
    """What it takes to open a row. files: the path in the ZIP of each picture, by the hexadecimal id of its asset.

    size: of the checkpoint that every proof leads to. root: the public address of this service.
    """

    session: AsyncSession
    keyring: Keyring
    signing_key: SigningKey
    files: Mapping[str, str]
    size: int
    root: str


Also = Callable[[Reading, Any], Awaitable[dict[str, Any]]]


async def _nothing(_reading: Reading, _row: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Part:
    """One table and its file.

    prefix: of the table's own ids; None writes them in hexadecimal. also: members that are opened or worked out, named
    in `adds`. opened: the sealed columns that `also` opens. hexed: binary columns that are written as they are.
    hidden: column → why it is not written.
    """

    file: str
    model: type[SQLModel]
    about: str
    prefix: Prefix | None = None
    also: Also = _nothing
    adds: tuple[str, ...] = ()
    opened: frozenset[str] = frozenset()
    hexed: frozenset[str] = frozenset()
    hidden: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The table's name."""
        return str(self.model.__table__.name)  # type: ignore[attr-defined]  # every model here is a table

    def columns(self) -> list[str]:
        """The columns that are written as they are. Raises ValueError for binary ones of which nothing is said."""
        found = []
        for column in self.model.__table__.columns:  # type: ignore[attr-defined]  # SQLModel sets it
            if column.name in {*_SAID_ONCE, *self.hidden, *self.opened}:
                continue
            if isinstance(column.type, LargeBinary) and column.name not in self.hexed:
                raise ValueError(f"{self.table}.{column.name}: say whether it is opened, hexed or hidden")
            found.append(column.name)
        return found

    async def write(self, reading: Reading, row: Any) -> dict[str, Any]:
        """A row as it stands in the file."""
        written = {name: self._shown(name, getattr(row, name)) for name in self.columns()}
        return written | await self.also(reading, row)

    def _shown(self, name: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, bytes):
            return value.hex()
        if isinstance(value, UUID):
            prefix = self.prefix if name == "id" else _NAMED.get(name)
            return value.hex if prefix is None else public(prefix, value)
        return value


# The manifest says these two of the whole file.
_SAID_ONCE: Final = frozenset({"tenant_id", "subject_id"})
_NAMED: Final[Mapping[str, Prefix]] = {
    "asset_id": Prefix.ASSET,
    "headshot_id": Prefix.HEADSHOT,
    "job_id": Prefix.JOB,
    "notice_id": Prefix.NOTICE,
    "photo_id": Prefix.PHOTO,
    "request_id": Prefix.RIGHTS_REQUEST,
}


async def _identity(reading: Reading, row: Subject) -> dict[str, Any]:
    return asdict(await subjects.reveal(reading.keyring, row))


async def _correction(reading: Reading, row: SubjectRevision) -> dict[str, Any]:
    if row.sealed_before is None:
        return {"before": None}
    sealer = await reading.keyring.subject_sealer(row.tenant_id, row.subject_id)
    return {"before": sealer.open_field(row.field, row.sealed_before)}


async def _consent(reading: Reading, row: Consent) -> dict[str, Any]:
    said = await receipt.receipt(reading.session, row, root=reading.root)
    return {
        "evidence": await consent.read_evidence(reading.keyring, row),
        "receipt": receipt.prove(said, reading.signing_key, root=reading.root),
    }


async def _photo(reading: Reading, row: Photo) -> dict[str, Any]:
    return {"file": reading.files.get(row.asset_id.hex)}


async def _headshot(reading: Reading, row: Headshot) -> dict[str, Any]:
    files = {variant: reading.files.get(asset) for variant, asset in sorted(row.assets.items())}
    return {"files": files, "in_words": None if row.ledger is None else card(row.ledger, "en")}


async def _asset(reading: Reading, row: Asset) -> dict[str, Any]:
    return {"file": reading.files.get(row.id.hex)}


async def _opening(_reading: Reading, row: AccessEntry) -> dict[str, Any]:
    return {"resource": access.named(row)}


async def _request(reading: Reading, row: RightsRequest) -> dict[str, Any]:
    return asdict(await requests.read(reading.keyring, row))


async def _leaf(reading: Reading, row: AuditEntry) -> dict[str, Any]:
    """The leaf's own bytes as text, and its way to the root. A leaf that waits for its number has no proof yet."""
    found: dict[str, Any] = {"leaf": audit.leaf(row).decode(), "proof": None}
    if row.number is not None and row.number < reading.size:
        proved = await log.inclusion(reading.session, entry_id=row.id, size=reading.size)
        found["proof"] = [step.hex() for step in proved.proof]
    return found


async def _import(reading: Reading, row: PersonImport) -> dict[str, Any]:
    sealer = await reading.keyring.subject_sealer(row.tenant_id, row.subject_id)
    return {"source": json.loads(sealer.open_field(SOURCE + row.id.hex, row.sealed_source))}


_BLIND = "What it would open is yours or nobody's; the number itself says nothing."
PARTS: Final[tuple[Part, ...]] = (
    Part(
        file="data/person.json",
        model=Subject,
        about="Who you are to the platform, as it stands now.",
        prefix=Prefix.SUBJECT,
        also=_identity,
        adds=("reference", "display_name", "email"),
        opened=frozenset({"sealed_reference", "sealed_name", "sealed_email"}),
        hidden={"reference_index": "A keyed digest of your reference, by which you are found. " + _BLIND},
    ),
    Part(
        file="data/corrections.json",
        model=SubjectRevision,
        about="What was known of you before each correction.",
        also=_correction,
        adds=("before",),
        opened=frozenset({"sealed_before"}),
    ),
    Part(
        file="data/consents.json",
        model=Consent,
        about="What you were asked and what you said, with a signed receipt of each.",
        prefix=Prefix.CONSENT,
        also=_consent,
        adds=("evidence", "receipt"),
        opened=frozenset({"sealed_evidence"}),
    ),
    Part(
        file="data/restrictions.json",
        model=Restriction,
        about="When processing stood still because you asked for it.",
    ),
    Part(
        file="data/legal-holds.json",
        model=LegalHold,
        about="What may not be deleted yet because somebody needs it for a legal claim, and until when.",
        hidden={
            "sealed_reason": "Why it is needed is the platform's own preparation of a claim: ask the platform "
            "(GDPR Art. 15(4), 23(1)(j))."
        },
    ),
    Part(
        file="data/photos.json",
        model=Photo,
        about="What you uploaded, what was removed from each file, and what the check of the face saw.",
        prefix=Prefix.PHOTO,
        also=_photo,
        adds=("file",),
    ),
    Part(
        file="data/headshots.json",
        model=Headshot,
        about="What was made of your photos: what was done to each picture, and how it was measured against you.",
        prefix=Prefix.HEADSHOT,
        also=_headshot,
        adds=("files", "in_words"),
    ),
    Part(
        file="data/jobs.json",
        model=Job,
        about="Every processing of a photo of yours: when, how long, and how it ended.",
        prefix=Prefix.JOB,
    ),
    Part(
        file="data/files.json",
        model=Asset,
        about="Every sealed file of yours, and the day on which it goes or went.",
        prefix=Prefix.ASSET,
        also=_asset,
        adds=("file",),
        hidden={
            "object_name": "Where the sealed bytes lie. " + _BLIND,
            "wrapped_key": "The sealed key of the file, which only this service could open. " + _BLIND,
        },
    ),
    Part(
        file="data/marks.json",
        model=Mark,
        about="The number that each headshot carries invisibly, so that anyone can ask what it is.",
        hexed=frozenset({"mark"}),
    ),
    Part(
        file="data/fingerprints.json",
        model=Fingerprint,
        about="A keyed digest of each file that was delivered, by which it is known again.",
        hexed=frozenset({"fingerprint", "mark"}),
    ),
    Part(
        file="data/access-log.json",
        model=AccessEntry,
        about="Who opened what of you, when and why.",
        also=_opening,
        adds=("resource",),
        hidden={"resource_id": "Written as `resource`."},
    ),
    Part(
        file="data/rights-requests.json",
        model=RightsRequest,
        about="What you asked for, by when you had to be answered, and the answers.",
        prefix=Prefix.RIGHTS_REQUEST,
        also=_request,
        adds=("details", "reason"),
        opened=frozenset({"sealed_details", "sealed_reason"}),
    ),
    Part(
        file="data/exports.json",
        model=PersonExport,
        about="The exports that were made for you, this one among them.",
        prefix=Prefix.EXPORT,
    ),
    Part(
        file="data/imports.json",
        model=PersonImport,
        about="What was taken over from another platform.",
        prefix=Prefix.IMPORT,
        also=_import,
        adds=("source",),
        opened=frozenset({"sealed_source"}),
    ),
    Part(
        file="data/links.json",
        model=PersonLink,
        about="The links to a page of your own that were made for you.",
        hidden={
            "token_sha256": "A digest of the link. " + _BLIND,
            "visit_sha256": "A digest of your visit. " + _BLIND,
        },
    ),
    Part(
        file="data/audit.json",
        model=AuditEntry,
        about="What the tamper-evident log says of you: each leaf, the salt that ties it to you, and its proof.",
        prefix=Prefix.AUDIT_ENTRY,
        also=_leaf,
        adds=("leaf", "proof"),
        hexed=frozenset({"salt", "commitment", "leaf_hash"}),
    ),
)

# Tables of people of which an export holds nothing, each with its reason.
LEFT_OUT: Final[Mapping[str, str]] = {
    "tombstone": "Written when a person is erased; whoever is erased has no export.",
    "erasure_receiver": "Written when a person is erased; whoever is erased has no export.",
    "erasure_certificate": "Written when a person is erased; whoever is erased has no export.",
}

_UNFIT = re.compile(r"[^a-z0-9_-]")
_ENDINGS: Final[Mapping[str, str]] = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


def photo_path(photo_id: UUID, media_type: str) -> str:
    """Where a photo stands in the ZIP."""
    return f"photos/{public(Prefix.PHOTO, photo_id)}.{_ENDINGS.get(media_type, 'bin')}"


def headshot_path(headshot: Headshot, variant: str, media_type: str) -> str:
    """Where a picture of a headshot stands in the ZIP."""
    style, variant = _UNFIT.sub("-", headshot.style), _UNFIT.sub("-", variant)
    name = f"{style}-{public(Prefix.HEADSHOT, headshot.id)}"
    return f"headshots/{name}/{variant}.{_ENDINGS.get(media_type, 'bin')}"
