"""The audit log at the door: what a platform reads there is enough to check all of it by itself."""

import base64
from typing import Any

import pytest
from sqlmodel import select

from core.rights import checkpoints
from core.webhooks.models import Event
from infra import verify_certificate as verifier
from tests.api.conftest import Api
from tests.scenes import Platform, a_person, a_platform, an_erasure


async def _keys(api: Api) -> verifier.Keys:
    return verifier.read_keys((await api.http.get("/.well-known/likeness/keys")).content)


async def _leaves(api: Api, platform: Platform) -> list[bytes]:
    leaves: list[bytes] = []
    start: int | None = 0
    while start is not None:
        page = (await api.call(platform, "GET", "/v1/audit/entries", params={"from": start, "limit": 3})).json()
        assert [entry["number"] for entry in page["data"]] == list(range(start, start + len(page["data"])))
        leaves += [entry["leaf"].encode() for entry in page["data"]]
        start = page["next_from"]
    return leaves


def _unhex(steps: list[str]) -> list[bytes]:
    return [bytes.fromhex(step) for step in steps]


async def _grow(api: Api, platform: Platform, people: int) -> dict[str, Any]:
    for _ in range(people):
        await a_person(api.parts, platform)
    await checkpoints.sequence(api.parts.database, api.parts.keyring, tenant_id=platform.tenant_id)
    answer = await api.call(platform, "GET", "/v1/audit/checkpoint")
    found: dict[str, Any] = answer.json()
    return found


async def test_a_platform_can_check_the_whole_log_by_itself(api: Api, platform: Platform) -> None:
    earlier = await _grow(api, platform, 3)
    later = await _grow(api, platform, 4)
    keys, leaves = await _keys(api), await _leaves(api, platform)
    assert len(leaves) == later["size"] == earlier["size"] + 4
    for found in (earlier, later):
        opened = verifier.open_checkpoint(found["note"], keys)
        assert (opened.origin, opened.size, opened.root.hex()) == (found["origin"], found["size"], found["root"])
        verifier.check_log(leaves, opened)
    for number, leaf in enumerate(leaves):
        proved = (await api.call(platform, "GET", f"/v1/audit/entries/{number}/proof")).json()
        assert proved["entry"]["leaf"].encode() == leaf
        by_id = await api.call(platform, "GET", f"/v1/audit/entries/{proved['entry']['id']}/proof")
        assert by_id.json() == proved
        root = verifier.root_from_inclusion(verifier.hash_leaf(leaf), number, later["size"], _unhex(proved["proof"]))
        assert root.hex() == later["root"]
    grown = (await api.call(platform, "GET", "/v1/audit/consistency", params={"from": earlier["size"]})).json()
    roots = [bytes.fromhex(grown[name]["root"]) for name in ("earlier", "later")]
    verifier.check_consistency(earlier["size"], roots[0], later["size"], roots[1], _unhex(grown["proof"]))


async def test_no_checkpoint_and_no_entry_is_made_up(api: Api, platform: Platform) -> None:
    assert (await api.call(platform, "GET", "/v1/audit/checkpoint")).status_code == 404
    found = await _grow(api, platform, 1)
    for path in (
        f"/v1/audit/checkpoint?size={found['size'] + 1}",
        f"/v1/audit/entries/{found['size']}/proof",
        f"/v1/audit/entries/{'9' * 40}/proof",
        "/v1/audit/entries/aud_0/proof",
        f"/v1/audit/consistency?from={found['size'] + 1}",
    ):
        assert (await api.call(platform, "GET", path)).status_code == 404, path
    for path in ("/v1/audit/consistency", "/v1/audit/consistency?from=-1", "/v1/audit/entries?from=x"):
        assert (await api.call(platform, "GET", path)).status_code == 422, path


async def test_a_log_is_its_tenants_alone(api: Api, platform: Platform) -> None:
    other = await a_platform(api.parts)
    mine, theirs = await _grow(api, platform, 2), await _grow(api, other, 1)
    assert mine["origin"] != theirs["origin"]
    assert not set(await _leaves(api, platform)) & set(await _leaves(api, other))


