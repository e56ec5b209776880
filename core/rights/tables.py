"""Every table, and what it still holds of a person.

A process loads only the tables that it works with; an eraser must know all of them. So `tables_of_people` first loads
the `models` of each room of `core`, and a table that was added yesterday is erased and scanned today.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, delete, false, func, null, or_, select, update
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

import core
from core.db import Eraser


@cache
def tables_of_people(*, and_platforms: bool = False) -> Sequence[Table]:
    """All tables whose rows belong to a person, in the order of their foreign keys; with the others, too, if asked.

    The key store is not among them: `shred_subject` is its eraser, and it is scanned through the keyring.
    """
    for room in pkgutil.iter_modules(core.__path__, "core."):
        if room.ispkg:
            package = importlib.import_module(room.name)
            if any(found.name == "models" for found in pkgutil.iter_modules(package.__path__)):
                importlib.import_module(f"{room.name}.models")
    return [table for table in SQLModel.metadata.sorted_tables if and_platforms or eraser_of(table).by is not None]


def eraser_of(table: Table) -> Eraser:
    """How the table forgets a person."""
    eraser: Eraser = table.info["eraser"]
    return eraser


async def forget(session: AsyncSession, table: Table, subject_id: UUID) -> int:
    """Apply the table's own eraser; returns how many rows that changed. Nothing to do is 0."""
    eraser = eraser_of(table)
    left = _personal(table, subject_id)
    if eraser.how == "delete":
        done = await session.exec(delete(table).where(left))
    elif eraser.how == "redact":
        # `null()`, because None would become the JSON value null in a JSONB column, which is something.
        done = await session.exec(update(table).where(left).values(dict.fromkeys(eraser.columns, null())))
    else:
        return 0
    return int(done.rowcount)


async def remaining(session: AsyncSession, table: Table, subject_id: UUID) -> int:
    """How many rows still hold something personal of the subject: 0 after `forget`."""
    query = select(func.count()).select_from(table).where(_personal(table, subject_id))
    return int((await (await session.connection()).execute(query)).scalar_one())


async def remaining_of_all(session: AsyncSession, table: Table) -> int:
    """How many rows still hold something personal of anybody of the session's tenant."""
    eraser = eraser_of(table)
    if eraser.how == "keep":
        return 0
    left: ColumnElement[bool] = _whose(table).is_not(None)
    if eraser.how == "redact":
        left = and_(left, or_(*(table.c[column].is_not(None) for column in eraser.columns)))
    query = select(func.count()).select_from(table).where(left)
    return int((await (await session.connection()).execute(query)).scalar_one())


async def kept(session: AsyncSession, table: Table, subject_id: UUID) -> int:
    """How many rows of the subject stay, by the table's own declaration, with nothing personal in them."""
    eraser = eraser_of(table)
    if eraser.how == "delete":
        return 0
    query = select(func.count()).select_from(table).where(_whose(table) == subject_id)
    return int((await (await session.connection()).execute(query)).scalar_one())


def _whose(table: Table) -> ColumnElement[UUID]:
    return table.c[eraser_of(table).by or "subject_id"]


def _personal(table: Table, subject_id: UUID) -> ColumnElement[bool]:
    eraser = eraser_of(table)
    if eraser.how == "keep":
        return false()
    ours = _whose(table) == subject_id
    if eraser.how == "delete":
        return ours
    return and_(ours, or_(*(table.c[column].is_not(None) for column in eraser.columns)))
