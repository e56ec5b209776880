"""C11: how long until nothing of a person can be read, by destroying their key and by deleting object by object.

    python -m infra.bench.erasure [--quick]

There are two peers: one that deletes each object with its row, as a service without keys would, and one that deletes
the objects alone and leaves every row wrong. All work on a real instance of the embedded PostgreSQL and on the same
folder store, on people with as many sealed objects. The clock stops when the last object cannot be opened any more,
which is tried: for the shred when its transaction has committed, for a peer when its last object is deleted. What the
shred leaves to be cleaned up afterwards is not in its time, because nothing of it can be read.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import delete
from sqlmodel import col, select

from core.bootstrap import Parts, open_parts
from core.errors import Gone, IntegrityError
from core.ids import new_id
from core.keyring.context import Context
from core.rights import erase
from core.settings import Settings
from core.storage.models import Asset
from core.subjects import service as subjects
from core.tenants import service as tenants
from infra.backup.instance import instance
from infra.bench.measure import Ratio, Result, Series, machine, ratios
from infra.bench.report import markdown, write
from infra.local.home import Home
from infra.migrations import migrate

RESULTS = Path(__file__).parent / "results"
SIZES, QUICK_SIZES = (10, 1000, 10_000), (10, 100)
TURNS = 2
SHREDS = 3
"""How many people are shredded in a turn. One shred is short beside what else the machine does: the median counts."""

_OBJECT = os.urandom(4096)
_ROWS = 500


async def _person(parts: Parts, tenant_id: UUID, objects: int, folder: Path) -> UUID:
    """A person with that many objects. They are written without waiting for the disk; deleting them is what counts."""
    async with parts.database.tenant(tenant_id) as session:
        person = await subjects.create(
            session, parts.keyring, tenant_id=tenant_id, actor="bench", reference=uuid4().hex
        )
    sealer = await parts.keyring.subject_sealer(tenant_id, person.id)
    place = folder / tenant_id.hex
    place.mkdir(exist_ok=True)
    for start in range(0, objects, _ROWS):
        async with parts.database.tenant(tenant_id) as session:
            for _ in range(min(_ROWS, objects - start)):
                asset = Asset(
                    id=new_id(),
                    tenant_id=tenant_id,
                    subject_id=person.id,
                    kind="photo",
                    object_name=f"{tenant_id.hex}/{uuid4().hex}",
                    media_type="image/jpeg",
                    width=1,
                    height=1,
                    plain_bytes=len(_OBJECT),
                )
                context = Context(tenant_id, "photo", subject=person.id, object_id=asset.id)
                _, asset.wrapped_key = sealer.new_object_key(context)
                session.add(asset)
                (folder / asset.object_name).write_bytes(_OBJECT)
    return person.id


async def _assets(parts: Parts, tenant_id: UUID, subject_id: UUID) -> list[Asset]:
    async with parts.database.tenant(tenant_id) as session:
        return list((await session.exec(select(Asset).where(Asset.subject_id == subject_id))).all())


async def _require_unreadable(parts: Parts, asset: Asset) -> None:
    try:
        await parts.store.read(asset)
    except (Gone, IntegrityError):
        return
    raise RuntimeError("something can still be read")


async def _shred(parts: Parts, tenant_id: UUID, subject_id: UUID, last: Asset) -> float:
    began = time.perf_counter()
    async with parts.database.tenant(tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="bench")
    await _require_unreadable(parts, last)
    return (time.perf_counter() - began) * 1000


async def _delete_each(parts: Parts, assets: list[Asset], *, rows: bool) -> float:
    began = time.perf_counter()
    for asset in assets:
        await parts.store.objects.delete_all_versions(asset.object_name)
        if rows:
            async with parts.database.tenant(asset.tenant_id) as session:
                await session.exec(delete(Asset).where(col(Asset.id) == asset.id))
    await _require_unreadable(parts, assets[-1])
    return (time.perf_counter() - began) * 1000


async def measure(parts: Parts, folder: Path, sizes: tuple[int, ...], turns: int) -> Result:
    """All in turn, for each size; a first round of the smallest size is not counted."""
    tenant = await tenants.create_tenant(parts.database, parts.keyring, name="bench")
    shreds: dict[int, list[float]] = {size: [] for size in sizes}
    deletes: dict[int, list[float]] = {size: [] for size in sizes}
    objects: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(turns + 1):
        for size in sizes if turn else sizes[:1]:
            theirs, others, *ours = [await _person(parts, tenant.id, size, folder) for _ in range(2 + SHREDS)]
            lasts = [(await _assets(parts, tenant.id, person))[-1] for person in ours]
            shred = statistics.median(
                [await _shred(parts, tenant.id, person, last) for person, last in zip(ours, lasts, strict=True)]
            )
            alone = await _delete_each(parts, await _assets(parts, tenant.id, others), rows=False)
            deleted = await _delete_each(parts, await _assets(parts, tenant.id, theirs), rows=True)
            if turn:
                shreds[size].append(shred)
                deletes[size].append(deleted)
                objects[size].append(alone)
    of = {
        size: (
            Series(f"Likeness, {size} objects", tuple(shreds[size])),
            Series(f"object by object with its row, {size}", tuple(deletes[size])),
            Series(f"objects alone, {size}", tuple(objects[size])),
        )
        for size in sizes
    }
    large, small = sizes[-1], sizes[0]
    return Result(
        id="C11",
        title="until nothing of a person can be read",
        unit="ms",
        series=tuple(series for pair in of.values() for series in pair),
        ratios=(
            Ratio(f"object by object / shred, {large} objects", ratios(of[large][1], of[large][0]), target=1000),
            Ratio(f"objects alone / shred, {large} objects", ratios(of[large][2], of[large][0]), target=1000),
            Ratio(f"shred of {large} / shred of {small}", ratios(of[large][0], of[small][0]), target=1.5, at_most=True),
        ),
        notes=(
            "The shred is one durable transaction, with its synced entries in the tombstone ledger before and after.",
            "The peers delete from a folder on the same disk, synced; over a network each deletion takes longer.",
        ),
    )


async def _run(sizes: tuple[int, ...], turns: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="likeness-bench-") as name:
        home = Home(Path(name) / "var")
        os.chmod(name, 0o711)  # noqa: PTH101, S103 (PostgreSQL's account passes through)
        async with instance(home, alone=True) as settings:
            owner = settings.database.owner_url
            assert owner is not None  # noqa: S101 (the embedded server has one)
            await migrate(owner.get_secret_value())
            async with open_parts(Settings()) as parts:
                return await measure(parts, home.folder / "objects", sizes, turns)


def c11_erasure(*, quick: bool = False, turns: int | None = None, sizes: tuple[int, ...] = SIZES) -> Result:
    """Run it on an instance of its own."""
    return asyncio.run(_run(QUICK_SIZES if quick else sizes, 1 if quick else turns or TURNS))


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.erasure", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few objects, one turn: shows that it works")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--sizes", default="", help="objects a person, with commas: 10,1000")
    asked = parser.parse_args()
    where = machine()
    sizes = tuple(int(size) for size in asked.sizes.split(",")) if asked.sizes else SIZES
    result = c11_erasure(quick=asked.quick, sizes=sizes)
    print(markdown([result]))  # noqa: T201
    if not asked.quick:
        write([result], asked.out, machine=where, name="erasure")


if __name__ == "__main__":
    main()