async def test_the_published_keys_are_for_everyone_and_hold_no_private_half(api: Api) -> None:
    answer = await api.http.get("/.well-known/likeness/keys")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "use", "alg", "kid", "x"}


@pytest.fixture
async def erased(api: Api, platform: Platform) -> str:
    """The path of an erasure that is at its end."""
    subject_id = await a_person(api.parts, platform)
    await an_erasure(api.parts, platform, subject_id)
    return f"/v1/erasures/ers_{subject_id.hex}"


async def test_an_erasure_shows_its_steps_and_leads_to_a_certificate_that_holds(
    api: Api, platform: Platform, erased: str
) -> None:
    found = (await api.call(platform, "GET", erased)).json()
    assert [step["step"] for step in found["steps"]] == [
        "tombstone",
        "key",
        "receivers",
        "jobs",
        "objects",
        "rows",
        "rescan",
        "certificate",
    ]
    assert all(step["done_at"] for step in found["steps"])
    assert [scan["found"] for scan in found["scans"]] == [0, 0, 0]
    assert (found["state"], found["stuck"], found["last_error"]) == ("erased", False, None)
    path = f"/v1/erasure-certificates/{found['certificate']}"
    document = await api.call(platform, "GET", path)
    assert document.headers["content-type"] == "application/json"
    said = verifier.verify(document.content, await _keys(api))
    assert said["subject"] == found["subject"]
    sheet = await api.call(platform, "GET", f"{path}/pdf")
    assert (sheet.headers["content-type"], sheet.content[:5]) == ("application/pdf", b"%PDF-")


async def test_the_checkpoint_event_carries_the_whole_checkpoint(api: Api, platform: Platform) -> None:
    """A receiver that kept nothing but the event can put the signed note together again."""
    found = await _grow(api, platform, 1)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        (event,) = (await session.exec(select(Event).where(Event.type == "audit.checkpoint"))).all()
    origin = f"likeness/{event.data['tenant_id']}"
    root = base64.b64encode(bytes.fromhex(event.data["root_hash"])).decode()
    line = base64.b64encode(bytes.fromhex("".join(event.data["signature"]))).decode()
    assert f"{origin}\n{event.data['size']}\n{root}\n\n— {origin} {line}\n" == found["note"]
    await _grow(api, platform, 1)
    async with api.parts.database.tenant(platform.tenant_id) as session:
        assert len((await session.exec(select(Event).where(Event.type == "audit.checkpoint"))).all()) == 1


async def test_a_cohort_is_erased_by_reference_and_a_stranger_among_them_is_no_error(
    api: Api, platform: Platform
) -> None:
    other = await a_platform(api.parts)
    people = [await a_person(api.parts, platform, reference=f"employee-{n}") for n in range(3)]
    theirs = await a_person(api.parts, other, reference="employee-9")
    body = {"references": ["employee-2", "employee-9", "employee-0", "employee-2"]}
    for _ in range(2):
        answer = await api.call(platform, "POST", "/v1/erasures", json=body)
        assert answer.status_code == 202
        begun = [one and (one["subject_id"], one["state"]) for one in answer.json()["data"]]
        assert begun == [
            (f"sub_{people[2].hex}", "shredded"),
            None,
            (f"sub_{people[0].hex}", "shredded"),
            (f"sub_{people[2].hex}", "shredded"),
        ]
    gone = [(await api.call(platform, "GET", f"/v1/subjects/sub_{one.hex}")).status_code for one in people]
    assert gone == [410, 200, 410]
    assert (await api.call(other, "GET", f"/v1/subjects/sub_{theirs.hex}")).status_code == 200
    for wrong in ([], ["x"] * 101):
        refused = await api.call(platform, "POST", "/v1/erasures", json={"references": wrong})
        assert refused.status_code == 422
