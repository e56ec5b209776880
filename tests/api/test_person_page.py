"""The page that a person sees, driven as a browser without scripts would."""

import re
from html import unescape

import httpx

from core.ids import Prefix, public
from tests.api.conftest import Api
from tests.api.world import a_world
from tests.scenes import Platform, a_person, consents


async def _opened(api: Api, platform: Platform, headers: dict[str, str] | None = None) -> tuple[str, httpx.Response]:
    """A person with two consents, and their page as it is first shown: (subject, page)."""
    subject_id = await a_person(api.parts, platform)
    await consents(api.parts, platform, subject_id)
    ours = public(Prefix.SUBJECT, subject_id)
    made = await api.call(platform, "POST", f"/v1/subjects/{ours}/person-link")
    door = await api.http.get(made.json()["url"])
    assert door.status_code == 200
    assert "Canary" not in door.text
    return ours, await _press(api, door, "Open my page", headers)


async def _press(api: Api, page: httpx.Response, label: str, headers: dict[str, str] | None = None) -> httpx.Response:
    forms = re.findall(r'<form method="post" action="([^"]+)">(.*?)<button>([^<]*)</button></form>', page.text)
    action, fields = next((action, fields) for action, fields, text in forms if text == label)
    found = re.findall(r'name="([^"]+)" value="([^"]*)"', fields)
    return await api.http.post(action, data={name: unescape(value) for name, value in found}, headers=headers)


async def test_a_person_sees_what_is_held_withdraws_and_asks_without_an_account(api: Api, platform: Platform) -> None:
    ours, page = await _opened(api, platform)
    assert page.status_code == 200
    assert "Canary Q. Personname" in page.text
    assert "script" not in page.text
    page = await _press(api, page, "Withdraw")
    assert "Your consent is withdrawn" in page.text
    page = await _press(api, page, "Erase everything of mine")
    assert "Your request is entered" in page.text
    ledger = (await api.call(platform, "GET", f"/v1/subjects/{ours}/consents")).json()
    assert sorted(row["permitted"] for row in ledger["current"]) == [False, True]
    (request,) = (await api.call(platform, "GET", "/v1/rights-requests")).json()["data"]
    assert (request["kind"], request["source"], request["identity"]) == ("erasure", "person", "unverified")


async def test_a_person_asks_for_their_data_in_one_file_to_take_along(api: Api, platform: Platform) -> None:
    _, page = await _opened(api, platform)
    page = await _press(api, page, "Give me my data in one file (ZIP), to take to another service")
    assert "Your request is entered" in page.text
    (request,) = (await api.call(platform, "GET", "/v1/rights-requests")).json()["data"]
    assert (request["kind"], request["source"], request["identity"]) == ("portability", "person", "unverified")
    # Once it is known that it was they, the file begins, and stands on their page.
    verified = {"outcome": "verified"}
    path = f"/v1/rights-requests/{request['id']}/verify-identity"
    assert (await api.call(platform, "POST", path, json=verified)).status_code == 200
    link = await api.call(platform, "POST", f"/v1/subjects/{request['subject_id']}/person-link")
    page = await _press(api, await api.http.get(link.json()["url"]), "Open my page")
    assert "Your data, to take along" in page.text


async def test_the_page_is_kept_by_nobody_framed_by_nobody_and_runs_nothing(api: Api, platform: Platform) -> None:
    _, page = await _opened(api, platform)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["content-type"].startswith("text/html")


async def test_a_link_opens_once(api: Api, platform: Platform) -> None:
    subject_id = public(Prefix.SUBJECT, await a_person(api.parts, platform))
    url = (await api.call(platform, "POST", f"/v1/subjects/{subject_id}/person-link")).json()["url"]
    door = await api.http.get(url)
    assert (await _press(api, door, "Open my page")).status_code == 200
    for again in (await api.http.get(url), await _press(api, door, "Open my page")):
        assert again.status_code == 404
        assert "ask for a new one" in again.text


async def test_the_persons_own_browser_opts_them_out_of_sale(api: Api, platform: Platform) -> None:
    ours, page = await _opened(api, platform, {"Sec-GPC": "1"})
    assert "opted out" in page.text
    ledger = (await api.call(platform, "GET", f"/v1/subjects/{ours}/consents")).json()["data"]
    assert ledger[0]["action"] == "opted_out"


async def test_nonsense_in_a_form_does_nothing(api: Api, platform: Platform) -> None:
    _, page = await _opened(api, platform)
    visit = re.search(r'name="visit" value="([^"]+)"', page.text)
    assert visit is not None
    for fields in ({"ask": "everything"}, {"withdraw": "nonsense"}, {"ask": "rectification"}, {}):
        answer = await api.http.post("/s/me/act", data={"visit": visit[1], **fields})
        assert answer.status_code == 404
    assert (await api.http.post("/s/me/act", data={"visit": "x", "ask": "access"})).status_code == 404
    assert (await api.http.get("/s/me/%3Cscript%3E")).status_code == 404
    assert (await api.call(platform, "GET", "/v1/rights-requests")).json()["data"] == []


async def test_a_person_fetches_their_own_export_and_nobody_elses(api: Api) -> None:
    world, other = await a_world(api), await a_world(api)
    made = await api.call(world.platform, "POST", f"/v1/subjects/{world.ids['subject_id']}/person-link")
    page = await _press(api, await api.http.get(made.json()["url"]), "Open my page")
    assert "Your data, to take along" in page.text
    file = await _press(api, page, "Download")
    assert file.headers["content-type"] == "application/zip"
    assert file.headers["cache-control"] == "no-store"
    assert file.content.startswith(b"PK")
    log = await api.call(world.platform, "GET", f"/v1/subjects/{world.ids['subject_id']}/access-log")
    newest = log.json()["data"][0]
    assert (newest["what"], newest["actor"], newest["why"]) == ("export", "person", "own_page")
    visit = re.search(r'name="visit" value="([^"]+)"', page.text)
    assert visit is not None
    for theirs in (other.ids["export_id"], "exp_", "nonsense"):
        answer = await api.http.post("/s/me/export", data={"visit": visit[1], "export": theirs})
        assert answer.status_code == 404
        assert "PK" not in answer.text
    assert (await api.http.post("/s/me/export", data={"visit": "x", "export": "x"})).status_code == 404
