"""A platform's own visible mark: its logo, where it stands, how large, and how much it covers.

A published version never changes; publishing the same name again makes the next one. A style keeps the version that
was the newest when the style was published, a job the one that was when it was asked for. The logo's samples are sealed
under the tenant's secrets key, as it is the platform's and nobody's face.
"""

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlmodel import col, func, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit import service as audit
from core.errors import IntegrityError, NotFound, UnknownMark, ValidationFailed
from core.headshots.models import VisibleMark
from core.intake.clean import LOGO_EDGE, CleanLogo
from core.storage.service import SealedStore

NAME: Final = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
NARROWEST, WIDEST = 0.06, 0.3
FAINTEST: Final = 0.3


class Place(StrEnum):
    """The corner of the picture in which a mark stands."""

    TOP_LEFT = "top_left"
    TOP_RIGHT = "top_right"
    BOTTOM_LEFT = "bottom_left"
    BOTTOM_RIGHT = "bottom_right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A visible mark to publish.

    Attributes:
        name: stable identifier, lower case with hyphens.
        place: the corner.
        width: of the logo, 0.06..0.3 of the picture's. One that is taller than wide has this as its height.
        opacity: 0.3..1, how much it covers.
    """

    name: str
    place: Place
    width: float
    opacity: float


async def publish(
    session: AsyncSession, store: SealedStore, *, tenant_id: UUID, actor: str, draft: Draft, logo: CleanLogo
) -> VisibleMark:
    """Publish the next version of a mark. Raises `ValidationFailed`, `KeyProviderUnavailable`."""
    require_valid(draft)
    name = draft.name
    # The lock makes versions a sequence without holes when two are published at once.
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(f"{tenant_id}/mark/{name}"))))
    newest_version = (await session.exec(select(func.max(VisibleMark.version)).where(VisibleMark.name == name))).one()
    version = (newest_version or 0) + 1
    row = VisibleMark(
        tenant_id=tenant_id,
        name=name,
        version=version,
        place=draft.place.value,
        width=draft.width,
        opacity=draft.opacity,
        logo_width=logo.width,
        logo_height=logo.height,
        sealed_logo=await store.seal_for_row(tenant_id, _seal_name(name, version), zlib.compress(logo.samples, 9)),
    )
    session.add(row)
    await session.flush()
    await audit.append(
        session, tenant_id=tenant_id, kind="mark.published", actor=actor, facts={"mark": row.id.hex, "version": version}
    )
    return row


async def newest(session: AsyncSession) -> list[VisibleMark]:
    """The newest version of each of the tenant's marks, by name."""
    latest = select(VisibleMark.name, func.max(VisibleMark.version)).group_by(col(VisibleMark.name))
    query = (
        select(VisibleMark).where(tuple_(VisibleMark.name, VisibleMark.version).in_(latest)).order_by(VisibleMark.name)
    )
    return list((await session.exec(query)).all())


async def named(session: AsyncSession, name: str) -> VisibleMark:
    """The newest version of a mark. Raises `UnknownMark`; all that exist are in `extra["marks"]`."""
    query = select(VisibleMark).where(VisibleMark.name == name).order_by(col(VisibleMark.version).desc()).limit(1)
    found = (await session.exec(query)).first()
    if found is None:
        raise UnknownMark(marks=[row.name for row in await newest(session)])
    return found


async def get(session: AsyncSession, mark_id: UUID) -> VisibleMark:
    """One version, or `NotFound`."""
    found = await session.get(VisibleMark, mark_id)
    if found is None:
        raise NotFound
    return found


async def logo(store: SealedStore, row: VisibleMark) -> CleanLogo:
    """The logo of a mark, opened. Raises `core.keyring.sealing.SealBroken`, `KeyProviderUnavailable`."""
    deflated = await store.open_from_row(row.tenant_id, _seal_name(row.name, row.version), row.sealed_logo)
    samples = zlib.decompressobj().decompress(deflated, 4 * LOGO_EDGE**2)
    if len(samples) != 4 * row.logo_width * row.logo_height:
        raise IntegrityError("a sealed logo has the size that its row says")
    return CleanLogo(samples=samples, width=row.logo_width, height=row.logo_height)


def require_valid(draft: Draft) -> None:
    """Everything that can refuse a mark before its logo is read. Raises `ValidationFailed`."""
    errors = []
    if not re.fullmatch(NAME, draft.name):
        errors.append({"field": "name", "message": "Lower-case words joined by hyphens."})
    if not NARROWEST <= draft.width <= WIDEST:
        errors.append({"field": "width", "message": f"From {NARROWEST:g} to {WIDEST:g} of the picture's."})
    if not FAINTEST <= draft.opacity <= 1:
        errors.append({"field": "opacity", "message": f"From {FAINTEST:g} to 1."})
    if errors:
        raise ValidationFailed(errors=errors)


def _seal_name(name: str, version: int) -> str:
    return f"visible-mark:{name}:{version}"
