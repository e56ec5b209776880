"""What an erasure certificate says, and the bytes that it is.

The file is one JSON object in canonical form (RFC 8785; here that is sorted names, no spaces and no numbers but whole
ones) and a newline. `infra/verify_certificate.py` checks it and says how; it shares no line with this module.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from core.audit.log import Inclusion
from core.ids import Prefix, public
from core.keyring.signing_keys import SigningKey
from core.rights.models import Departure, ErasureCertificate, ErasureReceiver, Tombstone
from core.rights.tables import eraser_of, tables_of_people

FORMAT = "likeness.erasure-certificate.v1"
LEAF_KIND = "erasure.certified"
TENANT_FORMAT = "likeness.tenant-erasure-certificate.v1"
TENANT_LEAF_KIND = "tenant.erased"
HORIZON_FORMAT = "likeness.backup-horizon.v1"
HORIZON_LEAF_KIND = "erasure.horizon_passed"

# What the tables do not declare, because no row of theirs belongs to a person.
_ALWAYS_LEFT: tuple[tuple[str, str], ...] = (
    (
        "random ids",
        "The person's random id stands in past events and deliveries, and here. It leads to nothing any more.",
    ),
    ("copies elsewhere", "What the platform downloaded is in the platform's hands; see receivers."),
    (
        "unfinished objects",
        "An upload that was cut off may have left bytes under a key that was never kept; swept away within hours.",
    ),
)
_BACKUPS = (
    "Copies of the key store that were made before the key was destroyed may still hold it, wrapped under this or an "
    "earlier version of the tenant's key. They can be opened until that version is destroyed and those copies are gone."
)

_HORIZON = (
    "The time that a copy of the key store may live has passed since the key was destroyed, every backup from before "
    "that this service knows of is gone, and so is every version of the tenant's key that the key was wrapped under. "
    "What this cannot see is a copy that somebody kept in secret beyond its time, together with the root key."
)


def body_of(
    certificate: ErasureCertificate,
    tombstone: Tombstone,
    receivers: Sequence[ErasureReceiver],
    *,
    kept: Mapping[str, int],
    key_version: int,
    issued_at: datetime,
) -> dict[str, Any]:
    """What is certified: ids, counts and times.

    kept: table → rows of the person that stay. key_version: the tenant's key version that the wrap may have been under,
    at the latest.
    """
    how = {table.name: eraser_of(table) for table in tables_of_people()}
    removed = tombstone.removed
    return {
        "format": FORMAT,
        "id": public(Prefix.CERTIFICATE, certificate.id),
        "tenant": public(Prefix.TENANT, tombstone.tenant_id),
        "subject": public(Prefix.SUBJECT, tombstone.subject_id),
        "shredded_at": _time(tombstone.shredded_at),
        "erased_at": _time(tombstone.erased_at),
        "issued_at": _time(issued_at),
        "steps": dict(tombstone.steps),
        "erased": {
            "keys": [
                {
                    "class": "subject key",
                    "id": public(Prefix.SUBJECT, tombstone.subject_id),
                    "count": removed.get("keys", {}).get("subject", 0),
                    "destroyed_at": _time(tombstone.shredded_at),
                }
            ],
            "objects": [{"class": kind, "count": count} for kind, count in sorted(removed.get("objects", {}).items())],
            "rows": [
                {"table": name, "how": how[name].how, "columns": sorted(how[name].columns), "count": count}
                for name, count in sorted(removed.get("rows", {}).items())
            ],
            "jobs_stopped": removed.get("jobs", {}).get("stopped", 0),
        },
        "scans": list(tombstone.scans or []),
        "receivers": [
            {
                "endpoint": public(Prefix.ENDPOINT, receiver.endpoint_id),
                "told_at": _time(receiver.told_at),
                "confirmed_at": _time(receiver.confirmed_at),
            }
            for receiver in receivers
        ],
        "backups": {"state": "pending", "tenant_key_version": key_version, "meaning": _BACKUPS},
        "residues": [
            *({"what": name, "count": count, "why": how[name].why} for name, count in sorted(kept.items()) if count),
            *({"what": what, "count": None, "why": why} for what, why in _ALWAYS_LEFT),
        ],
    }


def tenant_body_of(
    departure: Departure, *, kept: Mapping[str, int], key_version: int, issued_at: datetime
) -> dict[str, Any]:
    """What is certified of a tenant that left. kept: table → rows that stay. key_version: its newest, and its last."""
    if departure.certificate_id is None:
        raise ValueError("a certificate has an id")
    how = {table.name: eraser_of(table) for table in tables_of_people(and_platforms=True)}
    removed = departure.removed
    classes = {name.removeprefix("objects."): n for name, n in removed.items() if name.startswith("objects.")}
    return {
        "format": TENANT_FORMAT,
        "id": public(Prefix.CERTIFICATE, departure.certificate_id),
        "tenant": public(Prefix.TENANT, departure.tenant_id),
        "shredded_at": _time(departure.shredded_at),
        "erased_at": _time(departure.erased_at),
        "issued_at": _time(issued_at),
        "steps": dict(departure.steps),
        "archive": {"sha256": departure.archive_sha256, "taken_at": _time(departure.archived_at)},
        "erased": {
            "keys": [
                {"class": "tenant key", "count": removed.get("keys", 0), "destroyed_at": _time(departure.shredded_at)}
            ],
            "people": removed.get("people", 0),
            "objects": [{"class": kind, "count": count} for kind, count in sorted(classes.items())],
            "unfinished_objects": removed.get("orphans", 0),
            "endpoints": removed.get("endpoints", 0),
            "deliveries": removed.get("deliveries", 0),
            "api_keys_revoked": removed.get("api_keys", 0),
        },
        "scans": list(departure.scans or []),
        "backups": {"state": "pending", "tenant_key_version": key_version, "meaning": _BACKUPS},
        "residues": [
            *({"what": name, "count": count, "why": how[name].why} for name, count in sorted(kept.items()) if count),
            *({"what": what, "count": None, "why": why} for what, why in _ALWAYS_LEFT),
        ],
    }


@dataclass(frozen=True)
class Passed:
    """What a second part is about. certificate, document: the first part. subject_id: None for a whole tenant."""

    certificate_id: UUID
    document: bytes
    tenant_id: UUID
    subject_id: UUID | None
    shredded_at: datetime


def horizon_body_of(passed: Passed, *, second_id: UUID, version: int, days: int, passed_at: datetime) -> dict[str, Any]:
    """The second part of a certificate. version: of the tenant's key; it and all before it are destroyed."""
    body = {
        "format": HORIZON_FORMAT,
        "id": public(Prefix.CERTIFICATE, second_id),
        "certificate": public(Prefix.CERTIFICATE, passed.certificate_id),
        "sha256": hashlib.sha256(passed.document).hexdigest(),
        "tenant": public(Prefix.TENANT, passed.tenant_id),
        "shredded_at": _time(passed.shredded_at),
        "horizon_days": days,
        "passed_at": _time(passed_at),
        "issued_at": _time(passed_at),
        "tenant_key_version": version,
        "copies_held": 0,
        "meaning": _HORIZON,
    }
    return body if passed.subject_id is None else {**body, "subject": public(Prefix.SUBJECT, passed.subject_id)}


