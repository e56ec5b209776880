"""What a consent must look like to count, by purpose, by law and by age. No database, no clock."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from core.consent.models import Channel, Purpose
from core.errors import GuardianRequired, Unacceptable, WrittenReleaseRequired

# These rest on nothing but the person's own yes, whatever the tenant would like (GDPR Art. 9(2)(a); BIPA §15(b)).
ALWAYS_CONSENT: Final = frozenset({Purpose.BIOMETRIC_PROCESSING, Purpose.MODEL_TRAINING, Purpose.THIRD_PARTY_SHARING})

# What an opt-out of sale and sharing is about (Cal. Civ. Code § 1798.120).
SALE_OR_SHARING: Final = frozenset({Purpose.THIRD_PARTY_SHARING})

# "Wait for at least 12 months" (Cal. Civ. Code § 1798.135(c)(4)): no twelve months have more days than this.
NO_ASKING_FOR: Final = timedelta(days=366)

# Where a yes to biometric processing has to be a written release that states the specific purpose and the length of
# the term: 740 ILCS 14/15(b); an electronic signature is one (740 ILCS 14/10).
WRITTEN_RELEASE: Final = frozenset({"US-IL"})


@dataclass(frozen=True, slots=True)
class Release:
    """A written release. term_days: how long the biometric data is kept, as the person read it."""

    purpose: str
    term_days: int
    signature: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attestation:
    """How old the person is said to be, and who says yes for a minor (GDPR Art. 8).

    minor: whether the person is below the age of consent where they live. guardian: for a minor, who agreed and how
    that was checked.
    """

    minor: bool
    guardian: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How the person was asked: in which language, where, what they saw, what they signed, how old they are."""

    locale: str | None = None
    channel: Channel | None = None
    presentation: dict[str, Any] | None = None
    release: Release | None = None
    attestation: Attestation | None = None


def require_form(circumstances: Circumstances, *, purpose: Purpose, jurisdiction: str | None, term_days: int) -> None:
    """Raise `WrittenReleaseRequired`, `GuardianRequired` or `Unacceptable` unless this yes has the form it needs.

    term_days: the term of the notice, which a release may not understate or overstate.
    """
    release, attestation = circumstances.release, circumstances.attestation
    if purpose is Purpose.BIOMETRIC_PROCESSING and jurisdiction in WRITTEN_RELEASE and release is None:
        raise WrittenReleaseRequired(jurisdiction=jurisdiction)
    if release is not None and release.term_days != term_days:
        raise Unacceptable("The release states another term than the notice.", term_days=term_days)
    if attestation is not None and attestation.minor and not attestation.guardian:
        raise GuardianRequired
