"""Exports that come in: what a stranger may send, and what becomes of what may come."""

import io
import json
import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import select

from core.bootstrap import Parts
from core.clock import now
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import (
    ConsentRequired,
    ExportAltered,
    ExportTooLarge,
    ExportUnreadable,
    ExportUntrusted,
    ExportVersionUnknown,
    Gone,
    LikenessError,
    PhotoUnreadable,
    StateConflict,
)
from core.intake.clean import Intake, IntakeLimits
from core.keyring.signing_keys import PublicKey, SigningKey, jwk
from core.photos.models import Photo
from core.portability import receive, untrusted
from core.portability.archive import Archive
from core.portability.build import build
from core.portability.manifest import NAME, manifest_of
from core.portability.models import PersonImport
from core.portability.receive import Receiver
from core.rights import erase, exports, requests
from core.rights.models import Identity
from core.rights.rules import Kind
from tests.api.pictures import as_jpeg
from tests.core.portability.exporting import ROOT, opened
from tests.scenes import Platform, a_notice, a_person, a_photo, a_platform, consents

ISSUER = "https://other.example"
STRANGER = SigningKey(Ed25519PrivateKey.generate().private_bytes_raw())


@dataclass(frozen=True)
class Newcomer:
    """A person at another platform, who consented there, and the door that takes their export in."""

    parts: Parts
    platform: Platform
    subject_id: UUID
    receiver: Receiver

    @classmethod
    async def arrive(
        cls, parts: Parts, *, anchors: dict[str, Path] | None = None, consented: bool = True
    ) -> "Newcomer":
        platform = await a_platform(parts)
        subject_id = await a_person(parts, platform)
        if consented:
            await consents(parts, platform, subject_id)
        receiver = Receiver(parts.database, parts.store, Intake(IntakeLimits()), anchors=anchors or {})
        return cls(parts, platform, subject_id, receiver)

    async def send(self, file: bytes) -> PersonImport:
        await self.receiver.admit(caller=self.platform.caller, subject_id=self.subject_id)
        package, clean = await self.receiver.check(file)
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            return await self.receiver.keep(
                session, package, clean, caller=self.platform.caller, subject_id=self.subject_id
            )

    async def has(self) -> tuple[int, int]:
        """Photos and imports."""
        async with self.parts.database.tenant(self.platform.tenant_id) as session:
            photos = (await session.exec(select(Photo).where(Photo.subject_id == self.subject_id))).all()
            imports = (await session.exec(select(PersonImport))).all()
        return len(photos), len(imports)


