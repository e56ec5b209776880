"""Previews of styles: what a look and a visible mark come to, with a drawn head where a person would be.

Nobody is in a preview, so none needs consent, costs credits or expires. One look with one mark is drawn once; whoever
asks again is given the same. The picture is made by a worker and sealed under the tenant's secrets key.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.errors import NotFound, StateConflict
from core.headshots import brand_styles, visible_marks
from core.headshots.models import PreviewState, StylePreview, VisibleMark
from core.headshots.styles import Style
from core.ids import new_id
from core.queue import Task, wake_after_commit
from core.storage.service import SealedStore


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker draws: the style, and the visible mark where there is one."""

    style: Style
    mark: VisibleMark | None


async def ask(session: AsyncSession, *, tenant_id: UUID, style: str, mark: str | None) -> StylePreview:
    """Ask for a preview of a style in its newest version, or take the one there is.

    mark: name of the visible mark to show on it; the style's own if left out. Raises `UnknownStyle`, `UnknownMark`.
    """
    looks = await brand_styles.resolve(session, [style])
    version = brand_styles.style_of(style, looks).version
    laid = brand_styles.mark_of(style, looks)
    if mark is not None:
        laid = (await visible_marks.named(session, mark)).id
    said = json.dumps([style, version, looks.get(style), None if laid is None else laid.hex], sort_keys=True)
    digest = hashlib.sha256(said.encode()).digest()
    adding = insert(StylePreview).values(
        id=new_id(), tenant_id=tenant_id, style=style, style_version=version, look=looks.get(style), mark_id=laid,
        look_sha256=digest, state=PreviewState.PENDING.value, created_at=now(),
    )  # fmt: skip
    await session.exec(adding.on_conflict_do_nothing())
    row = (await session.exec(select(StylePreview).where(StylePreview.look_sha256 == digest))).one()
    if row.state == PreviewState.PENDING:
        wake_after_commit(session, Task.PREVIEW_STYLE, tenant_id, row.id)
    return row


async def get(session: AsyncSession, preview_id: UUID) -> StylePreview:
    """One preview, or `NotFound`."""
    found = await session.get(StylePreview, preview_id)
    if found is None:
        raise NotFound
    return found


async def order(session: AsyncSession, preview_id: UUID) -> Order | None:
    """What is to be drawn; None when it has been."""
    row = await get(session, preview_id)
    if row.state != PreviewState.PENDING:
        return None
    looks: dict[str, Any] = {} if row.look is None else {row.style: row.look}
    mark = None if row.mark_id is None else await visible_marks.get(session, row.mark_id)
    return Order(style=brand_styles.style_of(row.style, looks), mark=mark)


async def keep(session: AsyncSession, store: SealedStore, *, preview_id: UUID, picture: bytes) -> None:
    """Seal a drawn preview into its row. The first one stays."""
    row = await get(session, preview_id)
    if row.state == PreviewState.PENDING:
        row.sealed_picture = await store.seal_for_row(row.tenant_id, _seal_name(row.id), picture)
        row.state = PreviewState.READY.value
        session.add(row)


async def picture(store: SealedStore, row: StylePreview) -> bytes:
    """The JPEG. Raises `StateConflict` while it is not drawn yet."""
    if row.sealed_picture is None:
        raise StateConflict("The preview is not drawn yet.", state=row.state)
    return await store.open_from_row(row.tenant_id, _seal_name(row.id), row.sealed_picture)


async def waiting(session: AsyncSession, *, older_than_seconds: float, limit: int) -> list[tuple[UUID, UUID]]:
    """Tenant and id of what has waited so long that its token is lost, in a system session.

    In no order, so that none which cannot be drawn fills every round.
    """
    query = (
        select(StylePreview.tenant_id, StylePreview.id)
        .where(
            StylePreview.state == PreviewState.PENDING,
            StylePreview.created_at < now() - timedelta(seconds=older_than_seconds),
        )
        .order_by(func.random())
        .limit(limit)
    )
    return [(tenant_id, preview_id) for tenant_id, preview_id in (await session.exec(query)).all()]


def _seal_name(preview_id: UUID) -> str:
    return f"style-preview:{preview_id.hex}"
