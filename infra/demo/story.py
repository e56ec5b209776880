"""The demo's story: a platform's engineer, one person, three styles, one erasure. Every step goes through the API."""

import asyncio
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from infra.demo.receiver import Receiver
from infra.verify_certificate import NotVerified, verify_files
from infra.verify_export import verify_files as verify_export

STYLES = ("studio-grey", "navy-spotlight", "office-window")
PURPOSES = ("headshot", "biometric_processing")
NOTICE = """We make headshots from your photo. Your photo and the measurements of your face that this needs are used for
nothing else, are sealed under a key of your own, and are deleted after the term below or whenever you say so."""
GONE = 410
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}


class DemoFailed(Exception):
    """A step did not do what it should; the message says which, and what the API answered."""


@dataclass(frozen=True)
class Upload:
    """A photo to send, with the name that the story calls it by."""

    name: str
    data: bytes
    media_type: str


@dataclass
class Story:
    """Tells and does the demo against a running instance, and collects `summary.json`."""

    api_url: str
    operator_token: str
    out: Path
    console: Console
    summary: dict[str, Any] = field(default_factory=lambda: {"photos": [], "headshots": [], "timings": {}})

    async def run(self, uploads: list[Upload]) -> dict[str, Any]:
        """Do all of it. Raises `DemoFailed` at the first step that does not hold."""
        self.out.mkdir(parents=True, exist_ok=True)
        async with Receiver() as receiver, httpx.AsyncClient(base_url=self.api_url, timeout=60) as http:
            await self._become_a_platform(http)
            await self._listen(http, receiver)
            await self._meet_the_person(http)
            photo_ids = [await self._upload(http, upload) for upload in uploads]
            job = await self._make_headshots(http, photo_ids[0])
            await self._collect(http, job)
            await self._check_webhook(receiver)
            await self._take_along(http)
            await self._erase(http, photo_ids[0], job["headshots"][0]["assets"][0]["id"])
        (self.out / "summary.json").write_text(json.dumps(self.summary, indent=2) + "\n")
        return self.summary

    async def _become_a_platform(self, http: httpx.AsyncClient) -> None:
        operator = {"Authorization": f"Bearer {self.operator_token}"}
        made = await self._call(
            http, "POST", "/operator/v1/tenants", json={"name": "Demo Recruiting", "credits": 100}, headers=operator
        )
        http.headers["Authorization"] = f"Bearer {made['api_key']['key']}"
        self.summary["tenant"] = made["tenant"]["id"]
        self._say("A platform joins", f"{made['tenant']['id']}, 100 credits, its own keys")

    async def _listen(self, http: httpx.AsyncClient, receiver: Receiver) -> None:
        made = await self._call(http, "POST", "/v1/webhook-endpoints", json={"url": receiver.url, "events": []})
        receiver.secret = made["secret"]
        self._say("It listens for events", f"at {receiver.url}")

    async def _meet_the_person(self, http: httpx.AsyncClient) -> None:
        notice = await self._call(
            http,
            "POST",
            "/v1/notices",
            json={
                "slug": "headshots",
                "locale": "en",
                "text": NOTICE,
                "purposes": dict.fromkeys(PURPOSES, "consent"),
                "retention_days": 30,
            },
        )
        subject = await self._call(
            http,
            "POST",
            "/v1/subjects",
            json={"reference": f"employee-{secrets.token_hex(4)}", "display_name": "Eileen C."},
        )
        self.summary["subject"] = subject["id"]
        for purpose in PURPOSES:
            await self._call(
                http,
                "POST",
                f"/v1/subjects/{subject['id']}/consents",
                json={"purpose": purpose, "notice_id": notice["id"], "evidence": {"how": "ticked a box in the demo"}},
            )
        self._say("A person consents", f"{subject['id']}, purpose by purpose: {', '.join(PURPOSES)}")

    async def _upload(self, http: httpx.AsyncClient, upload: Upload) -> str:
        with self._timed(f"upload_{upload.name}"):
            photo = await self._call(
                http,
                "POST",
                f"/v1/subjects/{self.summary['subject']}/photos",
                content=upload.data,
                headers={
                    "Content-Type": upload.media_type,
                    "Prefer": "wait=20",
                    "Idempotency-Key": str(uuid.uuid4()),
                },
            )
        if photo["state"] != "ready":
            raise DemoFailed(f"The photo is {photo['state']}: {json.dumps(photo.get('findings'))}")
        self.summary["photos"].append({"id": photo["id"], "removed_metadata": photo["removed_metadata"]})
        removed = ", ".join(photo["removed_metadata"]) or "nothing to remove"
        self._say(f"A photo arrives ({upload.name})", f"{photo['id']}, sealed; removed: {removed}")
        return str(photo["id"])

    async def _make_headshots(self, http: httpx.AsyncClient, photo_id: str) -> dict[str, Any]:
        order = {"photo_id": photo_id, "styles": list(STYLES)}
        quote = await self._call(http, "POST", "/v1/headshots", json={**order, "dry_run": True}, headers=_once())
        self._say("What would it cost?", f"{quote['credits']} credits; nothing was made")
        with self._timed("headshots"):
            job = await self._call(http, "POST", "/v1/headshots", json=order, headers=_once())
            await self._follow(http, job["id"])
        ended: dict[str, Any] = await self._call(http, "GET", f"/v1/headshots/{job['id']}")
        if ended["state"] != "done":
            raise DemoFailed(f"The job ended {ended['state']}: {ended.get('reason')}")
        return ended

    async def _follow(self, http: httpx.AsyncClient, job_id: str) -> None:
        columns = (TextColumn("  {task.description:<34}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        with Progress(*columns, console=self.console) as bar:
            line = bar.add_task("waiting", total=1.0)
            async with http.stream("GET", f"/v1/headshots/{job_id}/events", timeout=150) as stream:
                async for text in stream.aiter_lines():
                    if not text.startswith("data:"):
                        continue
                    event = json.loads(text.removeprefix("data:"))
                    data = event.get("data", event)
                    if data.get("progress") is not None:
                        bar.update(line, completed=data["progress"], description=data.get("stage") or "")
                    if data.get("state") in {"done", "failed", "refused", "cancelled"}:
                        bar.update(line, completed=1.0, description=data["state"])
                        return

    async def _collect(self, http: httpx.AsyncClient, job: dict[str, Any]) -> None:
        for headshot in job["headshots"]:
            if headshot["state"] != "done":
                raise DemoFailed(f"The style {headshot['style']} was {headshot['state']}: {headshot.get('reason')}")
            for asset in headshot["assets"]:
                answer = await http.get(f"/v1/assets/{asset['id']}/content")
                answer.raise_for_status()
                path = self.out / f"{headshot['style']}-{asset['variant']}{SUFFIXES[asset['media_type']]}"
                path.write_bytes(answer.content)
                if asset["variant"] == "square_1024":
                    self.summary["headshots"].append(
                        {
                            "id": headshot["id"],
                            "style": headshot["style"],
                            "path": str(path),
                            "width": asset["width"],
                            "height": asset["height"],
                            "state": headshot["state"],
                            "seconds": headshot["seconds"],
                            "sha256": hashlib.sha256(answer.content).hexdigest(),
                        }
                    )
                    self._say(f"Headshot: {headshot['style']}", f"{path} ({headshot['seconds']:.1f} s)")

    async def _check_webhook(self, receiver: Receiver) -> None:
        event = await receiver.wait_for("headshot.completed", timeout_seconds=30)
        if not event.verified:
            raise DemoFailed("The webhook's signature did not verify.")
        self.summary["webhook"] = {"event": event.type, "verified": event.verified}
        self._say("The platform is told", f"{event.type}, signature verified with the public library")

    async def _take_along(self, http: httpx.AsyncClient) -> None:
        asked = {"subject_id": self.summary["subject"], "kind": "access", "identity_verified": True}
        with self._timed("export"):
            request = await self._call(http, "POST", "/v1/rights-requests", json=asked)
            path = f"/v1/exports/{request['export']['id']}"
            async with asyncio.timeout(60):
                export = request["export"]
                while export["state"] == "preparing":
                    await asyncio.sleep(0.2)
                    export = await self._call(http, "GET", path)
        if export["state"] != "ready":
            raise DemoFailed(f"The export is {export['state']}: {export['reason_code']}")
        kept, keys = self.out / "export.zip", self.out / "keys.json"
        for path_of, source in ((kept, f"{path}/content"), (keys, "/.well-known/likeness/keys")):
            answer = await http.get(source)
            answer.raise_for_status()
            path_of.write_bytes(answer.content)
        try:
            verify_export(kept, keys)
        except NotVerified as error:
            raise DemoFailed(f"The export does not hold: {error}") from error
        self.summary["export"] = {"id": export["id"], "path": str(kept), "files": export["files"], "verified": True}
        self._say("They ask for all of it", f"{kept}, {export['files']} files, verified offline; open index.html in it")

    async def _erase(self, http: httpx.AsyncClient, photo_id: str, asset_id: str) -> None:
        subject = f"/v1/subjects/{self.summary['subject']}"
        with self._timed("shred"):
            erasure = await self._call(http, "DELETE", subject)
        self._say(
            "The person leaves", f"{erasure['state']} in {self.summary['timings']['shred']:.2f} s: the key is gone"
        )
        with self._timed("erase"):
            async with asyncio.timeout(30):
                while erasure["state"] != "erased":  # asking again tells how far it has come
                    await asyncio.sleep(0.2)
                    erasure = await self._call(http, "DELETE", subject)
        photo = await http.get(f"/v1/photos/{photo_id}/content")
        asset = await http.get(f"/v1/assets/{asset_id}/content")
        if (photo.status_code, asset.status_code) != (GONE, GONE):
            raise DemoFailed(f"After the erasure photo and headshot answer {photo.status_code}, {asset.status_code}.")
        self.summary["erasure"] = {"state": erasure["state"], "reopened": False}
        self._say("Nothing of theirs is left", f"photo and headshots answer {GONE} {photo.json()['code']}")
        await self._keep_the_proof(http, f"/v1/erasures/{erasure['id']}")

    async def _keep_the_proof(self, http: httpx.AsyncClient, erasure: str) -> None:
        with self._timed("certify"):  # not before every process has surely forgotten the key
            async with asyncio.timeout(30):
                found = await self._call(http, "GET", erasure)
                while found["certificate"] is None:
                    await asyncio.sleep(0.2)
                    found = await self._call(http, "GET", erasure)
        issued = f"/v1/erasure-certificates/{found['certificate']}"
        kept = {
            self.out / "erasure-certificate.json": issued,
            self.out / "erasure-certificate.pdf": f"{issued}/pdf",
            self.out / "keys.json": "/.well-known/likeness/keys",
        }
        for path, source in kept.items():
            answer = await http.get(source)
            answer.raise_for_status()
            path.write_bytes(answer.content)
        certificate, pdf, keys = kept
        try:
            said = verify_files(certificate, keys)
        except NotVerified as error:
            raise DemoFailed(f"The certificate does not hold: {error}") from error
        self.summary["certificate"] = {
            "id": said["id"],
            "path": str(certificate),
            "pdf": str(pdf),
            "keys": str(keys),
            "verified": True,
        }
        self._say("And that is proved", f"{certificate}, verified offline; {pdf.name} for the person")

    async def _call(self, http: httpx.AsyncClient, method: str, path: str, **request: Any) -> Any:
        answer = await http.request(method, path, **request)
        if answer.is_error:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.summary["timings"][name] = round(time.perf_counter() - began, 3)

    def _say(self, what: str, detail: str) -> None:
        self.console.print(f"  [bold]{what:<34}[/bold] {detail}", highlight=False, soft_wrap=True)


def _once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}
