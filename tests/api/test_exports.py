"""Exports through the API: from a verified request to a file, and who may fetch it."""

import io
import zipfile
from typing import Any

from sqlmodel import select

from core.ids import Prefix, parse, public
from core.photos.models import Photo
from core.photos.service import delete
from core.portability.build import build
from core.tenants import service as tenants
from core.tenants.models import Mode
from core.tenants.service import SCOPES
from tests.api.conftest import Api
from tests.api.world import a_world
from tests.scenes import Platform, a_person, consents


async def _a_request(api: Api, platform: Platform, subject_id: str) -> dict[str, Any]:
    body = {"subject_id": subject_id, "kind": "portability"}
    made = await api.call(platform, "POST", "/v1/rights-requests", json=body)
    assert made.json()["export"] is None
    path = f"/v1/rights-requests/{made.json()['id']}"
    early = await api.call(platform, "POST", f"{path}/export")
    assert (early.status_code, early.json()["code"]) == (409, "identity_unverified")
    answer = await api.call(platform, "POST", f"{path}/verify-identity", json={"outcome": "verified"})
    found: dict[str, Any] = answer.json()
    return found


async def test_a_verified_request_becomes_a_file_that_ordinary_tools_open(api: Api) -> None:
    world = await a_world(api)
    platform, subject_id = world.platform, world.ids["subject_id"]
    request = await _a_request(api, platform, subject_id)
    export = request["export"]
    assert export["state"] == "preparing"
    path = f"/v1/exports/{export['id']}"
    early = await api.call(platform, "GET", f"{path}/content")
    assert (early.status_code, early.json()["code"]) == (409, "state_conflict")
    again = await api.call(platform, "POST", f"/v1/rights-requests/{request['id']}/export")
    assert (again.status_code, again.json()["id"]) == (202, export["id"])

    await build(
        api.parts.database,
        api.parts.store,
        tenant_id=platform.tenant_id,
        export_id=parse(Prefix.EXPORT, export["id"]),
        root="http://likeness.test",
    )
    found = (await api.call(platform, "GET", path)).json()
    assert (found["state"], found["progress"], found["rights_request_id"]) == ("ready", 1.0, request["id"])
    listed = (await api.call(platform, "GET", f"/v1/subjects/{subject_id}/exports")).json()["data"]
    assert listed[0] == found

    whole = await api.call(platform, "GET", f"{path}/content")
    assert whole.headers["content-type"] == "application/zip"
    assert whole.headers["cache-control"] == "no-store"
    assert whole.headers["content-disposition"] == 'attachment; filename="everything.zip"'
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert {"index.html", "manifest.json", "data/person.json"} <= set(archive.namelist())
    part = await api.call(platform, "GET", f"{path}/content", headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    log = (await api.call(platform, "GET", f"/v1/subjects/{subject_id}/access-log")).json()["data"]
    assert (log[0]["what"], log[0]["why"]) == ("export", "download")
    assert "export" in {one["why"] for one in log}


async def test_an_export_has_one_door_and_that_asks_for_both_scopes(api: Api) -> None:
    world = await a_world(api)
    async with api.parts.database.tenant(world.platform.tenant_id) as session:
        scopes = tuple(scope for scope in SCOPES if scope != "consents:read_declined")
        _, key = await tenants.create_api_key(
            session, tenant_id=world.platform.tenant_id, name="narrow", mode=Mode.LIVE, scopes=scopes
        )
    narrow = Platform(caller=world.platform.caller, key=key)
    path = f"/v1/exports/{world.ids['export_id']}"
    assert (await api.call(narrow, "GET", path)).status_code == 200
    refused = await api.call(narrow, "GET", f"{path}/content")
    assert (refused.status_code, refused.json()["required_scope"]) == (403, "consents:read_declined")
    assert (await api.call(world.platform, "GET", f"{path}/content")).status_code == 200
    log = (await api.call(narrow, "GET", f"/v1/subjects/{world.ids['subject_id']}/access-log")).json()["data"]
    file = next(one["resource_id"] for one in log if one["what"] == "export")
    for way in ("", "/content"):
        assert (await api.call(narrow, "GET", f"/v1/assets/{file}{way}")).status_code == 404
    assert (await api.call(narrow, "POST", f"/v1/assets/{file}/link")).status_code == 404


async def test_an_export_is_taken_in_by_another_platform(api: Api, platform: Platform) -> None:
    world = await a_world(api)
    async with api.parts.database.tenant(world.platform.tenant_id) as session:
        photos = await session.exec(select(Photo))
        for photo in photos.all():
            await delete(session, api.parts.store, photo, actor="test")
    request = await _a_request(api, world.platform, world.ids["subject_id"])
    export_id = request["export"]["id"]
    await build(
        api.parts.database,
        api.parts.store,
        tenant_id=world.platform.tenant_id,
        export_id=parse(Prefix.EXPORT, export_id),
        root="http://likeness.test",
    )
    file = (await api.call(world.platform, "GET", f"/v1/exports/{export_id}/content")).content

    subject = public(Prefix.SUBJECT, await a_person(api.parts, platform))
    path = f"/v1/subjects/{subject}/imports"
    send: dict[str, Any] = {"content": file, "headers": {"Content-Type": "application/zip", "Idempotency-Key": "once"}}
    refused = await api.call(platform, "POST", path, **send)
    assert (refused.status_code, refused.json()["code"]) == (403, "consent_required")
    await consents(api.parts, platform, parse(Prefix.SUBJECT, subject))
    made = await api.call(platform, "POST", path, **send)
    assert made.status_code == 201, made.text
    assert made.json()["issuer"] == "http://likeness.test"
    again = await api.call(platform, "POST", path, **send)
    assert (again.status_code, again.json()) == (201, made.json())
    anew = await api.call(platform, "POST", path, content=file, headers={"Content-Type": "application/zip"})
    assert (anew.status_code, anew.json()["import_id"]) == (409, made.json()["id"])
    assert (await api.call(platform, "GET", path)).json()["data"] == [made.json()]
    source = (await api.call(platform, "GET", made.headers["location"])).json()["source"]
    assert source["subject"] == world.ids["subject_id"]
    log = (await api.call(platform, "GET", f"/v1/subjects/{subject}/access-log")).json()["data"]
    assert (log[0]["what"], log[0]["resource_id"]) == ("import", made.json()["id"])
    for body, code in ((b"PK", "export_unreadable"), (file[:-9], "export_unreadable")):
        answer = await api.call(platform, "POST", path, content=body, headers={"Content-Type": "application/zip"})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
