"""How the console says numbers, times and states: one way for each, on every page.

Times are UTC and say so. A state is a word before it is a colour. Text that came from outside is shown by `plain`
wherever Streamlit would read Markdown.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Tone = Literal["red", "orange", "green", "blue", "gray"]

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=@/\"'])")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def plain(text: object) -> str:
    """Text for a place where Markdown is read: every sign stands for itself, and a line stays a line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def cell(text: object) -> str:
    """Text for a CSV cell. A spreadsheet would run what begins like a formula, so that gets an apostrophe."""
    written = "" if text is None else str(text)
    return f"'{written}" if written.startswith(_FORMULA) else written


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


def moment(at: datetime | None, *, none: str = "–") -> str:
    """26 Nov 2026, 14:03 UTC."""
    return none if at is None else f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def day(at: datetime | None, *, none: str = "–") -> str:
    """26 Nov 2026."""
    return none if at is None else f"{at.astimezone(UTC):%-d %b %Y}"


def span(seconds: float | timedelta | None, *, none: str = "–") -> str:
    """A length of time in at most two units: 350 ms, 4.2 s, 3 min 20 s, 2 h 5 min, 3 d 4 h, 45 d, 3 y (of 365 d)."""
    if seconds is None:
        return none
    left = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if left < 10:  # noqa: PLR2004 (below ten seconds a tenth still says something)
        return f"{left * 1000:.0f} ms" if left < 1 else f"{left:.1f} s"
    whole = round(left)
    if whole >= _YEAR and whole % _YEAR == 0:
        return f"{whole // _YEAR} y"
    if whole < _MINUTE or whole >= 10 * _DAY:
        return f"{whole} s" if whole < _MINUTE else f"{whole // _DAY} d"
    units = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s"))
    return next(_two(whole, *unit) for unit in units if whole >= unit[0])


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def rough(seconds: float) -> str:
    """A length of time in one unit."""
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds)} s"


def ago(at: datetime | None, *, none: str = "never") -> str:
    """3 min ago, or in 2 d."""
    if at is None:
        return none
    seconds = (now() - at).total_seconds()
    return f"{rough(seconds)} ago" if seconds >= 0 else f"in {rough(-seconds)}"


def count(number: float | None, *, none: str = "–") -> str:
    """12,345."""
    return none if number is None else f"{number:,.0f}"


def counted(number: int, thing: str, things: str | None = None) -> str:
    """1 job, 3 jobs."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def share(part: float, whole: float) -> str:
    """37 %."""
    return "–" if not whole else f"{100 * part / whole:.0f} %"


def slug(text: str) -> str:
    """A text as part of a name: jobs-at-work."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def title(word: str) -> str:
    """A code as words: `worker_died` is Worker died."""
    words = word.replace("_", " ").replace(".", " ").strip()
    return words[:1].upper() + words[1:]


@dataclass(frozen=True, slots=True)
class Urgency:
    """How pressing a date is: a tone, a sign and a sentence, so that it is never the colour alone."""

    tone: Tone
    sign: str
    text: str

    @property
    def badge(self) -> str:
        """For a badge or a cell."""
        return f"{self.sign} {self.text}"


def urgency(due_at: datetime | None, *, closed: bool = False) -> Urgency:
    """Red when it is over, orange within a week, green before that."""
    if closed or due_at is None:
        return Urgency("gray", "✓" if closed else "·", "Closed" if closed else "No date")
    left = (due_at - now()).total_seconds()
    if left < 0:
        return Urgency("red", "▲", f"Overdue by {rough(-left)}")
    if left < _DAY:
        return Urgency("red", "◆", f"Due in {rough(left)}")
    if left < 7 * _DAY:
        return Urgency("orange", "◆", f"Due in {rough(left)}")
    return Urgency("green", "●", f"Due in {rough(left)}")


# What a state's word looks like. A state that is not known is gray, and still readable.
TONES: Final[dict[str, tuple[Tone, str]]] = {
    **dict.fromkeys(("done", "delivered", "completed", "erased", "certified", "active", "enabled"), ("green", "●")),
    **dict.fromkeys(("approved", "executed", "ok", "well", "live", "released", "verified"), ("green", "●")),
    **dict.fromkeys(
        ("running", "pending", "received", "checking", "in_progress", "draining", "proposed"), ("blue", "◐")
    ),
    **dict.fromkeys(("refused", "denied", "suspended", "disabled", "unverified", "stuck", "late"), ("orange", "◆")),
    **dict.fromkeys(("failed", "dead_letter", "overdue", "broken", "down", "destroyed"), ("red", "▲")),
    **dict.fromkeys(("cancelled", "expired", "withdrawn", "superseded", "retired", "gone", "closed"), ("gray", "○")),
}


def state(word: str) -> str:
    """● Done."""
    return f"{TONES.get(word, ('gray', '○'))[1]} {title(word)}"


def tone(word: str) -> Tone:
    """The tone of a state."""
    return TONES.get(word, ("gray", "○"))[0]
