"""Types that several wire schemas share. Examples are invented; no real person's data is among them."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import HeaderParameter, QueryParameter
from msgspec import Meta, Struct

from core.clock import now
from core.errors import ValidationFailed

# PostgreSQL takes no NUL in text, and a label takes no control characters at all.
_LINE = r"^[^\x00-\x1f\x7f]*$"
_LINES = r"^[^\x00]*$"

Label = Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE)]
Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=_LINE,
        description="Your own name for the person. Sealed; found only through a keyed index.",
        examples=["employee-4711"],
    ),
]
PersonName = Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE, examples=["Robin Sample"])]
Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$", examples=["robin@sample.example"])
]
Jurisdiction = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
        description="ISO 3166-1 country, or 3166-2 subdivision, whose law protects the person.",
        examples=["DE", "US-IL"],
    ),
]
# An optional parameter that is sent is a text or a number; null is only what our handlers see when it is not.
PLAIN_TEXT: dict[str, Any] = {"one_of": None, "type": OpenAPIType.STRING}
PLAIN_NUMBER: dict[str, Any] = {"one_of": None, "type": OpenAPIType.INTEGER}

Text = Annotated[str, Meta(min_length=1, max_length=50_000, pattern=_LINES)]
ExpiresAfter = Annotated[
    int,
    Meta(
        ge=1,
        description="Seconds until it is erased. May only shorten the tenant's own term.",
        examples=[86_400],
    ),
]
AwareTime = Annotated[datetime, Meta(tz=True, examples=["2027-01-31T12:00:00Z"])]

Wait = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        required=False,
        max_length=100,
        schema_extra=PLAIN_TEXT,
        description="`wait=5` holds the answer for that many seconds (at most 20) until the work is done.",
    ),
]
Filter = Annotated[
    str | None,
    QueryParameter(required=False, max_length=64, schema_extra=PLAIN_TEXT, description="Only those of this subject."),
]

LONGEST_FUTURE = timedelta(days=3650)


def in_future(moment: datetime | None, *, field: str) -> datetime | None:
    """The moment, if it lies ahead, within ten years. Raises `ValidationFailed`."""
    if moment is not None and not now() < moment < now() + LONGEST_FUTURE:
        raise ValidationFailed(errors=[{"field": field, "message": "Expected a time in the next ten years."}])
    return moment


class Erasure(Struct, frozen=True, kw_only=True):
    """How far the erasure of a subject has come."""

    id: Annotated[
        str, Meta(examples=["ers_0199b3c4d5e67f8090a1b2c3d4e5f607"], description="See GET /v1/erasures/{id}.")
    ]
    subject_id: Annotated[str, Meta(examples=["sub_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    state: Annotated[
        str,
        Meta(
            description="`shredded`: the key is destroyed, nothing can be read again. "
            "`erased`: ciphertext and rows are gone as well.",
            examples=["shredded"],
        ),
    ]
    shredded_at: datetime
    erased_at: datetime | None
    objects_deleted: int
