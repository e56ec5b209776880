"""Receipts: what a person said, in a form that they can keep and any program can read.

The structure is ISO/IEC TS 27560:2023 (record, processing, parties, events) as the W3C Data Privacy Vocabulary has it
in JSON-LD (https://w3id.org/dpv/guides/consent-27560). The signature is a W3C Data Integrity proof of the suite
`eddsa-jcs-2022`: SHA-256 of the canonical proof options, then SHA-256 of the canonical document, signed by Ed25519.
A receipt names nobody: the person is their random id, and what they signed stays sealed.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.consent.models import Action, Consent, Notice, Purpose
from core.errors import IntegrityError
from core.ids import Prefix, public
from core.keyring.signing_keys import SigningKey
from core.subjects import service as subjects

CONFORMS_TO: Final = "https://w3id.org/dpv/schema/dpv-27560#receipt"
CONTEXT: Final = {
    "dpv": "https://w3id.org/dpv#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "pd": "https://w3id.org/dpv/pd#",
    "dct": "http://purl.org/dc/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "sec": "https://w3id.org/security#",
}

_PURPOSES: Final[Mapping[Purpose, tuple[str, str, tuple[str, ...]]]] = {
    Purpose.HEADSHOT: ("dpv:RequestedServiceProvision", "pd:Picture", ("dpv:Collect", "dpv:Store", "dpv:Transform")),
    Purpose.BIOMETRIC_PROCESSING: ("dpv:RequestedServiceProvision", "pd:Biometric", ("dpv:Analyse",)),
    Purpose.MODEL_TRAINING: ("dpv:ResearchAndDevelopment", "pd:Picture", ("dpv:Use",)),
    Purpose.THIRD_PARTY_SHARING: ("dpv:Purpose", "pd:Picture", ("dpv:Share",)),
    Purpose.EXTENDED_RETENTION: ("dpv:ServiceProvision", "pd:Picture", ("dpv:Store",)),
}
_BASES: Final[Mapping[str, str]] = {
    "consent": "dpv:ExplicitlyExpressedConsent",
    "contract": "dpv:Contract",
    "legitimate_interests": "dpv:LegitimateInterest",
}
_STATUSES: Final[Mapping[str, str]] = {
    Action.GRANTED: "dpv:ConsentGiven",
    Action.WITHDRAWN: "dpv:ConsentWithdrawn",
    Action.DECLINED: "dpv:ConsentRefused",
    Action.OPTED_OUT: "dpv:ConsentRefused",
}

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


async def receipt(session: AsyncSession, entry: Consent, *, root: str) -> dict[str, Any]:
    """The receipt of one entry, without its proof. root: the public address of this service."""
    subject = await subjects.get(session, entry.subject_id)
    notice = None if entry.notice_id is None else await session.get(Notice, entry.notice_id)
    purpose, data, processing = _PURPOSES[Purpose(entry.purpose)]
    entry_id = public(Prefix.CONSENT, entry.id)
    status: dict[str, Any] = {
        "@type": _STATUSES[entry.action],
        "dpv:isIndicatedAtTime": _time(entry.recorded_at),
        "dpv:isIndicatedBy": "dpv:DataSubject",
        "dpv:hasIndicationMethod": entry.channel or "not stated",
        "dpv:isExercisedAt": f"{root}/v1/consents/{entry_id}/withdraw",
    }
    if entry.expires_at is not None:
        status["dpv:hasDuration"] = {"@type": "dpv:UntilTimeDuration", "rdf:value": _time(entry.expires_at)}
    process: dict[str, Any] = {
        "@type": "dpv:Process",
        "dpv:hasPurpose": {"@type": purpose, "dct:title": entry.purpose},
        "dpv:hasPersonalData": [data],
        "dpv:hasProcessing": list(processing),
        "dpv:hasLegalBasis": _BASES[entry.legal_basis],
        "dpv:hasConsentStatus": [status],
        "dpv:hasRight": ["eu-gdpr:A7-3", "eu-gdpr:A17"],
    }
    if notice is not None:
        process["dpv:hasStorageCondition"] = [
            {
                "@type": "dpv:StorageDuration",
                "dpv:hasDuration": {"@type": "dpv:TemporalDuration", "rdf:value": f"P{notice.retention_days}D"},
            }
        ]
        process["dpv:hasNotice"] = {
            "@type": "dpv:ConsentNotice",
            "dct:identifier": public(Prefix.NOTICE, notice.id),
            "dct:hasVersion": str(notice.version),
            "dct:language": entry.locale or notice.locale,
            "sec:digestMultibase": _multibase(_SHA256_MULTIHASH + bytes.fromhex(notice.text_sha256)),
        }
    record: dict[str, Any] = {
        "@type": "dpv:ConsentRecord",
        "dct:identifier": entry_id,
        "dct:created": _time(entry.recorded_at),
        "dpv:hasDataSubject": {"@type": "dpv:DataSubject", "dct:identifier": public(Prefix.SUBJECT, entry.subject_id)},
        "dpv:hasDataController": {
            "@type": "dpv:DataController",
            "dct:identifier": public(Prefix.TENANT, entry.tenant_id),
        },
        "dpv:hasDataProcessor": {"@type": "dpv:DataProcessor", "@id": root},
        "dpv:hasProcess": [process],
    }
    if subject.jurisdiction is not None:
        record["dpv:hasJurisdiction"] = subject.jurisdiction
    return {
        "@context": CONTEXT,
        "@id": f"{root}/v1/consents/{entry_id}/receipt",
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": CONFORMS_TO,
        "dct:identifier": f"receipt-{entry_id}",
        "dct:created": _time(now()),
        "dct:publisher": root,
        "dpv:hasRecordOfActivity": record,
    }


def prove(document: Mapping[str, Any], key: SigningKey, *, root: str) -> dict[str, Any]:
    """The document with its proof. Whoever checks it finds the key by its `kid` under `/.well-known/likeness/keys`."""
    options = {
        "@context": document["@context"],
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "created": _time(now()),
        "verificationMethod": f"{root}/.well-known/likeness/keys#{key.key_id}",
        "proofPurpose": "assertionMethod",
    }
    signature = key.sign(_digest(options) + _digest(document))
    return {**document, "proof": {**options, "proofValue": _multibase(signature)}}


_SHA256_MULTIHASH: Final = b"\x12\x20"


def _digest(value: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(canonical(value)).digest()


def canonical(value: Mapping[str, Any]) -> bytes:
    """The JSON Canonicalization Scheme (RFC 8785) of a value of texts, lists and objects with ASCII names."""
    _require_plain(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _require_plain(value: object) -> None:
    """Numbers are where encoders differ, and beyond ASCII so does the order of names: neither is in a receipt."""
    match value:
        case str():
            return
        case list():
            for entry in value:
                _require_plain(entry)
        case dict():
            for name, entry in value.items():
                if not (isinstance(name, str) and name.isascii()):
                    raise IntegrityError("a name that has no one place in order")
                _require_plain(entry)
        case _:
            raise IntegrityError("a value that has no one encoding")


def _multibase(value: bytes) -> str:
    """Base58-btc with its multibase prefix `z`."""
    number, text = int.from_bytes(value), ""
    while number:
        number, rest = divmod(number, 58)
        text = _BASE58[rest] + text
    return "z" + "1" * (len(value) - len(value.lstrip(b"\0"))) + text


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
