"""The chapters of an export, in order: pictures, data, the page to look at, and the manifest that seals the whole."""

import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, ClassVar, Final

from sqlalchemy import inspect
from sqlmodel import col, select

from core.audit import log
from core.consent.models import Consent, Notice
from core.errors import NotFound
from core.ids import Prefix, public
from core.portability import manifest, page, schema
from core.portability.archive import Archive
from core.portability.contents import FORMAT, LEFT_OUT, PARTS, Part, Reading
from core.portability.manifest import JSON, manifest_of
from core.portability.writing import Picture, Writing
from core.rights.tables import eraser_of
from core.storage.models import Asset, AssetState
from core.tenants.models import Tenant
from core.terms.policy import RULES, policies

# Rows that are read in one transaction, and rows of a table that the page shows.
ROWS: Final = 100
SHOWN: Final = 200


class Chapters:
    """Writes one export. Read `blocks` to the end."""

    # The data of every table; notices, terms, the checkpoint and the schema; the page and the manifest.
    COUNT: ClassVar[int] = len(PARTS) + 4 + 2

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._archive = Archive(writing.at)
        self._files: dict[str, str] = {}
        self._left_out = [{"what": name, "why": why} for name, why in LEFT_OUT.items()]
        self._seen: dict[str, deque[dict[str, Any]]] = {}
        self._checkpoint: str | None = None
        self._size = 0
        self._platform = ""

    @property
    def written(self) -> int:
        """How many files are in it by now."""
        return len(self._archive.written)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The ZIP. Raises `Gone` when the person is erased meanwhile."""
        for chapter in (self._pictures, self._data, self._page, self._manifest):
            async for block in chapter():
                yield block
        yield self._archive.close()

    async def _pictures(self) -> AsyncIterator[bytes]:
        for picture in self._writing.pictures:
            if not await self._still_stands(picture):
                self._left_out.append({"what": picture.path, "why": "It reached its day while this was written."})
                continue
            asset = picture.asset
            opened = await self._writing.store.open(asset)
            async for block in self._archive.entry(picture.path, asset.media_type, opened, size=asset.plain_bytes):
                yield block
            self._files[asset.id.hex] = picture.path

    async def _still_stands(self, picture: Picture) -> bool:
        async with self._writing.database.tenant(self._writing.export.tenant_id) as session:
            asset = await session.get(Asset, picture.asset.id)
            return asset is not None and asset.state == AssetState.STORED

    async def _data(self) -> AsyncIterator[bytes]:
        await self._look_at_the_log()
        for part in PARTS:
            async for block in self._archive.entry(part.file, JSON, self._rows(part)):
                yield block
        others = {
            "data/notices.json": await self._notices(),
            "data/retention.json": await self._terms(),
            "data/log.json": _document(
                "The signed state of the log that every proof in audit.json leads to.",
                [] if self._checkpoint is None else [{"checkpoint": self._checkpoint}],
            ),
            "schema.json": json.dumps(schema.schema(), indent=1).encode(),
        }
        for name, data in others.items():
            async for block in self._archive.entry(name, JSON, _one(data)):
                yield block

    async def _look_at_the_log(self) -> None:
        async with self._writing.database.tenant(self._writing.export.tenant_id) as session:
            try:
                found = await log.checkpoint(session)
            except NotFound:
                return
            self._checkpoint, self._size = found.note, found.size

    async def _rows(self, part: Part) -> AsyncIterator[bytes]:
        """A table's file: a page of rows at a time, each page in a transaction of its own, oldest first."""
        writing, model = self._writing, part.model
        (key,) = inspect(model).primary_key
        whose = model.__table__.c[eraser_of(model.__table__).by]  # type: ignore[attr-defined]  # SQLModel sets it
        seen = self._seen[part.file] = deque(maxlen=SHOWN)
        yield _head(part.about)
        after: Any = None
        first = True
        while True:
            query = select(model).where(whose == writing.export.subject_id).order_by(key).limit(ROWS)
            if after is not None:
                query = query.where(key > after)
            written: list[str] = []
            async with writing.database.tenant(writing.export.tenant_id) as session:
                rows = (await session.exec(query)).all()
                reading = Reading(
                    session=session,
                    keyring=writing.store.keyring,
                    signing_key=writing.signing_key,
                    files=self._files,
                    size=self._size,
                    root=writing.root,
                )
                for row in rows:
                    shown = await part.write(reading, row)
                    seen.append(shown)
                    written.append(json.dumps(shown, indent=1, ensure_ascii=False))
                    after = getattr(row, key.name)
            if written:
                yield (("" if first else ",\n") + ",\n".join(written)).encode()
                first = False
            if len(rows) < ROWS:
                break
        yield b"\n]}\n"

    async def _notices(self) -> bytes:
        """The words that the person saw, in each version that they answered to."""
        export = self._writing.export
        async with self._writing.database.tenant(export.tenant_id) as session:
            answered = select(Consent.notice_id).where(Consent.subject_id == export.subject_id)
            query = select(Notice).where(col(Notice.id).in_(answered)).order_by(col(Notice.id))
            found = [
                {
                    "id": public(Prefix.NOTICE, row.id),
                    "slug": row.slug,
                    "version": row.version,
                    "locale": row.locale,
                    "text": row.text,
                    "text_sha256": row.text_sha256,
                    "purposes": row.purposes,
                    "retention_days": row.retention_days,
                    "published_at": row.published_at.isoformat(),
                }
                for row in (await session.exec(query)).all()
            ]
        return _document("The words that you were shown when you were asked.", found)

    async def _terms(self) -> bytes:
        """How long each class of data is kept. The day of each single file stands in files.json."""
        async with self._writing.database.tenant(self._writing.export.tenant_id) as session:
            tenant = await session.get_one(Tenant, self._writing.export.tenant_id)
            kept = await policies(session, tenant.id)
        self._platform = tenant.name
        found = [
            {
                "class": term.data_class.value,
                "seconds": term.seconds,
                "counted_from": RULES[term.data_class].starts,
                "goes": RULES[term.data_class].goes,
                "stays": RULES[term.data_class].stays,
            }
            for term in kept
        ]
        return _document("How long the platform keeps each class of data, and what goes then.", found)

    async def _page(self) -> AsyncIterator[bytes]:
        shown = page.Shown(
            platform=self._platform,
            issuer=self._writing.root,
            at=self._writing.at,
            rows={name: list(rows) for name, rows in self._seen.items()},
            left_out=self._left_out,
        )
        async for block in self._archive.entry("index.html", "text/html", _one(page.render(shown))):
            yield block

    async def _manifest(self) -> AsyncIterator[bytes]:
        writing, export = self._writing, self._writing.export
        facts = {
            "export": public(Prefix.EXPORT, export.id),
            "request": public(Prefix.RIGHTS_REQUEST, export.request_id),
            "subject": public(Prefix.SUBJECT, export.subject_id),
            "tenant": public(Prefix.TENANT, export.tenant_id),
            "platform": self._platform,
            "issuer": writing.root,
            "created_at": writing.at.isoformat(),
        }
        signed = manifest_of(facts, self._archive.written, left_out=self._left_out, key=writing.signing_key)
        async for block in self._archive.entry(manifest.NAME, JSON, _one(signed)):
            yield block


def _head(about: str) -> bytes:
    return f'{{"format": {json.dumps(FORMAT)}, "about": {json.dumps(about)}, "data": [\n'.encode()


def _document(about: str, rows: Iterable[dict[str, Any]]) -> bytes:
    written = ",\n".join(json.dumps(row, indent=1, ensure_ascii=False) for row in rows)
    return _head(about) + written.encode() + b"\n]}\n"


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
