"""A platform's own styles: its colours and light on one of the studio's backdrops.

A published version never changes; publishing the same name again makes the next one. A job keeps the versions that it
was asked with, so that a whole team's pictures match however long the line is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import col, func, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.errors import NotFound, UnknownStyle, ValidationFailed
from core.headshots import visible_marks
from core.headshots.models import BrandStyle
from core.headshots.styles import CATALOGUE, COLOURS, Backdrop, Light, Retouch, Style

NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
COLOUR = r"^#[0-9a-fA-F]{6}$"
STRONGEST_LIGHT, WIDEST_WRAP = 0.1, 0.5

# What a diffusion model is asked for: a phrase for the place, to which the style's main colour and its light are added.
_PLACES: Mapping[Backdrop, str] = {
    Backdrop.PAPER: "seamless paper studio backdrop",
    Backdrop.SPOTLIGHT: "spotlight on a wall",
    Backdrop.CANVAS: "hand painted canvas",
    Backdrop.WINDOW: "modern bright office with large window strongly out of focus",
    Backdrop.FOLIAGE: "park foliage strongly out of focus",
    Backdrop.CITY: "city at dusk strongly out of focus",
    Backdrop.PLAIN: "plain studio paper backdrop",
    Backdrop.GRADIENT: "smooth gradient",
    Backdrop.SUNLIT: "window light on a wall",
    Backdrop.OFFICE: "modern office interior strongly out of focus",
}
_SIDES = ("from the right", "from the upper right", "from above", "from the upper left", "from the left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A brand style to publish. The fields are those of `core.headshots.styles.Style`; mark: name of a visible mark."""

    name: str
    title: str
    description: str
    backdrop: Backdrop
    palette: tuple[str, ...]
    light: Light
    retouch: Retouch
    mark: str | None = None


async def publish(session: AsyncSession, *, tenant_id: UUID, actor: str, draft: Draft) -> BrandStyle:
    """Publish the next version of a brand style. Raises `ValidationFailed` and `UnknownMark`."""
    _require_valid(draft)
    name, light = draft.name, draft.light
    mark = None if draft.mark is None else await visible_marks.named(session, draft.mark)
    # The lock makes versions a sequence without holes when two are published at once.
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(f"{tenant_id}/style/{name}"))))
    newest = (await session.exec(select(func.max(BrandStyle.version)).where(BrandStyle.name == name))).one()
    row = BrandStyle(
        tenant_id=tenant_id,
        name=name,
        version=(newest or 0) + 1,
        title=draft.title,
        description=draft.description,
        backdrop=draft.backdrop.value,
        palette=[colour.lower() for colour in draft.palette],
        azimuth=light.azimuth,
        strength=light.strength,
        wrap=light.wrap,
        retouch=draft.retouch.value,
        mark_id=None if mark is None else mark.id,
    )
    session.add(row)
    await session.flush()
    await audit.append(
        session,
        tenant_id=tenant_id,
        kind="style.published",
        actor=actor,
        facts={"style": row.id.hex, "version": row.version},
    )
    return row


async def get(session: AsyncSession, style_id: UUID) -> BrandStyle:
    """One version, or `NotFound`."""
    found = await session.get(BrandStyle, style_id)
    if found is None:
        raise NotFound
    return found


async def newest(session: AsyncSession) -> list[BrandStyle]:
    """The newest version of each of the tenant's styles, by name."""
    latest = select(BrandStyle.name, func.max(BrandStyle.version)).group_by(col(BrandStyle.name))
    query = select(BrandStyle).where(tuple_(BrandStyle.name, BrandStyle.version).in_(latest)).order_by(BrandStyle.name)
    return list((await session.exec(query)).all())


async def resolve(session: AsyncSession, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The brand styles among these names, as a job keeps them: name → look.

    Raises:
        UnknownStyle: a name is neither built in nor the tenant's own; all that exist are in `extra["styles"]`.
    """
    asked = [name for name in names if name not in CATALOGUE]
    if not asked:
        return {}
    own = {row.name: row for row in await newest(session)}
    if not own.keys() >= set(asked):
        raise UnknownStyle(styles=sorted([*CATALOGUE, *own]))
    return {name: _look(own[name]) for name in asked}


def style_of(name: str, looks: Mapping[str, Any] | None) -> Style:
    """A style as a job was asked for it: from the looks that it keeps, or built in. Raises `UnknownStyle`."""
    look = (looks or {}).get(name)
    if look is None:
        if name not in CATALOGUE:
            raise UnknownStyle(styles=sorted(CATALOGUE))
        return CATALOGUE[name]
    backdrop, palette, light = Backdrop(look["backdrop"]), tuple(look["palette"]), Light(**look["light"])
    return Style(
        name=name,
        title=look["title"],
        description="",
        version=look["version"],
        backdrop=backdrop,
        palette=palette,
        light=light,
        retouch=Retouch(look["retouch"]),
        prompt=prompt_of(backdrop, palette, light),
    )


def mark_of(name: str, looks: Mapping[str, Any] | None) -> UUID | None:
    """The visible mark that comes with a style as a job keeps it."""
    mark = ((looks or {}).get(name) or {}).get("mark")
    return None if mark is None else UUID(hex=mark)


def _look(row: BrandStyle) -> dict[str, Any]:
    return {
        "title": row.title,
        "version": row.version,
        "backdrop": row.backdrop,
        "palette": list(row.palette),
        "light": {"azimuth": row.azimuth, "strength": row.strength, "wrap": row.wrap},
        "retouch": row.retouch,
        "mark": None if row.mark_id is None else row.mark_id.hex,
    }


def prompt_of(backdrop: Backdrop, palette: Sequence[str], light: Light) -> str:
    """What a diffusion model is asked for in a style of a tenant's own."""
    colours = f"{palette[0]} to {palette[-1]}" if backdrop is Backdrop.GRADIENT else palette[len(palette) // 2]
    turn = light.azimuth % 360
    side = f"light {_SIDES[round(turn / 45)]}" if turn <= 180 else "even light"  # noqa: PLR2004 - half a turn
    return f"{_PLACES[backdrop]}, {colours}, {side}, soft, empty"


def _require_valid(draft: Draft) -> None:
    name, backdrop, palette, light = draft.name, draft.backdrop, draft.palette, draft.light
    errors = []
    if not re.fullmatch(NAME, name):
        errors.append({"field": "name", "message": "Lower-case words joined by hyphens."})
    if name in CATALOGUE:
        errors.append({"field": "name", "message": "A built-in style has this name."})
    if len(palette) != COLOURS[backdrop]:
        errors.append({"field": "palette", "message": f"This backdrop takes {COLOURS[backdrop]} colours."})
    if not all(re.fullmatch(COLOUR, colour) for colour in palette):
        errors.append({"field": "palette", "message": "Colours as #rrggbb."})
    for field, most in (("azimuth", 360.0), ("strength", STRONGEST_LIGHT), ("wrap", WIDEST_WRAP)):
        if not 0 <= getattr(light, field) <= most:
            errors.append({"field": f"light.{field}", "message": f"From 0 to {most:g}."})
    if errors:
        raise ValidationFailed(errors=errors)
