"""The records for reviewers: one signed document per platform, from what is configured and what is counted.

It holds no personal data: purposes, terms, recipients, measures, counts. What this service cannot know is not made up;
`to_complete` names it. The form is that of the other signed documents: canonical JSON (RFC 8785) and a newline, signed
over the format's name, a newline, and everything but the signature. `infra/verify_records.py` checks it offline.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import log
from core.clock import now
from core.consent.models import Notice
from core.db import Database
from core.errors import NotFound
from core.ids import Prefix, public
from core.keyring.service import Keyring
from core.records import assessment, figures, subprocessors
from core.records.models import SubprocessorList
from core.records.subprocessors import Standing
from core.rights.certificate import canonical
from core.settings import Settings
from core.tenants.models import Tenant
from core.terms.policy import RULES, policies
from core.webhooks.models import WebhookEndpoint

FORMAT: Final = "likeness-records/1"
PEOPLE: Final = ["People whose headshots are made: employees, applicants and others whom the platform enters."]
CATEGORIES: Final[Mapping[str, list[str]]] = {
    "headshot": ["photo", "headshot", "reference, name and e-mail, where the platform gives them"],
    "biometric_processing": ["the place of the face in the photo, in memory; measures of how far a picture moved"],
    "model_training": ["photo", "headshot"],
    "third_party_sharing": ["photo", "headshot"],
    "extended_retention": ["photo", "headshot"],
}


@dataclass(frozen=True)
class Known:
    """What a platform's records are made from."""

    tenant: Tenant
    notices: list[Notice]
    endpoints: int
    terms: list[dict[str, Any]]
    lists: Standing
    months: list[dict[str, Any]]
    denials: dict[str, int]
    amounts: dict[str, Any]
    checkpoint: str | None


async def build(database: Database, keyring: Keyring, settings: Settings, *, tenant_id: UUID) -> bytes:
    """The signed document."""
    key = await keyring.signing.active()
    async with database.tenant(tenant_id) as session:
        known = await _known(session, tenant_id)
    said = body_of(known, settings)
    signature = key.sign(FORMAT.encode() + b"\n" + canonical(said))
    signed = {**said, "signature": {"alg": "Ed25519", "kid": key.key_id, "value": signature.hex()}}
    return canonical(signed) + b"\n"


async def _known(session: AsyncSession, tenant_id: UUID) -> Known:
    newest = (
        select(Notice)
        .ext(distinct_on(col(Notice.slug), col(Notice.locale)))
        .order_by(col(Notice.slug), col(Notice.locale), col(Notice.version).desc())
    )
    try:
        checkpoint = (await log.checkpoint(session)).note
    except NotFound:
        checkpoint = None
    return Known(
        tenant=await session.get_one(Tenant, tenant_id),
        notices=list((await session.exec(newest)).all()),
        endpoints=len((await session.exec(select(WebhookEndpoint.id))).all()),
        terms=[
            {
                "class": one.data_class.value,
                "seconds": one.seconds,
                "counted_from": RULES[one.data_class].starts,
                "why": RULES[one.data_class].why if one.version == 0 else "Set by the platform.",
                "goes": RULES[one.data_class].goes,
                "stays": RULES[one.data_class].stays,
            }
            for one in await policies(session, tenant_id)
        ],
        lists=await subprocessors.standing(session),
        months=figures.plain(await figures.months(session)),
        denials=await figures.denials(session),
        amounts=await figures.amounts(session),
        checkpoint=checkpoint,
    )


