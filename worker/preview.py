"""A style as a picture with nobody in it: drawn, marked as a preview, and sealed for the platform that asked."""

from functools import partial
from uuid import UUID

from core.headshots import previews, visible_marks
from worker.hands import Hands
from worker.studio import preview
from worker.studio.logo import Logo


async def draw_preview(hands: Hands, *, tenant_id: UUID, preview_id: UUID) -> None:
    """Draw a preview, unless it has been. Drawing it twice is harmless: the first picture stays."""
    parts = hands.parts
    async with parts.database.tenant(tenant_id) as session:
        order = await previews.order(session, preview_id)
    if order is None:
        return
    logo = None if order.mark is None else Logo.of(order.mark, await visible_marks.logo(parts.store, order.mark))
    drawn = await hands.in_studio.run(partial(preview.draw, order.style, logo))
    async with parts.database.tenant(tenant_id) as session:
        await previews.keep(session, parts.store, preview_id=preview_id, picture=drawn)
