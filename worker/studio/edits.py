"""The edit ledger: what was done to a picture, region by region, for the manifest and the plain-language card."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.headshots.styles import Retouch, Style
from worker.engine.engine import Model
from worker.studio import backdrop, retouch
from worker.studio.light import Recipe

if TYPE_CHECKING:
    from worker.studio.pipeline import Sitting


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a style's making came to, beside its light.

    Attributes:
        likeness: the still-me gate's figures.
        touched: by the retouch.
        clothes: share of the square whose clothes were generated; None where they are the person's own.
        painter: the model that repainted the backdrop, and clothes where they are generated; None without one.
        sandbox: the sandbox mark was written across.
        corner: share of the square that the platform's visible mark covers; None without one.
        stamped: the invisible mark was laid.
    """

    likeness: dict[str, float]
    touched: retouch.Touched
    clothes: float | None
    painter: Model | None
    sandbox: bool
    corner: float | None
    stamped: bool


def list_edits(sitting: "Sitting", style: Style, recipe: Recipe, done: Done) -> list[dict[str, Any]]:
    """What was done to the picture, region by region, in the order in which it was done."""
    face, person = float(sitting.hull.mean()), float(sitting.matte.alpha.mean())
    scale = sitting.framed.scale
    grading = {
        "gains": [round(gain, 3) for gain in recipe.gains],
        "stops": round(recipe.stops, 3),
        "key_light": round(recipe.strength, 3),
    }
    behind = done.painter if backdrop.repainted(style) else None
    lines: list[dict[str, Any]] = [
        {
            "region": "whole",
            "action": "enlarged" if scale > 1 else "reduced",
            "method": "lanczos" if scale > 1 else "area",
            "source": "own",
            "share": 1.0,
            "factor": round(scale, 3),
        },
        {"region": "face", "action": "light", "source": "own", "share": face, **grading, **done.likeness},
        {"region": "hair_and_body", "action": "light", "source": "own", "share": max(person - face, 0.0), **grading},
        {
            "region": "background",
            "action": "replaced",
            "source": "procedural" if behind is None else "generated",
            "share": 1 - person,
            "style": style.name,
            "style_version": style.version,
            **_model(behind),
        },
    ]
    if sitting.framed.invented > 0:
        lines.append({"region": "edge", "action": "extended", "source": "procedural", "share": sitting.framed.invented})
    if done.sandbox:
        lines.append({"region": "all_but_face", "action": "marked", "source": "mark", "share": 1 - face})
    if done.touched.share > 0:
        lines.insert(1, _retouch_line(done.touched, style.retouch))
    if done.clothes is not None:
        _note_clothes(lines, style, done.clothes, done.painter)
    if done.corner is not None:
        lines.append({"region": "corner", "action": "marked", "source": "mark", "share": done.corner})
    if done.stamped:
        lines.append({"region": "all_but_face", "action": "watermarked", "source": "mark", "share": 1 - face})
    return [{**line, "share": round(line["share"], 4)} for line in lines]


def _retouch_line(touched: retouch.Touched, level: Retouch) -> dict[str, Any]:
    """The line of a retouch: its level, and what is left of texture and tone."""
    return {
        "region": "face",
        "action": "retouched",
        "source": "own",
        "share": touched.share,
        "level": level.value,
        "texture_kept": round(touched.texture, 3),
        "tone_shift": round(touched.tone, 2),
    }


def _note_clothes(lines: list[dict[str, Any]], style: Style, share: float, painter: Model | None) -> None:
    """Say that clothes were generated, and call their own what is left of the body: hair and skin."""
    place = next(place for place, line in enumerate(lines) if line["region"] == "hair_and_body")
    own = lines[place]
    lines[place] = {**own, "region": "hair_and_skin", "share": max(own["share"] - share, 0.0)}
    clothes = {"region": "clothes", "action": "generated", "source": "generated", "share": share}
    lines.insert(place + 1, {**clothes, "attire": style.attire.value, **_model(painter)})


def _model(painter: Model | None) -> dict[str, str]:
    """Which model it was, by its name and one digest over all of its files."""
    return {} if painter is None else {"model": painter.name, "model_sha256": painter.digest}
