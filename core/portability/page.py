"""The page inside an export: the same data for somebody who would rather look than read. No script, made to print."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final

_STYLE: Final = """
body{font:1rem/1.55 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:2px solid #d8dde5}
p.quiet,td.quiet,figcaption{color:#5b6675;font-size:.9rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem .4rem 0;vertical-align:top;
border-bottom:1px solid #e4e8ee}th{font-weight:600}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,18rem));gap:1rem;margin:1rem 0}
figure{margin:0;break-inside:avoid}img{width:100%;aspect-ratio:1;object-fit:cover;border-radius:.4rem;background:#eef1f5}
li{margin:.2rem 0}code{font-size:.85rem;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:10pt}h2{break-after:avoid}tr{break-inside:avoid}a{color:inherit}}
"""
_PURPOSES: Final[Mapping[str, str]] = {
    "headshot": "Making headshots from your photo",
    "biometric_processing": "Finding your face in the photo",
    "model_training": "Training of models",
    "third_party_sharing": "Sharing with others",
    "extended_retention": "Keeping your pictures longer",
}
_OPENED: Final[Mapping[str, str]] = {
    "photo": "A photo of yours",
    "headshot": "A headshot of yours",
    "identity": "Your name, e-mail and reference",
    "export": "An export of everything",
    "rights_request": "What you wrote in a request",
    "consent": "What was noted when you were asked",
    "import": "What came with you from another platform",
}
# Which picture of a headshot stands for it on the page; the others are linked beneath.
_FIRST: Final = "square_1024"


@dataclass(frozen=True)
class Shown:
    """What the page is made from. rows: the newest rows of each file, oldest first, by the file's name."""

    platform: str
    issuer: str
    at: datetime
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    left_out: Sequence[Mapping[str, str]]


def render(shown: Shown) -> bytes:
    """The page, whole."""
    rows = shown.rows
    sections = (
        ("Who you are here", _person(rows["data/person.json"], rows["data/corrections.json"])),
        ("Your photos", _photos(rows["data/photos.json"])),
        ("What was made of them", _headshots(rows["data/headshots.json"])),
        ("What you were asked, and what you said", _consents(rows["data/consents.json"])),
        ("What was done with your photos", _jobs(rows["data/jobs.json"])),
        ("What you asked for", _requests(rows["data/rights-requests.json"], rows["data/restrictions.json"])),
        ("Who opened what", _openings(rows["data/access-log.json"])),
        ("The rest of this file", _rest(shown)),
    )
    body = "".join(f"<section><h2>{title}</h2>{text}</section>" for title, text in sections)
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Everything that is held of you</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file: data:; "
        "style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><main><h1>Everything that is held of you</h1>"
        f'<p class="quiet">Written for you on {_when(shown.at.isoformat())} by {escape(shown.platform)}, whose '
        f"headshots are made with Likeness at {escape(shown.issuer)}. It is yours: keep it, print it, or take it to "
        f"another platform. Whoever has this file sees all of it, so keep it as you would keep your passport.</p>"
        f"{body}</main></body></html>\n"
    )
    return document.encode()


def _person(people: Sequence[Mapping[str, Any]], corrections: Sequence[Mapping[str, Any]]) -> str:
    (person,) = people
    known = (
        ("Name", person["display_name"]),
        ("E-mail", person["email"]),
        ("What the platform calls you", person["reference"]),
        ("The law that protects you", person["jurisdiction"]),
        ("Known since", _when(person["created_at"])),
    )
    table = _table((), [(escape(name), escape(value)) for name, value in known if value])
    if not corrections:
        return table
    changed = [
        (escape(one["field"].replace("_", " ")), escape(one["before"] or "nothing"), _when(one["replaced_at"]))
        for one in corrections
    ]
    return table + "<p>What stood there before it was corrected:</p>" + _table(("", "was", "until"), changed)


def _photos(photos: Sequence[Mapping[str, Any]]) -> str:
    kept = [
        _figure(
            one["file"],
            f"Uploaded {_when(one['created_at'])}, kept until {_when(one['expires_at'])}. Removed from the file: "
            + escape(", ".join(one["removed_metadata"] or []) or "nothing"),
        )
        for one in photos
        if one["file"]
    ]
    gone = sum(1 for one in photos if not one["file"])
    return _gallery(kept, "There is no photo of you here now.") + _gone(gone, "photo")


def _headshots(headshots: Sequence[Mapping[str, Any]]) -> str:
    kept = []
    for one in headshots:
        files = {variant: name for variant, name in one["files"].items() if name}
        if not files:
            continue
        first = files.get(_FIRST) or next(iter(files.values()))
        others = ", ".join(f'<a href="{escape(name)}">{escape(variant)}</a>' for variant, name in files.items())
        words = " ".join(one["in_words"] or [])
        kept.append(_figure(first, f"{escape(one['style'])}. {escape(words)} Sizes: {others}"))
    gone = sum(1 for one in headshots if not any(one["files"].values()))
    return _gallery(kept, "There is no headshot of you here now.") + _gone(gone, "headshot")


def _consents(consents: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            escape(_PURPOSES.get(one["purpose"], one["purpose"])),
            escape(one["action"].replace("_", " ")),
            _when(one["recorded_at"]),
            escape(str(one["legal_basis"]).replace("_", " ")),
        )
        for one in consents
    ]
    return _table(("for", "you", "on", "basis"), rows)


