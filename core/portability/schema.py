"""The JSON Schema of the format, made from what `contents` says, so that the two cannot part."""

from typing import Any, Final

from sqlalchemy import JSON, Boolean, DateTime, Float, Integer, LargeBinary

from core.portability.contents import FORMAT, PARTS, Part

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_HEX: Final = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_TEXT: Final = {"type": "string"}
_SHAPES: Final[tuple[tuple[tuple[type, ...], dict[str, Any]], ...]] = (
    ((DateTime,), {"type": "string", "format": "date-time"}),
    ((LargeBinary,), _HEX),
    ((Boolean,), {"type": "boolean"}),
    ((Integer,), {"type": "integer"}),
    ((Float,), {"type": "number"}),
    ((JSON,), {}),
)


def schema() -> dict[str, Any]:
    """One definition per file of an export; `$defs` has them by the file's name."""
    files = {part.file: _file(part.about, _row(part)) for part in PARTS}
    files["data/notices.json"] = _file("The words that you were shown when you were asked.", {"type": "object"})
    files["data/retention.json"] = _file("How long each class of data is kept, and what goes then.", {"type": "object"})
    signed = {"type": "object", "required": ["checkpoint"], "properties": {"checkpoint": _TEXT}}
    files["data/log.json"] = _file("The signed state of the log.", signed)
    files["manifest.json"] = _manifest()
    return {"$schema": _DRAFT, "title": FORMAT, "$defs": files}


def _file(about: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": about,
        "type": "object",
        "required": ["format", "about", "data"],
        "properties": {"format": {"const": FORMAT}, "about": _TEXT, "data": {"type": "array", "items": row}},
    }


def _row(part: Part) -> dict[str, Any]:
    table = part.model.__table__  # type: ignore[attr-defined]  # SQLModel sets it
    properties: dict[str, Any] = {}
    for name in part.columns():
        shape = _shape(table.c[name])
        properties[name] = {"anyOf": [shape, {"type": "null"}]} if table.c[name].nullable else shape
    properties |= {name: {} for name in part.adds}
    return {"type": "object", "required": sorted(properties), "properties": properties, "additionalProperties": False}


def _shape(column: Any) -> dict[str, Any]:
    kind = getattr(column.type, "impl", column.type)
    return next((shape for types, shape in _SHAPES if isinstance(kind, types)), _TEXT)


def _manifest() -> dict[str, Any]:
    entry = {
        "type": "object",
        "required": ["name", "media_type", "bytes", "sha256"],
        "properties": {"name": _TEXT, "media_type": _TEXT, "bytes": {"type": "integer"}, "sha256": _HEX},
        "additionalProperties": False,
    }
    omitted = {
        "type": "object",
        "required": ["what", "why"],
        "properties": {"what": _TEXT, "why": _TEXT},
        "additionalProperties": False,
    }
    signature = {
        "type": "object",
        "required": ["alg", "kid", "value"],
        "properties": {"alg": {"const": "Ed25519"}, "kid": _TEXT, "value": _HEX},
        "additionalProperties": False,
    }
    facts = ("export", "request", "subject", "tenant", "platform", "issuer")
    properties: dict[str, Any] = {
        "format": {"const": FORMAT},
        **dict.fromkeys(facts, _TEXT),
        "created_at": {"type": "string", "format": "date-time"},
        "entries": {"type": "array", "items": entry},
        "left_out": {"type": "array", "items": omitted},
        "signature": signature,
    }
    return {
        "description": "What is in the file, signed.",
        "type": "object",
        "required": sorted(properties),
        "properties": properties,
        "additionalProperties": False,
    }
