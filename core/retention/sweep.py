"""The sweep: chore after chore for each tenant, tenant after tenant, a short turn each.

Fair: tenants take turns, so whoever has little waits for at most one turn of every other tenant that has work, however
much those have. Resumable: what is done is what was committed; a sweep that is killed leaves nothing half done, and the
next one finds the rest by the same indexes. Driven by indexes: whether a tenant has work is one look into an index, and
what is not due is never read.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from core.db import Database
from core.retention.chores import CHORES, Chore, Place, waiting
from core.storage.service import SealedStore

logger = logging.getLogger("likeness.retention")

LOOK_EVERY_SECONDS = 5.0
REST_SECONDS = 60.0


@dataclass
class _Turns:
    """Whose turn it is. A chore that came to its end for a tenant rests, and with it what could not be erased."""

    chores: tuple[Chore, ...]
    waiting: dict[UUID, dict[int, Place | None]] = field(default_factory=dict)
    rested: dict[tuple[UUID, int], float] = field(default_factory=dict)

    def note(self, tenant_id: UUID, chore: int) -> None:
        """There is work for this tenant, unless it was just done."""
        if self.rested.get((tenant_id, chore), 0.0) <= monotonic():
            self.waiting.setdefault(tenant_id, {}).setdefault(chore, None)

    def ended(self, tenant_id: UUID, chore: int) -> None:
        """Nothing is left of this chore that could be done now."""
        self.rested[tenant_id, chore] = monotonic() + REST_SECONDS
        del self.waiting[tenant_id][chore]
        if not self.waiting[tenant_id]:
            del self.waiting[tenant_id]


async def sweep(
    database: Database,
    store: SealedStore,
    *,
    chores: tuple[Chore, ...] = CHORES,
    stop: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Do what is due for everybody, fairly, until nothing is left that can be done now, or `stop` says so.

    Returns how much each chore did.
    """
    done: Counter[str] = Counter()
    turns, looked = _Turns(chores), float("-inf")
    while not stop():
        if not turns.waiting or monotonic() >= looked + LOOK_EVERY_SECONDS:
            await _look(database, turns)
            looked = monotonic()
        if not turns.waiting:
            break
        for tenant_id in list(turns.waiting):
            if stop():
                break
            done += await _take_turn(database, store, turns, tenant_id)
    if done.total():
        logger.info("swept what had reached its day", extra={"count": done.total()})
    return done


async def _look(database: Database, turns: _Turns) -> None:
    for number, chore in enumerate(turns.chores):
        try:
            async with database.system() as session:
                found = await waiting(session, chore)
        except Exception as error:
            logger.exception("a sweep could not look", extra={"task": chore.name, "error_type": type(error).__name__})
            continue
        for tenant_id in found:
            turns.note(tenant_id, number)


async def _take_turn(database: Database, store: SealedStore, turns: _Turns, tenant_id: UUID) -> Counter[str]:
    """One chunk of the tenant's first chore that has work."""
    number = min(turns.waiting[tenant_id])
    chore = turns.chores[number]
    try:
        turn = await chore.turn(database, store, tenant_id, turns.waiting[tenant_id][number])
    except Exception as error:
        facts = {"tenant": tenant_id.hex, "task": chore.name, "error_type": type(error).__name__}
        logger.exception("a turn of the sweep failed", extra=facts)
        turns.ended(tenant_id, number)
        return Counter()
    if turn.more:
        turns.waiting[tenant_id][number] = turn.after
    else:
        turns.ended(tenant_id, number)
    return Counter({chore.name: turn.done})
