"""Let exports go whose term is over. A legal hold keeps what is held of a person, not this copy of it."""

import logging

from sqlmodel import col, select

from core.clock import now
from core.db import Database
from core.rights import exports
from core.rights.models import ExportState, PersonExport
from core.storage.service import SealedStore

logger = logging.getLogger("likeness.portability")

ACTOR = "retention"


async def erase_expired(database: Database, store: SealedStore, *, limit: int = 100) -> int:
    """Erase the files of exports past `expires_at`, each in a transaction of its own. How many were erased."""
    over = (
        select(PersonExport.tenant_id, PersonExport.id)
        .where(PersonExport.state == ExportState.READY, col(PersonExport.expires_at) <= now())
        .order_by(col(PersonExport.expires_at))
        .limit(limit)
    )
    async with database.system() as session:
        found = (await session.exec(over)).all()
    erased = 0
    for tenant_id, export_id in found:
        try:
            async with database.tenant(tenant_id) as session:
                held = select(PersonExport).where(PersonExport.id == export_id, PersonExport.state == ExportState.READY)
                export = (await session.exec(held.with_for_update(skip_locked=True))).first()
                if export is not None:
                    await exports.delete(session, store, export, actor=ACTOR)
                    erased += 1
        except Exception as error:
            # One that cannot be erased now holds up nobody else's; it comes round again.
            logger.exception("an expired export could not be erased", extra={"error_type": type(error).__name__})
    return erased
