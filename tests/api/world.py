"""One of everything that a tenant can have, with the public ids by the names that the routes give them."""

from dataclasses import dataclass
from datetime import timedelta

from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.headshots import previews, submit
from core.ids import Prefix, public
from core.photos import service as photos
from core.portability import receive
from core.portability.untrusted import Package
from core.rights import exports, horizon, requests
from core.rights.models import ExportState, Identity, PersonExport
from core.rights.rules import Kind
from core.tenants import service as tenants
from core.tenants.models import Mode
from core.terms import holds
from core.terms.policy import DataClass, default_of
from core.webhooks import service as webhooks
from core.workers import service as workers
from core.workers.service import Report
from tests.api.conftest import Api
from tests.scenes import Platform, a_notice, a_person, a_photo, a_platform, an_erasure, consents


@dataclass(frozen=True)
class World:
    """A platform and the ids of what it has."""

    platform: Platform
    ids: dict[str, str]


# Which id each slot of a path or query takes. A route with a slot that is not here fails the walk.
SLOTS: dict[str, Prefix] = {
    "key_id": Prefix.API_KEY,
    "notice_id": Prefix.NOTICE,
    "subject_id": Prefix.SUBJECT,
    "consent_id": Prefix.CONSENT,
    "photo_id": Prefix.PHOTO,
    "asset_id": Prefix.ASSET,
    "job_id": Prefix.JOB,
    "endpoint_id": Prefix.ENDPOINT,
    "delivery_id": Prefix.DELIVERY,
    "tenant_id": Prefix.TENANT,
    "request_id": Prefix.RIGHTS_REQUEST,
    "erasure_id": Prefix.ERASURE,
    "certificate_id": Prefix.CERTIFICATE,
    "entry_id": Prefix.AUDIT_ENTRY,
    "hold_id": Prefix.LEGAL_HOLD,
    "export_id": Prefix.EXPORT,
    "preview_id": Prefix.PREVIEW,
    "import_id": Prefix.IMPORT,
    "worker_id": Prefix.WORKER,
}


async def a_ready_export(parts: Parts, export: PersonExport, *, file: bytes = b"PK not looked at in this test") -> None:
    """An export with a file, without the work of building one."""
    async with parts.database.tenant(export.tenant_id) as session:
        asset = await parts.store.write(
            session,
            tenant_id=export.tenant_id,
            subject_id=export.subject_id,
            kind="export",
            data=file,
            media_type="application/zip",
            width=0,
            height=0,
        )
        export.state, export.asset_id = ExportState.READY.value, asset.id
        export.ready_at, export.expires_at = now(), now() + default_of(DataClass.EXPORT).length
        asset.expires_at = export.expires_at
        session.add_all((export, asset))


# What stands in a path and is no id.
WORDS = {"data_class": "photo"}


async def a_world(api: Api, platform: Platform | None = None) -> World:
    parts = api.parts
    platform = platform or await a_platform(parts)
    tenant_id = platform.tenant_id
    notice_id = await a_notice(parts, platform)
    subject_id = await a_person(parts, platform)
    granted = await consents(parts, platform, subject_id, notice_id=notice_id)
    photo_id = await a_photo(parts, platform, subject_id)
    async with parts.database.tenant(tenant_id) as session:
        asset = await photos.asset_of(session, await photos.get(session, photo_id))
        job = await submit.submit(session, caller=platform.caller, photo_id=photo_id, styles=["studio-grey"])
        key, _ = await tenants.create_api_key(session, tenant_id=tenant_id, name="another", mode=Mode.LIVE)
        endpoint, _ = await webhooks.create_endpoint(
            session,
            parts.keyring,
            parts.settings.webhooks,
            tenant_id=tenant_id,
            url="https://hooks.sample.example/likeness",
            events=[],
            description=None,
            actor="test",
        )
        delivery = await webhooks.send_test(session, endpoint_id=endpoint.id)
        request, _ = await requests.receive(
            session,
            parts.keyring,
            subject_id=subject_id,
            kind=Kind.ACCESS,
            actor="test",
            identity=Identity.VERIFIED,
        )
        export = await exports.of_request(session, request.id)
        preview = await previews.ask(session, tenant_id=tenant_id, style="studio-grey", mark=None)
        await previews.keep(session, parts.store, preview_id=preview.id, picture=b"a picture")
    assert export is not None
    await a_ready_export(parts, export)
    async with parts.database.tenant(tenant_id) as session:
        taken_in = await receive.note(
            session,
            parts.keyring,
            tenant_id=tenant_id,
            subject_id=subject_id,
            package=Package(manifest={}, manifest_sha256="", key_id="", photos={}, history={}),
            photo_ids=[],
        )
    async with parts.database.tenant(tenant_id) as session:
        hold = await holds.place(
            session,
            parts.keyring,
            subject_id=await a_person(parts, platform),
            reason="A claim.",
            expires_at=now() + timedelta(days=30),
            actor="test",
        )
    erased_id = await a_person(parts, platform)
    certificate = await an_erasure(parts, platform, erased_id)
    async with parts.database.system() as session:
        await workers.report(session, Report(name=f"of {tenant_id}", kind="studio", region="local", concurrency=1))
        (worker,) = await workers.page(session, before=None, limit=1)
    with frozen_at(now() + timedelta(days=8)):
        await horizon.pass_horizons(parts.database, parts.keyring, parts.tombstones, days=7)
    found = {
        "key_id": key.id,
        "notice_id": notice_id,
        "subject_id": subject_id,
        "consent_id": next(iter(granted.values())),
        "photo_id": photo_id,
        "asset_id": asset.id,
        "job_id": job.id,
        "endpoint_id": endpoint.id,
        "delivery_id": delivery.id,
        "tenant_id": tenant_id,
        "request_id": request.id,
        "erasure_id": erased_id,
        "certificate_id": certificate.id,
        "entry_id": certificate.entry_id,
        "hold_id": hold.id,
        "export_id": export.id,
        "preview_id": preview.id,
        "import_id": taken_in.id,
        "worker_id": worker.id,
    }
    ids = {name: public(SLOTS[name], value) for name, value in found.items()}
    return World(platform=platform, ids=ids | WORDS)