async def an_export(parts: Parts) -> bytes:
    """The export of a person with one real photo, who once said no."""
    platform = await a_platform(parts)
    subject_id = await a_person(parts, platform)
    await consents(parts, platform, subject_id)
    await a_photo(parts, platform, subject_id, data=as_jpeg())
    notice_id = await a_notice(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        await consent.decline(
            session,
            parts.keyring,
            actor="test",
            subject_id=subject_id,
            purpose=Purpose.MODEL_TRAINING,
            notice_id=notice_id,
        )
        request, _ = await requests.receive(
            session,
            parts.keyring,
            subject_id=subject_id,
            kind=Kind.PORTABILITY,
            actor="test",
            identity=Identity.VERIFIED,
        )
        export = await exports.of_request(session, request.id)
    assert export is not None
    await build(parts.database, parts.store, tenant_id=platform.tenant_id, export_id=export.id, root=ROOT)
    async with parts.database.tenant(platform.tenant_id) as session:
        asset = await exports.file_of(session, await exports.get(session, export.id))
    return await parts.store.read(asset)


def zipped(files: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


async def signed(files: dict[str, bytes], key: SigningKey, *, issuer: str = ISSUER) -> bytes:
    """Files under a manifest of their own."""
    archive = Archive(now())
    out = b""

    async def whole(data: bytes) -> AsyncIterator[bytes]:
        yield data

    for name, data in files.items():
        async for block in archive.entry(name, "application/octet-stream", whole(data)):
            out += block
    manifest = manifest_of({"issuer": issuer}, archive.written, left_out=[], key=key)
    async for block in archive.entry(NAME, "application/json", whole(manifest)):
        out += block
    return out + archive.close()


async def test_photos_move_and_consents_do_not(parts: Parts) -> None:
    file, newcomer = await an_export(parts), await Newcomer.arrive(parts)
    row = await newcomer.send(file)
    assert (row.issuer, await newcomer.has()) == (ROOT, (1, 1))
    async with parts.database.tenant(newcomer.platform.tenant_id) as session:
        standing = await consent.standing(session, newcomer.subject_id, show_declined=True)
        (photo,) = (await session.exec(select(Photo))).all()
    # The purposes that stand are those that were granted here; the no of elsewhere is no entry of this ledger.
    assert {one.entry.purpose for one in standing} == {"headshot", "biometric_processing"}
    assert [photo.id.hex] == row.photos
    for show, expected in ((False, {"granted"}), (True, {"granted", "declined"})):
        source = await receive.read(parts.database, parts.keyring, row, actor="test", show_declined=show)
        assert {one["action"] for one in source["history"]["consents"]} == expected
    assert source["history"]["notices"][0]["text"] == "We make headshots."
    # The same export comes in once.
    with pytest.raises(StateConflict):
        await newcomer.send(file)
    assert await newcomer.has() == (1, 1)
    # What came with the person goes with them.
    async with parts.database.tenant(newcomer.platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=newcomer.subject_id, actor="test")
    with pytest.raises(Gone):
        await receive.read(parts.database, parts.keyring, row, actor="test", show_declined=True)
    await erase.finish(
        parts.database, parts.store, tenant_id=newcomer.platform.tenant_id, subject_id=newcomer.subject_id
    )
    assert (await newcomer.has())[1] == 0


async def test_without_consent_here_nothing_is_read(parts: Parts) -> None:
    newcomer = await Newcomer.arrive(parts, consented=False)
    with pytest.raises(ConsentRequired):
        await newcomer.receiver.admit(caller=newcomer.platform.caller, subject_id=newcomer.subject_id)


def _twice(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("index.html", b"another")
    return out.getvalue()


def _many_names(_files: dict[str, bytes]) -> bytes:
    return zipped({f"data/n{number}.json": b"" for number in range(untrusted.MOST_FILES + 1)})


def _bomb(_files: dict[str, bytes]) -> bytes:
    return zipped({NAME: b" " * (64 << 20)})


def _lying_length(files: dict[str, bytes]) -> bytes:
    """A directory that says of the manifest that it is shorter than it is."""
    file = bytearray(zipped(files))
    at = file.rfind(b"PK\x01\x02")
    struct.pack_into("<I", file, at + 24, 10)
    return bytes(file)


def _zip64(files: dict[str, bytes]) -> bytes:
    file = zipped(files)
    at = file.rfind(b"PK\x05\x06")
    return file[:at] + struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1) + file[at:]


def _other_format(files: dict[str, bytes]) -> bytes:
    manifest = json.loads(files[NAME]) | {"format": "likeness-export/2"}
    return zipped(files | {NAME: json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode() + b"\n"})


def _manifest(files: dict[str, bytes], **changes: object) -> bytes:
    manifest = json.loads(files[NAME]) | changes
    return zipped(files | {NAME: json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode() + b"\n"})


def _number(files: dict[str, bytes], number: bytes) -> bytes:
    return zipped(files | {NAME: files[NAME].replace(b'{"', b'{"a":' + number + b',"', 1)})


def _photo(files: dict[str, bytes], change: Callable[[bytes], bytes]) -> bytes:
    name = next(name for name in files if name.startswith("photos/"))
    return zipped(files | {name: change(files[name])})


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], bytes], type[LikenessError]]] = {
    "nothing": (lambda _: b"", ExportUnreadable),
    "no ZIP": (lambda _: b"PK" + b"\0" * 500, ExportUnreadable),
    "cut": (lambda files: zipped(files)[:-400], ExportUnreadable),
    "a path upwards": (lambda files: zipped(files | {"../../etc/passwd": b"x"}), ExportUnreadable),
    "an absolute path": (lambda files: zipped(files | {"/etc/passwd": b"x"}), ExportUnreadable),
    "a folder": (lambda files: zipped(files | {"photos/": b""}), ExportUnreadable),
    "a name twice": (_twice, ExportUnreadable),
    "another packing": (lambda files: zipped(files, compression=zipfile.ZIP_BZIP2), ExportUnreadable),
    "no manifest": (lambda files: zipped({"data/person.json": files["data/person.json"]}), ExportUnreadable),
    "a manifest that is no JSON": (lambda files: zipped(files | {NAME: b"{"}), ExportUnreadable),
    "a manifest that is deep": (lambda files: zipped(files | {NAME: b"[" * 100_000}), ExportUnreadable),
    "a number beyond all others": (lambda files: _number(files, b"1e999"), ExportUnreadable),
    "no number": (lambda files: _number(files, b"NaN"), ExportUnreadable),
    "half a pair of surrogates": (lambda files: _number(files, rb'"\ud800"'), ExportUnreadable),
    "a name of half a pair": (lambda files: _number(files, rb'{"\udc00":1}'), ExportUnreadable),
    "a NUL": (lambda files: _number(files, rb'["\u0000"]'), ExportUnreadable),
    "a ZIP64": (_zip64, ExportUnreadable),
    "a lie about a length": (_lying_length, ExportUnreadable),
    "many names": (_many_names, ExportTooLarge),
    "a bomb": (_bomb, ExportTooLarge),
    "another version": (_other_format, ExportVersionUnknown),
    "a spelling of its own": (lambda files: zipped(files | {NAME: b" " + files[NAME]}), ExportAltered),
    "another person": (lambda files: _manifest(files, subject="sub_0"), ExportAltered),
    "no signature": (lambda files: _manifest(files, signature=None), ExportUntrusted),
    "another file": (lambda files: zipped(files | {"data/more.json": b"{}"}), ExportAltered),
    "a file less": (lambda files: zipped({n: d for n, d in files.items() if n != "index.html"}), ExportAltered),
    "another photo": (lambda files: _photo(files, lambda data: data[:-1] + b"\0"), ExportAltered),
    "a longer photo": (lambda files: _photo(files, lambda data: data + b"\0" * (64 << 20)), ExportAltered),
    "a shorter photo": (lambda files: _photo(files, lambda data: data[:-1]), ExportAltered),
}


