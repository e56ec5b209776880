"""The records on paper: the same data as the signed file, in plain HTML that prints. It proves nothing by itself."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
body{font:1rem/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:2px solid #d8dde5}h3{font-size:1rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0}td,th{text-align:left;vertical-align:top;
padding:.35rem .6rem .35rem 0;border-bottom:1px solid #e4e8ee;overflow-wrap:break-word}
th{font-weight:600}table table td,table table th{font-size:.9rem;border-bottom:0}code{overflow-wrap:anywhere}
p.quiet{color:#5b6675;font-size:.9rem}ul{margin:.3rem 0;padding-left:1.2rem}
@media print{body{margin:0;max-width:none;font-size:10pt}h2{break-after:avoid}tr{break-inside:avoid}}
"""
# The signed file has its names in the order of the alphabet; people read what a row is about first.
_FIRST: Final = (
    "purpose",
    "class",
    "risk",
    "month",
    "who",
    "what",
    "name",
    "article",
    "controller",
    "processor",
    "description",
    "basis",
    "to",
    "seconds",
    "version",
    "received",
    "in_time",
    "late",
)
_LONG: Final = 40
_TITLES: Final = {
    "to_complete": "To be completed by you",
    "controller_record": "Record of processing activities, as controller",
    "processor_record": "Record of processing activities, as processor",
    "impact_assessment": "Inputs for the impact assessment",
    "subprocessors": "Sub-processors",
    "rights_requests": "How requests of people were answered",
}


def render(document: bytes) -> bytes:
    """The page of a signed document."""
    found: dict[str, Any] = json.loads(document)
    sections = "".join(
        f"<section><h2>{title}</h2>{_shown(found[name])}</section>" for name, title in _TITLES.items() if found[name]
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Records of processing</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>Records of processing: {escape(found['platform'])}</h1>"
        f'<p class="quiet">{escape(found["meaning"])} Made on {escape(found["created_at"])} by '
        f"{escape(found['issuer'])}. This page proves nothing by itself: the signed file does, and "
        f"<code>likeness verify-records</code> checks it. Signed by {escape(found['signature']['kid'])}.</p>"
        f"{sections}</main></body></html>\n"
    )
    return text.encode()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return _members(value)
    if isinstance(value, list):
        return _list(value)
    if value is None:
        return '<span class="quiet">none</span>'
    text = str(value)
    if " " in text:
        return escape(text)
    return f"<code>{escape(text)}</code>" if len(text) > _LONG else escape(text.replace("_", " "))


def _members(value: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{_name(name)}</th><td>{_shown(value[name])}</td></tr>" for name in _ordered(value))
    return f"<table>{rows}</table>" if rows else '<span class="quiet">none</span>'


def _list(value: list[Any]) -> str:
    if not value:
        return '<span class="quiet">none</span>'
    if all(isinstance(one, Mapping) and set(one) == set(value[0]) for one in value):
        names = _ordered(value[0])
        head = "".join(f"<th>{_name(name)}</th>" for name in names)
        rows = "".join("<tr>" + "".join(f"<td>{_shown(row[name])}</td>" for name in names) + "</tr>" for row in value)
        return f"<table><tr>{head}</tr>{rows}</table>"
    return "<ul>" + "".join(f"<li>{_shown(one)}</li>" for one in value) + "</ul>"


def _ordered(names: Mapping[str, Any]) -> list[str]:
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def _name(name: str) -> str:
    return escape(name.replace("_", " "))
