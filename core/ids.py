"""Identifiers: UUIDv7 inside, type-prefixed text at the edge.

`sub_0199b3c4…` is the 32 hexadecimal digits of the UUID after a prefix that says what it names, so that an id
pasted into the wrong place is noticed. Ids are random enough not to be guessed (74 random bits, RFC 9562), but no
rule relies on that: row-level security does.
"""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from uuid_utils.compat import uuid7

from core.errors import NotFound

_TEXT = re.compile(r"([a-z]{2,4})_([0-9a-f]{32})")


class Prefix(StrEnum):
    """What an id names."""

    TENANT = "ten"
    API_KEY = "key"
    NOTICE = "ntc"
    SUBJECT = "sub"
    CONSENT = "cns"
    PHOTO = "pho"
    JOB = "job"
    HEADSHOT = "hs"
    PREVIEW = "pvw"
    ASSET = "ast"
    ENDPOINT = "whe"
    EVENT = "evt"
    DELIVERY = "whd"
    RIGHTS_REQUEST = "rr"
    ERASURE = "ers"  # of a subject, whose id it shares: there is at most one
    CERTIFICATE = "ec"
    EXPORT = "exp"
    IMPORT = "imp"
    AUDIT_ENTRY = "aud"
    OPERATOR = "opr"
    INVITATION = "inv"
    APPROVAL = "apr"
    LEGAL_HOLD = "hld"
    SIMULATION = "sim"
    WORKER = "wrk"


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid7()


def first_id_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment: ids made before it sort below, later ones not (RFC 9562, section 5.7)."""
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=(milliseconds & (2**48 - 1)) << 80)


def public(prefix: Prefix, value: UUID) -> str:
    """The id as the outside sees it."""
    return f"{prefix.value}_{value.hex}"


def parse(prefix: Prefix, text: str) -> UUID:
    """The UUID in a public id. Other text names nothing here, so it is `NotFound`, just like an unknown id."""
    found = _TEXT.fullmatch(text)
    if found is None or found[1] != prefix.value:
        raise NotFound
    return UUID(hex=found[2])
