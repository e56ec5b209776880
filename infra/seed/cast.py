"""Who is in the story: five platforms of different size and luck."""

from dataclasses import dataclass
from typing import Final

from core.rights.rules import Kind


@dataclass(frozen=True, slots=True)
class Receiver:
    """An endpoint and how it answers. Its host is under `.example`, which no resolver knows.

    fails: of its tries. breaks_on: the day of the story from which it does not answer at all.
    """

    host: str
    fails: float = 0.0
    breaks_on: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A platform. spent: of its credits, when the story ends. share: of all jobs. refuses, dies: of its own jobs."""

    name: str
    region: str
    plan: str
    spent: float
    weight: float
    share: float
    jurisdictions: tuple[str | None, ...]
    receivers: tuple[Receiver, ...] = ()
    refuses: float = 0.04
    dies: float = 0.01
    concurrency: int | None = None
    suspended: bool = False
    waiting: int = 0
    running: int = 0


EU, US = "eu-central", "us-east"
CAST: Final = (
    Part("Northwind Talent", EU, "enterprise", 0.58, 4.0, 0.52, ("DE", "FR", "NL", "GB"),
         (Receiver("hooks.northwind.example"), Receiver("audit.northwind.example", fails=0.06)),
         concurrency=24, waiting=9, running=3),
    Part("Harbour Recruiting", EU, "standard", 0.74, 2.0, 0.24, ("DE", "AT", "IT"),
         (Receiver("api.harbour.example", fails=0.02),), concurrency=8, waiting=3, running=1),
    Part("Fjord People", EU, "standard", 0.96, 1.0, 0.13, ("NO", "SE", "GB"),
         (Receiver("in.fjord.example", breaks_on=21),), refuses=0.09, dies=0.03, concurrency=4,
         waiting=1),
    Part("Bluebonnet Careers", US, "standard", 0.31, 1.0, 0.09, ("US-CA", "US-VA", "US-CO", None),
         (Receiver("events.bluebonnet.example", fails=0.2),), concurrency=4, waiting=2),
    Part("Lumen & Hale", US, "trial", 0.85, 1.0, 0.02, ("BR", "CA-QC", None), (), refuses=0.15, concurrency=2,
         suspended=True),
)  # fmt: skip

REFUSALS: Final = (
    ("not_still_me", "The result was not close enough to the person."),
    ("no_face", "No face was found in the photo."),
    ("several_faces", "The photo shows more than one face."),
    ("face_too_small", "The face is too small in the photo."),
    ("too_dark", "The photo is too dark."),
)
STYLES: Final = ("studio-grey", "charcoal")
STAGES: Final = (("light", 0.18), ("backdrop", 1.35), ("composite", 0.22), ("face_lock", 0.12), ("encode", 0.31))

# Open requests at the end of the story: kind, law's place, days since receipt, and whether it is acknowledged. Between
# them they show every urgency: overdue, due within a day or a week, and at rest.
OPEN_REQUESTS: Final = (
    (0, Kind.ACCESS, "DE", 33, False),
    (0, Kind.ACCESS, "FR", 29.6, True),
    (0, Kind.PORTABILITY, "NL", 24, True),
    (0, Kind.RECTIFICATION, "GB", 4, False),
    (0, Kind.ERASURE, "DE", 2, False),
    (1, Kind.OBJECTION, "DE", 11, True),
    (1, Kind.ACCESS, "IT", 26.5, False),
    (1, Kind.RESTRICTION, "AT", 6, True),
    (2, Kind.ACCESS, "NO", 18, True),
    (3, Kind.ACCESS, "US-CA", 41, True),
    (3, Kind.ERASURE, "US-VA", 9, False),
    (4, Kind.ACCESS, "BR", 16, False),
)