def facts_of(certificate: ErasureCertificate) -> dict[str, str]:
    """What the log's leaf commits to."""
    digest = hashlib.sha256(canonical(certificate.body)).hexdigest()
    return {"certificate": certificate.id.hex, "digest": digest}


def document_of(certificate: ErasureCertificate, proved: Inclusion, *, leaf: bytes, key: SigningKey) -> bytes:
    """The signed file. Raises ValueError for a leaf whose salt is gone."""
    return sign(FORMAT, certificate.body, proved, leaf=leaf, key=key)


def sign(form: str, body: Mapping[str, Any], proved: Inclusion, *, leaf: bytes, key: SigningKey) -> bytes:
    """A body of this format, with the log's proof of it, signed. Raises ValueError for a leaf whose salt is gone."""
    if proved.entry.salt is None:
        raise ValueError("without its salt the leaf proves nothing")
    said = {
        "certificate": body,
        "log": {
            "entry": leaf.decode(),
            "number": proved.entry.number,
            "salt": proved.entry.salt.hex(),
            "proof": [step.hex() for step in proved.proof],
            "checkpoint": proved.checkpoint.note,
        },
    }
    signature = key.sign(form.encode() + b"\n" + canonical(said))
    signed = {**said, "signature": {"alg": "Ed25519", "kid": key.key_id, "value": signature.hex()}}
    return canonical(signed) + b"\n"


def canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785 for ASCII names and whole numbers, which is all that a certificate holds."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
