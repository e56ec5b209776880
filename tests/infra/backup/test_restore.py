"""A backup and its restore: what was there is there again, and whoever was erased since stays erased."""

import asyncio
import gzip
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from sqlmodel import select

from api.health import Lookout
from core.audit.models import AuditEntry
from core.bootstrap import Parts, open_parts
from core.clock import now
from core.consent import service as consent
from core.consent.models import Purpose
from core.db import restoring
from core.errors import ConsentRequired, CredentialInvalid, Gone, Restoring
from core.photos import service as photos
from core.photos.models import Photo
from core.rights import erase, leave
from core.rights.models import RestorationPhase
from core.settings import Settings
from core.storage.models import Asset
from core.storage.tombstones import Kind
from core.subjects import service as subjects
from core.tenants import service as tenants
from core.tenants.models import Mode
from core.terms import holds
from core.terms.policy import DataClass
from infra import verify_certificate as verifier
from infra.backup.manifest import BackupRefused, Manifest, read
from infra.backup.restore import restore, resume
from infra.backup.take import take
from tests import scenes
from tests.core.rights.test_certify import published

ROOT = Path(__file__).parents[3]


async def backup(parts: Parts, into: Path, *, keys_into: Path | None = None) -> Manifest:
    return await take(parts.settings.database, parts.store.objects, parts.tombstones, into=into, keys_into=keys_into)


@dataclass
class Town:
    """A platform with people to whom something happens after the backup."""

    platform: scenes.Platform
    stays: UUID
    goes: UUID
    deletes: UUID
    withdraws: UUID
    key: str
    photos: dict[UUID, UUID] = field(default_factory=dict)

    @classmethod
    async def build(cls, parts: Parts) -> "Town":
        platform = await scenes.a_platform(parts)
        people = dict([await scenes.a_ready_person(parts, platform) for _ in range(4)])
        async with parts.database.tenant(platform.tenant_id) as session:
            _, key = await tenants.create_api_key(session, tenant_id=platform.tenant_id, name="second", mode=Mode.LIVE)
        stays, goes, deletes, withdraws = people
        return cls(platform, stays, goes, deletes, withdraws, key, photos=people)

    async def live_on(self, parts: Parts) -> bytes:
        """What happens after the backup; the certificate of the one who goes."""
        tenant_id = self.platform.tenant_id
        certificate = await scenes.an_erasure(parts, self.platform, self.goes)
        async with parts.database.tenant(tenant_id) as session:
            photo = await photos.get(session, self.photos[self.deletes])
            await photos.delete(session, parts.store, photo, actor="test")
        async with parts.database.tenant(tenant_id) as session:
            granted = (await consent.current(session, self.withdraws))[Purpose.HEADSHOT]
            await consent.withdraw(session, consent_id=granted.id, actor="test")
        key_id = (await tenants.authenticate(parts.database, self.key)).api_key_id
        async with parts.database.tenant(tenant_id) as session:
            await tenants.revoke_api_key(session, tenant_id=tenant_id, key_id=key_id, actor="test")
        assert certificate.document is not None
        return certificate.document

    async def expect_what_was_erased_to_stay_erased(self, parts: Parts) -> None:
        tenant_id = self.platform.tenant_id
        assert not await parts.keyring.holds_subject_key(tenant_id, self.goes)
        async with parts.database.tenant(tenant_id) as session:
            with pytest.raises(Gone):
                await photos.get(session, self.photos[self.goes])
            with pytest.raises(Gone):
                await photos.get(session, self.photos[self.deletes])
            with pytest.raises(ConsentRequired):
                await consent.require(session, self.withdraws, Purpose.HEADSHOT)
            tombstone = await erase.tombstone_of(session, self.goes)
            assert tombstone.state == "erased"
            row = (await session.exec(select(Photo).where(Photo.id == self.photos[self.deletes]))).one()
            erased = await session.get_one(Asset, row.asset_id)
        assert not await parts.store.objects.present(erased.object_name)
        with pytest.raises(CredentialInvalid):
            await tenants.authenticate(parts.database, self.key)

    async def expect_what_stayed_to_be_there(self, parts: Parts) -> None:
        tenant_id = self.platform.tenant_id
        await tenants.authenticate(parts.database, self.platform.key)
        async with parts.database.tenant(tenant_id) as session:
            person = await subjects.get(session, self.stays)
            photo = await photos.get(session, self.photos[self.stays])
            await consent.require(session, self.stays, Purpose.HEADSHOT)
            asset = await photos.asset_of(session, photo)
        assert (await subjects.reveal(parts.keyring, person)).display_name == "Canary Q. Personname"
        assert (await parts.store.read(asset)).startswith(b"\xff\xd8")