def body_of(known: Known, settings: Settings) -> dict[str, Any]:
    """What is signed."""
    processor = settings.records
    measures = assessment.measures(
        keys=urlsplit(settings.keys.url).scheme,
        storage=urlsplit(settings.storage.url).scheme,
        cache_seconds=int(settings.keys.cache_seconds),
    )
    recipients = _recipients(known)
    transfers = _transfers(known, settings)
    return {
        "format": FORMAT,
        "tenant": public(Prefix.TENANT, known.tenant.id),
        "platform": known.tenant.name,
        "issuer": settings.api.public_url.rstrip("/"),
        "created_at": now().isoformat(),
        "meaning": "Made from the live configuration and data of this service. Not legal advice.",
        "to_complete": _to_complete(known, settings),
        "controller_record": {
            "article": "GDPR Art. 30(1)",
            "controller": known.tenant.name,
            "activities": [_activity(notice, purpose) for notice in known.notices for purpose in notice.purposes],
            "recipients": recipients,
            "transfers": transfers,
            "retention": known.terms,
            "measures": measures,
        },
        "processor_record": {
            "article": "GDPR Art. 30(2)",
            "processor": processor.name,
            "contact": processor.contact,
            "on_behalf_of": known.tenant.name,
            "processing": list(assessment.PROCESSING),
            "transfers": transfers,
            "measures": measures,
        },
        "impact_assessment": {
            "article": "GDPR Art. 35(7)",
            "description": list(assessment.DESCRIPTION),
            "necessity": list(assessment.NECESSITY),
            "risks": [dict(one) for one in assessment.RISKS],
            "figures": known.amounts,
        },
        "subprocessors": {
            "article": "GDPR Art. 28(2), 28(4)",
            "notice_days": processor.notice_days,
            "current": _listed(known.lists.current),
            "upcoming": _listed(known.lists.upcoming),
            "answer": _answer(known.lists),
        },
        "rights_requests": {
            "article": "GDPR Art. 12(3)",
            "months": known.months,
            "denied_by_exception": known.denials,
        },
        "log": {"checkpoint": known.checkpoint},
    }


def _activity(notice: Notice, purpose: str) -> dict[str, Any]:
    return {
        "purpose": purpose,
        "basis": notice.purposes[purpose],
        "people": PEOPLE,
        "data": CATEGORIES.get(purpose, []),
        "notice": {
            "id": public(Prefix.NOTICE, notice.id),
            "slug": notice.slug,
            "version": notice.version,
            "locale": notice.locale,
            "sha256": notice.text_sha256,
            "retention_days": notice.retention_days,
        },
    }


def _recipients(known: Known) -> list[dict[str, Any]]:
    own = [
        {"who": "the platform itself", "what": "photos, headshots and exports, through its API keys and short links"},
        {"who": f"{known.endpoints} webhook endpoints of the platform", "what": "ids, states and times alone"},
        {"who": "the person themselves", "what": "their own page and export"},
    ]
    entries = [] if known.lists.current is None else known.lists.current.entries
    return own + [{"who": one["name"], "what": one["task"]} for one in entries]


def _transfers(known: Known, settings: Settings) -> dict[str, Any]:
    entries = [] if known.lists.current is None else known.lists.current.entries
    return {
        "region": known.tenant.region,
        "country_of_the_service": settings.records.country,
        "subprocessors": [{"who": one["name"], "to": one["country"], "safeguard": one["safeguard"]} for one in entries],
    }


def _listed(row: SubprocessorList | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "version": row.version,
        "effective_at": row.effective_at.isoformat(),
        "published_at": row.published_at.isoformat(),
        "entries": row.entries,
    }


def _answer(lists: Standing) -> dict[str, Any] | None:
    notice = lists.notice
    if notice is None:
        return None
    return {
        "version": notice.version,
        "told_at": notice.told_at.isoformat(),
        "acknowledged_at": None if notice.acknowledged_at is None else notice.acknowledged_at.isoformat(),
        "objected_at": None if notice.objected_at is None else notice.objected_at.isoformat(),
        "reason_code": notice.reason_code,
    }


def _to_complete(known: Known, settings: Settings) -> list[str]:
    """What the law asks for and this service cannot know."""
    missing = [
        "Contact of the controller, its representative and its data protection officer (Art. 30(1)(a)).",
        "Views of the people concerned or their representatives, where appropriate (Art. 35(9)).",
    ]
    if not known.notices:
        missing.append("Purposes: no notice was published yet (Art. 13, 30(1)(b)).")
    if settings.records.name is None or settings.records.contact is None:
        missing.append("Name and contact of the processor: whoever runs the service sets them (Art. 30(2)(a)).")
    if settings.records.country is None:
        missing.append("The country in which the service runs (Art. 30(1)(e)).")
    if known.lists.current is None:
        missing.append("Sub-processors: whoever runs the service has published no list, not even an empty one.")
    return missing