async def test_what_is_hostile_is_refused_by_name_and_leaves_nothing(parts: Parts) -> None:
    files, newcomer = opened(await an_export(parts)), await Newcomer.arrive(parts)
    assert await newcomer.receiver.check(zipped(files))  # packed anew by an ordinary tool, it is still what was signed
    for name, (change, expected) in HOSTILE.items():
        with pytest.raises(LikenessError) as refused:
            await newcomer.send(change(files))
        assert type(refused.value) is expected, name
    assert await newcomer.has() == (0, 0)


async def test_a_strangers_signature_counts_only_for_the_issuer_that_the_deployment_names(
    parts: Parts, tmp_path: Path
) -> None:
    photo = {"photos/pho_1.jpg": as_jpeg()}
    anchors = tmp_path / "other-keys.json"
    anchors.write_text(json.dumps({"keys": [jwk(PublicKey(STRANGER.public_key, now(), None))]}))
    unknown, known = await Newcomer.arrive(parts), await Newcomer.arrive(parts, anchors={ISSUER: anchors})
    with pytest.raises(ExportUntrusted):
        await unknown.send(await signed(photo, STRANGER))
    with pytest.raises(ExportUntrusted):  # whose key it is was said, and it is not theirs
        await known.send(await signed(photo, STRANGER, issuer="https://third.example"))
    row = await known.send(await signed(photo, STRANGER))
    assert (row.issuer, row.key_id, len(row.photos)) == (ISSUER, STRANGER.key_id, 1)


async def test_one_bad_picture_keeps_all_of_it_out(parts: Parts) -> None:
    newcomer = await Newcomer.arrive(parts)
    key = await parts.keyring.signing.active()
    bad = b"\xff\xd8\xff\xe0" + as_jpeg()[4:200]
    with pytest.raises(PhotoUnreadable) as refused:
        await newcomer.send(await signed({"photos/pho_1.jpg": as_jpeg(), "photos/pho_2.jpg": bad}, key))
    assert refused.value.extra["entry"] == "photos/pho_2.jpg"
    assert await newcomer.has() == (0, 0)
    with pytest.raises(ExportTooLarge):
        many = {f"photos/pho_{number}.jpg": b"\xff\xd8" for number in range(untrusted.MOST_PHOTOS + 1)}
        await newcomer.send(await signed(many, key))


async def test_a_consent_withdrawn_meanwhile_keeps_it_out(parts: Parts) -> None:
    newcomer = await Newcomer.arrive(parts)
    package, clean = await newcomer.receiver.check(
        await signed({"photos/pho_1.jpg": as_jpeg()}, await parts.keyring.signing.active())
    )
    async with parts.database.tenant(newcomer.platform.tenant_id) as session:
        granted = await consent.current(session, newcomer.subject_id)
        await consent.withdraw(session, consent_id=granted[Purpose.HEADSHOT].id, actor="test")
    with pytest.raises(ConsentRequired):
        async with parts.database.tenant(newcomer.platform.tenant_id) as session:
            await newcomer.receiver.keep(
                session, package, clean, caller=newcomer.platform.caller, subject_id=newcomer.subject_id
            )
    assert await newcomer.has() == (0, 0)
