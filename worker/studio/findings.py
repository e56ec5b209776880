"""What the face check tells: a verdict, findings with stable codes, and coarse scores. No face is described."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Refused(Exception):
    """The studio will not make a headshot, and says why in words that the person can act on.

    Neither text carries personal data: both may reach callers, logs and screens.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Severity(StrEnum):
    """`refuse`: no headshot can be made. `advise`: one can, and would be better with another photo."""

    REFUSE = "refuse"
    ADVISE = "advise"


class Verdict(StrEnum):
    """Whether a headshot can be made from the photo."""

    READY = "ready"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the photo. `code` is stable; `message` is a sentence for the person in it."""

    code: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class FaceReport:
    """The result of the face check.

    Attributes:
        findings: what is wrong or could be better, worst first.
        measures: coarse figures: `faces`, `eye_distance_px`, `sharpness` 0..1, `brightness` 0..1, `turn_degrees`.
    """

    findings: tuple[Finding, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Refused as soon as one finding refuses."""
        return Verdict.REFUSED if self.refusals else Verdict.READY

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that refuse."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.REFUSE)

    def public(self) -> dict[str, Any]:
        """What may be kept and shown, as JSON types: verdict, findings, coarse scores. No coordinate, no template."""
        return {
            "verdict": self.verdict.value,
            "findings": [{"code": f.code, "severity": f.severity.value, "message": f.message} for f in self.findings],
            "scores": {name: round(value, 2) for name, value in self.measures.items()},
        }