async def test_after_a_restore_nobody_is_served_until_everything_erased_is_erased_again(
    parts: Parts, tmp_path: Path
) -> None:
    town = await Town.build(parts)
    copy = tmp_path / "backup"
    await backup(parts, copy)
    certificate = await town.live_on(parts)
    keys_before = await published(parts)
    lost = tmp_path / "objects" / town.platform.tenant_id.hex
    for path in list(lost.iterdir()):
        path.unlink()

    def stop_before_the_replay(phase: RestorationPhase) -> None:
        if phase is RestorationPhase.REPLAYING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await restore(parts.settings, source=copy, watch=stop_before_the_replay)
    # The process that was up all the while serves nobody, and says why.
    assert await restoring(parts.database)
    with pytest.raises(Restoring):
        async with parts.database.tenant(town.platform.tenant_id) as session:
            await photos.get(session, town.photos[town.goes])
    seen = await Lookout().readiness(parts)
    assert (seen.status, seen.code) == ("unavailable", "replaying_tombstones")
    # The replay needs nothing of the backup.
    done = await resume(parts.settings)
    assert done == {"subject": 1, "asset": 1, "consent": 1, "api_key": 1}
    assert (await Lookout().readiness(parts)).code is None
    await town.expect_what_was_erased_to_stay_erased(parts)
    await town.expect_what_stayed_to_be_there(parts)
    # The certificate of before still holds, with the keys of before and of now; and the log says what happened.
    for keys in (keys_before, await published(parts)):
        assert verifier.verify(certificate, verifier.read_keys(keys))
    async with parts.database.tenant(town.platform.tenant_id) as session:
        said = (await session.exec(select(AuditEntry).where(AuditEntry.kind == "log.restored"))).all()
    assert len(said) == 1
    assert await resume(parts.settings) == {}


RESTORER = """
import asyncio, os, signal, sys
from pathlib import Path
from core.rights import erase, leave
from core.settings import Settings
from infra.backup import restore

def watch(phase):
    if phase == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] in {"loaded", "begun"}:
    place, name = {"loaded": (restore, "_open_to_owner"), "begun": (erase, "finish")}[sys.argv[2]]
    true = getattr(place, name)
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(place, name, die)

asyncio.run(restore.restore(Settings(), source=Path(sys.argv[1]), watch=watch))
"""


async def test_kill_minus_nine_in_a_restore_leaves_a_shut_instance_that_the_same_command_completes(
    parts: Parts, tmp_path: Path, settings_env: dict[str, str]
) -> None:
    town = await Town.build(parts)
    copy = tmp_path / "backup"
    await backup(parts, copy)
    await town.live_on(parts)
    # One restore that dies at every place in turn: marked, in the transaction that loads, with objects missing, with
    # tombstones not replayed, in the middle of the replay.
    for place in ("loading", "loaded", "objects", "replaying", "begun"):
        killed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", RESTORER, str(copy), place],
            env=settings_env,
            cwd=ROOT,
            check=False,
            capture_output=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert await restoring(parts.database), place
        with pytest.raises(Restoring):
            async with parts.database.tenant(town.platform.tenant_id) as session:
                await session.exec(select(Photo))
    await restore(parts.settings, source=copy)
    assert not await restoring(parts.database)
    await town.expect_what_was_erased_to_stay_erased(parts)
    await town.expect_what_stayed_to_be_there(parts)


