"""A platform and a person, as seen through the API by somebody who retries what a careful client retries."""

import asyncio
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

NAME = "Zebedee Canaryname"
EMAIL = "zebedee.canary@person.example"
EVIDENCE = "canary evidence text"
FINAL = {"done", "failed", "cancelled", "refused"}


@dataclass
class Platform:
    """A tenant. `call` raises for an error answer; `http` lets one look at it."""

    http: httpx.AsyncClient
    key: str

    @classmethod
    async def join(cls, http: httpx.AsyncClient, *, operator_token: str, amount: int = 50) -> "Platform":
        answer = await http.post(
            "/operator/v1/tenants",
            json={"name": "Some Platform", "credits": amount},
            headers={"Authorization": f"Bearer {operator_token}"},
        )
        answer.raise_for_status()
        key = answer.json()["api_key"]["key"]
        http.headers["Authorization"] = f"Bearer {key}"
        return cls(http=http, key=key)

    async def call(self, method: str, path: str, **request: Any) -> Any:
        """Call the API, again while a part of it is being restarted."""
        async with asyncio.timeout(60):
            while True:
                try:
                    answer = await self.http.request(method, path, **request)
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
                    continue
                if answer.status_code >= 500:
                    await asyncio.sleep(0.2)
                    continue
                assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
                return answer.json()

    async def meet(self) -> "Person":
        reference = f"canary-reference-{secrets.token_hex(4)}"
        made = await self.call(
            "POST", "/v1/subjects", json={"reference": reference, "display_name": NAME, "email": EMAIL}
        )
        return Person(platform=self, id=made["id"], reference=reference)


@dataclass
class Person:
    """A subject and what they did."""

    platform: Platform
    id: str
    reference: str
    photo_id: str = ""
    consents: dict[str, str] = field(default_factory=dict)

    async def consent(self) -> None:
        notice = await self.platform.call(
            "POST",
            "/v1/notices",
            json={
                "slug": "headshots",
                "locale": "en",
                "text": "We make headshots.",
                "purposes": {"headshot": "consent", "biometric_processing": "consent"},
                "retention_days": 30,
            },
        )
        for purpose in ("headshot", "biometric_processing"):
            made = await self.platform.call(
                "POST",
                f"/v1/subjects/{self.id}/consents",
                json={"purpose": purpose, "notice_id": notice["id"], "evidence": {"how": EVIDENCE}},
            )
            self.consents[purpose] = made["id"]

    async def upload(self, photo: bytes, *, media_type: str = "image/jpeg") -> dict[str, Any]:
        made: dict[str, Any] = await self.platform.call(
            "POST",
            f"/v1/subjects/{self.id}/photos",
            content=photo,
            headers={"Content-Type": media_type, "Prefer": "wait=20", "Idempotency-Key": str(uuid.uuid4())},
        )
        self.photo_id = made["id"]
        return made

    async def order(self, *styles: str) -> str:
        """Ask for headshots, with one idempotency key however often it must be sent."""
        made = await self.platform.call(
            "POST",
            "/v1/headshots",
            json={"photo_id": self.photo_id, "styles": list(styles)},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        return str(made["id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.platform.call("GET", f"/v1/headshots/{job_id}")
        return found

    async def reaches(self, job_id: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the job is in one of these states."""
        async with asyncio.timeout(seconds):
            while True:
                job = await self.job(job_id)
                if job["state"] in states:
                    return job
                assert job["state"] not in FINAL, job
                await asyncio.sleep(0.1)

    async def used(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.platform.call("GET", "/v1/usage")
        return found
