"""How a person was asked, as the caller tells it: what they saw, what they signed, how old they are."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from api.wire import AwareTime, Label, PersonName
from core.consent.models import Channel
from core.consent.policy import Attestation, Circumstances, Release

Locale = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", examples=["de-CH"])]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Details = Annotated[dict[str, Any], Meta(description="Sealed under the person's key.")]


class Signature(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a release was signed."""

    method: Literal["typed_name", "drawn", "click", "qualified_electronic", "ink"]
    signed_at: AwareTime
    name: PersonName | None = None
    evidence_sha256: Annotated[Sha256 | None, Meta(description="Of the signed document or drawing that you keep.")] = (
        None
    )


class NewRelease(Struct, kw_only=True, forbid_unknown_fields=True):
    """A written release, as laws on biometrics ask for (740 ILCS 14/15(b))."""

    purpose: Annotated[Label, Meta(description="The specific purpose, as the person read it.")]
    term_days: Annotated[
        int, Meta(ge=1, le=36_500, description="How long the data is kept, as the person read it: the notice's term.")
    ]
    signature: Signature

    def as_told(self) -> Release:
        """The same, as `core.consent` takes it."""
        return Release(purpose=self.purpose, term_days=self.term_days, signature=msgspec.to_builtins(self.signature))


class Guardian(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who said yes for a minor."""

    relationship: Annotated[Label, Meta(examples=["parent"])]
    name: PersonName | None = None
    verified_by: Annotated[Label | None, Meta(description="How that was checked (GDPR Art. 8(2)).")] = None


class NewAttestation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How old the person is said to be."""

    minor: Annotated[bool, Meta(description="Whether they are below the age of consent where they live.")]
    guardian: Guardian | None = None

    def as_told(self) -> Attestation:
        """The same, as `core.consent` takes it."""
        return Attestation(minor=self.minor, guardian=msgspec.to_builtins(self.guardian))


class Asked(Struct, kw_only=True, forbid_unknown_fields=True):
    """The circumstances that a record of consent may carry."""

    locale: Annotated[Locale | None, Meta(description="The language of the asking; else the notice's.")] = None
    channel: Annotated[
        Literal["web_form", "mobile_app", "kiosk", "in_person", "paper", "phone"] | None,
        Meta(description="Where they were asked."),
    ] = None
    presentation: Annotated[
        Details | None, Meta(description="How it was shown.", examples=[{"page": "onboarding", "layout": "one by one"}])
    ] = None
    release: NewRelease | None = None
    attestation: NewAttestation | None = None

    def circumstances(self) -> Circumstances:
        """The same, as `core.consent` takes it."""
        release, attestation = self.release, self.attestation
        return Circumstances(
            locale=self.locale,
            channel=Channel(self.channel) if self.channel else None,
            presentation=self.presentation,
            release=release.as_told() if release else None,
            attestation=attestation.as_told() if attestation else None,
        )
