"""What an export holds, and what becomes of it when something else happens meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from sqlmodel import select
from typer.testing import CliRunner

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.errors import Gone, StateConflict, StorageUnavailable
from core.portability import build as building
from core.portability import schema
from core.portability.contents import LEFT_OUT, PARTS
from core.retention.sweep import sweep
from core.rights import erase, exports, requests
from core.rights.certify import certify
from core.rights.models import ExportState, Identity
from core.rights.tables import tables_of_people
from core.storage.models import Asset, AssetState
from core.terms.policy import DataClass, default_of
from core.webhooks.models import Event
from infra.cli import app
from infra.verify_certificate import NotVerified, read_keys
from infra.verify_export import verify
from tests.core.portability.exporting import DETAILS, Story, opened, rows


def test_every_table_of_people_is_exported_or_left_out_with_a_reason() -> None:
    tables = {table.name for table in tables_of_people()}
    exported = [part.table for part in PARTS]
    assert len(exported) == len(set(exported))
    assert tables == set(exported) | set(LEFT_OUT), "say in core/portability/contents.py what an export holds of it"
    assert not set(exported) & set(LEFT_OUT)
    assert all(LEFT_OUT.values())
    for part in PARTS:
        assert part.columns()
        assert all(part.hidden.values())
        stale = {*part.hidden, *part.opened, *part.hexed} - set(part.model.__table__.columns.keys())  # type: ignore[attr-defined]
        assert stale == set()


async def test_an_export_holds_everything_and_verifies(parts: Parts, tmp_path: Path) -> None:
    story = await Story.begin(parts)
    export = await story.build()
    assert export is not None
    assert (export.state, export.written) == (ExportState.READY, export.entries)
    files = opened(await story.file())
    # Every file is of the form that the schema says.
    documents = schema.schema()["$defs"]
    for name, document in documents.items():
        jsonschema.Draft202012Validator(document).validate(json.loads(files[name]))
    assert json.loads(files["schema.json"]) == schema.schema()
    # Of every table that this person has rows in, there are rows.
    empty = {part.file for part in PARTS if not rows(files, part.file)}
    assert empty == {"data/imports.json", "data/legal-holds.json"}
    # What was sealed is open.
    (me,) = rows(files, "data/person.json")
    assert (me["display_name"], me["email"]) == ("Canary <b>Newname</b>", "canary@person.example")
    assert [one["before"] for one in rows(files, "data/corrections.json")] == ["Canary Q. Personname"]
    said = rows(files, "data/consents.json")
    assert {one["action"] for one in said} == {"granted", "declined"}
    assert said[0]["evidence"] == {"evidence": {"how": "canary-evidence"}}
    assert said[0]["receipt"]["proof"]["cryptosuite"] == "eddsa-jcs-2022"
    assert DETAILS in {one["details"] for one in rows(files, "data/rights-requests.json")}
    # The pictures are there, as they were kept and delivered.
    (photo,) = rows(files, "data/photos.json")
    (headshot,) = rows(files, "data/headshots.json")
    assert files[photo["file"]].startswith(b"\xff\xd8")
    assert set(headshot["files"]) == {"square_1024", "hris_600"}
    assert b"c2pa" in files[headshot["files"]["square_1024"]]
    assert "Your face was not changed" in headshot["in_words"][0]
    # What was opened for it is in the log of openings, before it was opened.
    openings = [one for one in rows(files, "data/access-log.json") if one["why"] == "export"]
    assert {"photo", "headshot", "identity", "rights_request", "consent"} == {one["what"] for one in openings}
    # And nothing of how the service works inside.
    everything = b"".join(files.values())
    for word in (b"wrapped_key", b"object_name", b"token_sha256", b'reference_index"', b"tenant_id"):
        assert word not in everything, word
    # Anyone can check all of it, from the file and the keys.
    path, keys = tmp_path / "export.zip", json.dumps({"keys": await parts.keyring.signing.key_set()}).encode()
    path.write_bytes(await story.file())
    verified = verify(path, read_keys(keys))
    assert verified.consents == 3
    assert verified.leaves >= 10


async def test_what_was_changed_is_not_verified(parts: Parts, tmp_path: Path) -> None:
    import zipfile

    story = await Story.begin(parts)
    await story.build()
    files = opened(await story.file())
    keys = read_keys(json.dumps({"keys": await parts.keyring.signing.key_set()}).encode())
    photo = next(name for name in files if name.startswith("photos/"))
    manifest = json.loads(files["manifest.json"])
    other = json.dumps(manifest | {"platform": "Another"}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    consents = files["data/consents.json"].replace(b'"declined"', b'"granted" ')
    cases = {
        "files: photos": files | {photo: files[photo] + b"."},
        "files: the manifest lists": files | {"data/more.json": b"{}"},
        "form: a name occurs twice, or": files | {"../up.json": b"{}"},
        "signature": files | {"manifest.json": other},
        "files: data/consents": files | {"data/consents.json": consents},
    }
    for expected, changed in cases.items():
        path = tmp_path / "changed.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in changed.items():
                archive.writestr(name, data)
        with pytest.raises(NotVerified, match=expected):
            verify(path, keys)
    with pytest.raises(NotVerified, match="not among the published"):
        path.write_bytes(await story.file())
        verify(path, {})


async def test_the_page_inside_shows_words_as_words(parts: Parts) -> None:
    story = await Story.begin(parts)
    await story.build()
    page = opened(await story.file())["index.html"].decode()
    assert "Canary &lt;b&gt;Newname&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert page.count("<img ") == 2


async def test_its_events_and_leaves_say_nothing_personal_and_it_is_sealed(parts: Parts, storage_url: str) -> None:
    story = await Story.begin(parts)
    await story.build()
    async with parts.database.tenant(story.tenant_id) as session:
        (event,) = (await session.exec(select(Event).where(Event.type == "export.ready"))).all()
    assert set(event.data) == {"export_id", "rights_request_id", "subject_id", "state", "expires_at"}
    folder = Path(storage_url.removeprefix("file://"))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert b"manifest.json" not in data
        assert b"canary" not in data.lower()


async def test_a_second_build_finds_nothing_to_do(parts: Parts) -> None:
    story = await Story.begin(parts)
    both = await asyncio.gather(story.build(), story.build())
    assert sorted(one is None for one in both) == [False, True]
    assert await story.build() is None


async def test_an_erasure_takes_a_ready_export(parts: Parts) -> None:
    story = await Story.begin(parts)
    await story.build()
    async with parts.database.tenant(story.tenant_id) as session:
        asset = await exports.file_of(session, await exports.get(session, story.export_id))
        await erase.begin(session, parts.keyring, subject_id=story.subject_id, actor="test")
    with pytest.raises(Gone):
        await story.file()
    await erase.finish(parts.database, parts.store, tenant_id=story.tenant_id, subject_id=story.subject_id)
    assert not await parts.store.objects.present(asset.object_name)


async def test_an_erasure_that_comes_while_it_is_written_leaves_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, storage_url: str
) -> None:
    story = await Story.begin(parts)
    put = parts.store.objects.put_stream

    async def erased_meanwhile(name: str, chunks: AsyncIterator[bytes]) -> None:
        await put(name, chunks)
        async with parts.database.tenant(story.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=story.subject_id, actor="test")

    monkeypatch.setattr(parts.store.objects, "put_stream", erased_meanwhile)
    assert await story.build() is None
    await erase.finish(parts.database, parts.store, tenant_id=story.tenant_id, subject_id=story.subject_id)
    folder = Path(storage_url.removeprefix("file://"))
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    async with parts.database.tenant(story.tenant_id) as session:
        kinds = (await session.exec(select(Asset.kind).where(Asset.subject_id == story.subject_id))).all()
    assert "export" not in kinds
    # The sweep's next token ends it without a word.
    with frozen_at(now() + building.LEASE * 2):
        assert await story.build() is None
    assert (await story.row()).reason_code == "erased"


async def test_no_erasure_is_certified_while_a_builder_may_have_clear_pictures_in_memory(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await Story.begin(parts)
    tenant_id, subject_id = story.tenant_id, story.subject_id
    put = parts.store.objects.put_stream
    soon = now() + timedelta(seconds=10)  # every process has forgotten the key, and the builder's lease stands

    async def erased_meanwhile(name: str, chunks: AsyncIterator[bytes]) -> None:
        await put(name, chunks)
        async with parts.database.tenant(story.tenant_id) as session:
            await erase.begin(session, parts.keyring, subject_id=story.subject_id, actor="test")
        await erase.finish(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
        with frozen_at(soon), pytest.raises(StateConflict, match="export"):
            await certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)

    monkeypatch.setattr(parts.store.objects, "put_stream", erased_meanwhile)
    assert await story.build() is None
    with frozen_at(soon):
        assert (
            await certify(parts.database, parts.store, tenant_id=tenant_id, subject_id=subject_id)
        ).issued_at == soon


async def test_a_denial_takes_a_file_back_and_stops_one_that_is_written(parts: Parts) -> None:
    for built in (True, False):
        story = await Story.begin(parts)
        if built:
            await story.build()
        async with parts.database.tenant(story.tenant_id) as session:
            export = await exports.get(session, story.export_id)
            await requests.deny(
                session,
                parts.keyring,
                request_id=export.request_id,
                exception="rights_of_others",
                reason="Somebody else is in them.",
                actor="test",
            )
        with pytest.raises(Gone if built else StateConflict):
            await story.file()
        assert await story.build() is None
        assert (await sweep(parts.database, parts.store))["erase:export"] == int(built)


async def test_word_that_it_was_somebody_else_takes_it_back(parts: Parts) -> None:
    story = await Story.begin(parts)
    await story.build()
    async with parts.database.tenant(story.tenant_id) as session:
        export = await exports.get(session, story.export_id)
        await requests.verify(
            session, parts.keyring, request_id=export.request_id, outcome=Identity.FAILED, actor="test"
        )
    with pytest.raises(Gone):
        await story.file()


async def test_its_term_ends_it_and_a_new_one_can_be_had(parts: Parts) -> None:
    story = await Story.begin(parts)
    export = await story.build()
    assert export is not None
    with frozen_at(now() + default_of(DataClass.EXPORT).length + timedelta(seconds=1)):
        with pytest.raises(Gone):
            await story.file()
        async with parts.database.tenant(story.tenant_id) as session:
            again = await requests.export(session, request_id=export.request_id, actor="test")
            assert again.id != export.id
        assert (await sweep(parts.database, parts.store))["erase:export"] == 1
    assert (await story.row()).state == ExportState.EXPIRED
    async with parts.database.tenant(story.tenant_id) as session:
        assert (await session.get_one(Asset, export.asset_id)).state == AssetState.ERASED


async def test_a_part_that_is_away_costs_no_try_and_a_fault_of_its_own_does(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await Story.begin(parts)
    put = parts.store.objects.put_stream

    async def away(name: str, chunks: object) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(parts.store.objects, "put_stream", away)
    with pytest.raises(StorageUnavailable):
        await story.build()
    assert (await story.row()).failures == 0

    async def broken(name: str, chunks: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(parts.store.objects, "put_stream", broken)
    moment = now()
    for _ in range(building.MOST_TRIES):
        moment += timedelta(hours=1)
        with frozen_at(moment), pytest.raises(RuntimeError):
            await story.build()
    row = await story.row()
    assert (row.state, row.reason_code) == (ExportState.FAILED, "internal_error")
    # It can be begun anew.
    monkeypatch.setattr(parts.store.objects, "put_stream", put)
    async with parts.database.tenant(story.tenant_id) as session:
        again = await requests.export(session, request_id=row.request_id, actor="test")
    assert again.id != row.id


async def test_a_builder_that_died_is_replaced_and_cannot_come_back(parts: Parts) -> None:
    story = await Story.begin(parts)
    async with parts.database.tenant(story.tenant_id) as session:
        dead = await building._claim(session, story.export_id)
    assert dead is not None
    assert await story.build() is None  # it may still live
    later = now() + building.LEASE + timedelta(seconds=1)
    with frozen_at(later):
        async with parts.database.system() as session:
            assert (story.tenant_id, story.export_id) in await exports.unfinished(session, limit=10)
        assert await story.build() is not None
    with pytest.raises(building.Lost):
        await building.beat(parts.database, dead, written=1)


async def test_a_picture_that_reaches_its_day_meanwhile_is_named_as_left_out(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = await Story.begin(parts)
    claims = building._claim

    async def claimed_and_expired(session: object, export_id: object) -> building.Claim | None:
        claim = await claims(session, export_id)  # type: ignore[arg-type]
        assert claim is not None
        async with parts.database.tenant(story.tenant_id) as another:
            asset = await another.get_one(Asset, claim.pictures[0].asset.id)
            await parts.store.delete(another, asset)
        return claim

    monkeypatch.setattr(building, "_claim", claimed_and_expired)
    assert await story.build() is not None
    files = opened(await story.file())
    left_out = json.loads(files["manifest.json"])["left_out"]
    assert [one["what"] for one in left_out if one["what"].startswith("photos/")]
    assert rows(files, "data/photos.json")[0]["file"] is None


async def test_memory_does_not_grow_with_the_export(parts: Parts) -> None:
    import tracemalloc

    from tests.scenes import a_photo, consents

    story = await Story.begin(parts)
    async with parts.database.tenant(story.tenant_id) as session:
        found = (await requests.page(session, subject_id=story.subject_id, before=None, limit=5))[1]
        await requests.deny(
            session, parts.keyring, request_id=found.id, exception="data_is_accurate", reason="No.", actor="test"
        )
    await consents(parts, story.studio.platform, story.subject_id)
    large = b"\xff\xd8" + bytes(range(256)) * (1 << 15) + b"\xff\xd9"  # 8 MiB
    for _ in range(6):
        await a_photo(parts, story.studio.platform, story.subject_id, data=large)
    tracemalloc.start()
    assert await story.build() is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(large), peak


async def test_the_command_says_whether_an_export_holds(parts: Parts, tmp_path: Path) -> None:
    story = await Story.begin(parts)
    await story.build()
    file, keys = tmp_path / "export.zip", tmp_path / "keys.json"
    file.write_bytes(await story.file())
    keys.write_text(json.dumps({"keys": await parts.keyring.signing.key_set()}))
    runner = CliRunner()
    held = runner.invoke(app, ["verify-export", str(file)])
    assert held.exit_code == 0, held.output
    assert "VERIFIED" in held.output
    assert "each in the log" in held.output
    keys.write_text('{"keys": []}')
    assert runner.invoke(app, ["verify-export", str(file)]).exit_code == 1
    assert runner.invoke(app, ["verify-export", str(tmp_path / "none.zip"), "--keys", str(keys)]).exit_code == 1
    file.write_bytes(b"PK")
    keys.write_text(json.dumps({"keys": await parts.keyring.signing.key_set()}))
    refused = runner.invoke(app, ["verify-export", str(file)])
    assert (refused.exit_code, "NOT VERIFIED: form" in refused.output) == (1, True)