def _jobs(jobs: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (_when(one["created_at"]), escape(", ".join(one["styles"])), escape(one["state"]), escape(one["reason"] or ""))
        for one in jobs
    ]
    return _table(("asked for on", "styles", "ended", "because"), rows)


def _requests(requests: Sequence[Mapping[str, Any]], restrictions: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            escape(one["kind"].replace("_", " ")),
            _when(one["received_at"]),
            _when(one["due_at"]),
            escape(one["state"]),
            escape(one["details"] or ""),
        )
        for one in requests
    ]
    stood = [
        (f"Nothing was processed ({escape(one['kind'])})", _when(one["imposed_at"]), _when(one["lifted_at"]) or "today")
        for one in restrictions
    ]
    return _table(("for", "received", "answer due before", "state", "your words"), rows) + (
        _table(("", "from", "to"), stood) if stood else ""
    )


def _openings(openings: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            escape(_OPENED.get(one["what"], one["what"])),
            escape(one["why"].replace("_", " ")),
            _when(one["opened_at"]),
            f"<code>{escape(one['actor'])}</code>",
        )
        for one in reversed(openings)
    ]
    return _table(("what", "why", "when", "by"), rows)


def _rest(shown: Shown) -> str:
    reasons: dict[str, list[str]] = {}
    for one in shown.left_out:
        reasons.setdefault(one["why"], []).append(one["what"].replace("_", " "))
    left = [(escape(", ".join(names)), escape(why)) for why, names in reasons.items()]
    return (
        "<p>The folder <code>data</code> holds all of this, and more, for programs; "
        "<code>schema.json</code> says what each field is. <code>manifest.json</code> lists every file with its "
        f"SHA-256 and is signed: with the keys of <code>{escape(shown.issuer)}/.well-known/likeness/keys</code> anyone "
        "can check, by <code>likeness verify-export</code>, that nothing was changed. A long list on this page "
        f"shows its newest entries; the file has all.</p><p>Not in it, and why:</p>{_table((), left)}"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return '<p class="quiet">Nothing.</p>'
    top = "<tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>" if head else ""
    return f"<table>{top}{body}</table>"


def _gallery(figures: Sequence[str], otherwise: str) -> str:
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else f'<p class="quiet">{otherwise}</p>'


def _figure(name: str, caption: str) -> str:
    picture = f'<a href="{escape(name)}"><img src="{escape(name)}" alt=""></a>'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _gone(count: int, what: str) -> str:
    if not count:
        return ""
    said = f"{count} more {what}{'s' if count > 1 else ''}"
    return f'<p class="quiet">{said} reached the end of the term, was refused, or was erased.</p>'


def _when(moment: str | None) -> str:
    return "" if moment is None else f"{datetime.fromisoformat(moment):%d %B %Y, %H:%M} UTC"