async def test_an_empty_database_and_an_empty_store_come_back_whole(
    parts: Parts, tmp_path: Path, administrator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await Town.build(parts)
    await backup(parts, tmp_path / "copy", keys_into=tmp_path / "elsewhere")
    assert not (tmp_path / "copy" / "keys").exists()
    emptied = await asyncpg.connect(administrator_url)
    await emptied.execute("DROP SCHEMA keystore CASCADE; DROP SCHEMA public CASCADE")
    await emptied.execute("CREATE SCHEMA public AUTHORIZATION likeness_owner")
    await emptied.close()
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("LIKENESS_STORAGE_URL", (tmp_path / "other").as_uri())
    done = await restore(Settings(), source=tmp_path / "copy", keys_source=tmp_path / "elsewhere")
    assert sum(done.values()) == 0
    async with open_parts(Settings()) as again:
        await town.expect_what_stayed_to_be_there(again)


async def test_newer_keys_with_an_older_database_leave_the_erased_without_a_key_from_the_start(
    parts: Parts, tmp_path: Path
) -> None:
    town = await Town.build(parts)
    await backup(parts, tmp_path / "old")
    await town.live_on(parts)
    await backup(parts, tmp_path / "new")
    await restore(parts.settings, source=tmp_path / "old", keys_source=tmp_path / "new" / "keys")
    await town.expect_what_was_erased_to_stay_erased(parts)
    await town.expect_what_stayed_to_be_there(parts)
    with pytest.raises(BackupRefused, match="older than the database"):
        await restore(parts.settings, source=tmp_path / "new", keys_source=tmp_path / "old" / "keys")


async def test_an_announced_erasure_that_nobody_could_settle_counts_after_a_disaster(
    parts: Parts, tmp_path: Path
) -> None:
    platform = await scenes.a_platform(parts)
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await backup(parts, tmp_path / "copy")
    with pytest.raises(ZeroDivisionError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
            _ = 1 // 0
    assert (await restore(parts.settings, source=tmp_path / "copy"))["subject"] == 1
    assert not await parts.keyring.holds_subject_key(platform.tenant_id, subject_id)


async def test_a_restore_takes_no_standing_hold_away_and_none_that_it_brings_back_keeps_what_was_erased(
    parts: Parts, tmp_path: Path
) -> None:
    town, leaves = await Town.build(parts), await scenes.a_platform(parts)
    held_then, _ = await scenes.a_ready_person(parts, leaves)

    async def hold(platform: scenes.Platform, subject_id: UUID, *classes: DataClass) -> UUID:
        async with parts.database.tenant(platform.tenant_id) as session:
            until = now() + timedelta(days=9)
            placed = await holds.place(
                session,
                parts.keyring,
                subject_id=subject_id,
                reason="a claim",
                expires_at=until,
                actor="test",
                data_classes=classes,
            )
            return placed.id

    stands = await hold(town.platform, town.deletes, DataClass.HEADSHOT)
    ended = [(town.platform, await hold(town.platform, town.goes)), (leaves, await hold(leaves, held_then))]
    await backup(parts, tmp_path / "copy")
    for platform, hold_id in ended:
        async with parts.database.tenant(platform.tenant_id) as session:
            await holds.release(session, hold_id, actor="test")
    await town.live_on(parts)
    await leave.suspend(parts.database, tenant_id=leaves.tenant_id, actor="test")
    await leave.shred(parts.database, parts.keyring, tenant_id=leaves.tenant_id, actor="test", without_archive=True)
    done = await restore(parts.settings, source=tmp_path / "copy")
    assert (done["tenant"], done["subject"], done["asset"]) == (1, 1, 1)
    await town.expect_what_was_erased_to_stay_erased(parts)
    async with parts.database.tenant(town.platform.tenant_id) as session:
        assert holds.is_standing(await holds.get(session, stands))
    assert (await parts.keyring.held_of_tenant(leaves.tenant_id))[0] == 0


async def test_a_later_copy_of_the_keys_brings_back_none_of_somebody_whom_the_database_never_knew(
    parts: Parts, tmp_path: Path
) -> None:
    town = await Town.build(parts)
    await backup(parts, tmp_path / "old")
    came, _ = await scenes.a_ready_person(parts, town.platform)
    newcomers = await scenes.a_platform(parts)
    theirs, _ = await scenes.a_ready_person(parts, newcomers)
    await backup(parts, tmp_path / "new")
    await scenes.an_erasure(parts, town.platform, came)
    await scenes.an_erasure(parts, newcomers, theirs)
    await restore(parts.settings, source=tmp_path / "old", keys_source=tmp_path / "new" / "keys")
    assert not await parts.keyring.holds_subject_key(town.platform.tenant_id, came)
    assert not await parts.keyring.holds_subject_key(newcomers.tenant_id, theirs)
    await town.expect_what_stayed_to_be_there(parts)


async def test_an_announced_erasure_outlives_the_restore_of_a_copy_without_the_person(
    parts: Parts, tmp_path: Path
) -> None:
    platform = await scenes.a_platform(parts)
    await backup(parts, tmp_path / "old")
    subject_id, _ = await scenes.a_ready_person(parts, platform)
    await backup(parts, tmp_path / "new")
    with pytest.raises(ZeroDivisionError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
            _ = 1 // 0
    await restore(parts.settings, source=tmp_path / "old")
    assert [entry.id async for entry in parts.tombstones.entries(Kind.SUBJECT)] == [subject_id]
    assert [entry async for entry in parts.tombstones.announced()] == []
    assert (await restore(parts.settings, source=tmp_path / "new"))["subject"] == 1


async def test_a_ledger_that_does_not_know_the_backup_is_refused_before_anything_is_touched(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await Town.build(parts)
    await backup(parts, tmp_path / "copy")
    await town.live_on(parts)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("LIKENESS_TOMBSTONES_URL", (tmp_path / "empty").as_uri())
    with pytest.raises(BackupRefused, match="not the living one"):
        await restore(Settings(), source=tmp_path / "copy")
    assert not await restoring(parts.database)
    await town.expect_what_was_erased_to_stay_erased(parts)
    # Only who says that it is lost gets the backup without it, and with it whoever was erased.
    assert await restore(Settings(), source=tmp_path / "copy", ledger_lost=True) == {}
    assert await parts.keyring.holds_subject_key(town.platform.tenant_id, town.goes)
    # And the log keeps it, with the restore that could not know better.
    async with parts.database.tenant(town.platform.tenant_id) as session:
        (said,) = (await session.exec(select(AuditEntry.actor).where(AuditEntry.kind == "log.restored"))).all()
    assert said.endswith(":ledger-lost")


async def test_another_root_key_is_noticed_before_anything_is_touched(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await Town.build(parts)
    await backup(parts, tmp_path / "copy")
    (tmp_path / "wrong").mkdir(mode=0o700)
    monkeypatch.setenv("LIKENESS_KEYS_URL", (tmp_path / "wrong").as_uri())
    with pytest.raises(BackupRefused, match="root key"):
        await restore(Settings(), source=tmp_path / "copy")
    assert not await restoring(parts.database)
    await town.expect_what_stayed_to_be_there(parts)


@pytest.mark.parametrize("damage", ["cut", "removed", "changed", "newer"])
async def test_a_damaged_backup_is_refused_before_anything_is_touched(
    parts: Parts, tmp_path: Path, damage: str
) -> None:
    await Town.build(parts)
    copy = tmp_path / "copy"
    await backup(parts, copy)
    subject = copy / "database" / "public.subject.copy.gz"
    match damage:
        case "cut":
            subject.write_bytes(subject.read_bytes()[:-5])
        case "removed":
            subject.unlink()
        case "changed":
            subject.write_bytes(gzip.compress(gzip.decompress(subject.read_bytes()).replace(b"0", b"1", 1)))
        case "newer":
            for part in ("database", "keys"):
                manifest = copy / part / "manifest.json"
                written = read(copy / part, part=part)
                manifest.write_text(manifest.read_text().replace(written.revision, "from the future"))
    with pytest.raises(BackupRefused):
        await restore(parts.settings, source=copy)
    assert not await restoring(parts.database)


async def test_a_backup_overwrites_nothing_and_leaves_no_half(parts: Parts, tmp_path: Path) -> None:
    await Town.build(parts)
    place = tmp_path / "copy"
    place.mkdir()
    (place / "something").write_text("mine")
    with pytest.raises(BackupRefused, match="not empty"):
        await backup(parts, place)
    assert (place / "something").read_text() == "mine"
    (tmp_path / "objects").rename(tmp_path / "gone")
    (tmp_path / "objects").write_text("no folder any more")
    with pytest.raises(Exception, match=r".*"):
        await backup(parts, tmp_path / "half")
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []


async def test_every_table_is_in_the_backup_and_no_key_file_is(parts: Parts, tmp_path: Path, owner_url: str) -> None:
    await Town.build(parts)
    written = await backup(parts, tmp_path / "copy")
    owner = await asyncpg.connect(owner_url)
    rows = await owner.fetch(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('public', 'keystore')"
    )
    await owner.close()
    keys = read(tmp_path / "copy" / "keys", part="keys")
    left_out = {row["name"] for row in rows} - set(written.tables) - set(keys.tables)
    assert left_out == {"public.alembic_version", "public.restoration"}
    assert written.tables["public.subject"].rows == 4
    assert keys.tables["keystore.subject_key"].rows == 4
    assert not [name for name in written.tables if name.startswith("keystore")]
    assert not list((tmp_path / "copy").rglob("root-*.key"))
    for path in (tmp_path / "copy").rglob("*.gz"):
        assert b"Canary" not in gzip.decompress(path.read_bytes())


async def test_a_backup_and_its_end_stand_in_the_ledger(parts: Parts, tmp_path: Path) -> None:
    written = await backup(parts, tmp_path / "copy")
    entries = {entry.id: entry async for entry in parts.tombstones.entries(Kind.BACKUP)}
    assert entries[written.id].at == written.made_at
    assert entries[written.id].facts["keys"] == str(tmp_path / "copy" / "keys")
