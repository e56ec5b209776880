"""Who opened what, and what was corrected."""

import ast
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

import api
import worker
from core.bootstrap import Parts
from core.errors import Gone
from core.rights import erase
from core.subjects import access, service
from core.subjects.models import AccessEntry, SubjectRevision
from tests import scenes

OPENERS = {
    ("store", "open"),
    ("store", "read"),
    ("subjects", "reveal"),
    ("subjects", "corrections"),
    ("requests", "read"),
}


def _opens(tree: ast.AST) -> bool:
    """Whether a module opens something sealed: calls one of the openers on the parts' store or a service."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (getattr(node.func.value, "attr", getattr(node.func.value, "id", "")), node.func.attr) in OPENERS
        for node in ast.walk(tree)
    )


def test_every_door_that_opens_something_notes_it() -> None:
    doors = [path for room in (api, worker) for path in Path(room.__path__[0]).rglob("*.py")]
    opening = {path.name: path.read_text() for path in doors if _opens(ast.parse(path.read_text()))}
    assert {"assets.py", "subjects.py", "rights_requests.py", "perform.py", "look.py"} <= opening.keys()
    assert [name for name, text in opening.items() if "access.note(" not in text] == []


async def test_an_opening_is_noted_and_an_erasure_takes_the_notes_along(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    whose: dict[str, Any] = {"subject_id": subject_id, "resource_id": subject_id}
    what = {**whose, "what": "identity", "actor": "api_key:1"}
    async with parts.database.tenant(platform.tenant_id) as session:
        await access.note(session, **what, why="read")
        await access.note(session, **what, why="find")
        found = await access.page(session, subject_id, before=None, limit=10)
    assert [entry.why for entry in found] == ["find", "read"]
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    with pytest.raises(Gone):
        async with parts.database.tenant(platform.tenant_id) as session:
            await access.note(session, **what, why="read")
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(AccessEntry))).all() == []


async def test_a_correction_keeps_what_was_said_before_sealed_until_the_person_is_erased(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    for changes in ({"display_name": "New Name", "jurisdiction": "DE"}, {"jurisdiction": "FR", "email": None}):
        async with parts.database.tenant(platform.tenant_id) as session:
            subject = await service.lock(session, subject_id)
            await service.rectify(session, parts.keyring, subject, actor="clerk", changes=changes)
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await service.get(session, subject_id)
        found = await service.corrections(session, parts.keyring, subject)
        rows = (await session.exec(select(SubjectRevision))).all()
    assert {(one.field, one.before) for one in found} == {
        ("display_name", "Canary Q. Personname"),
        ("jurisdiction", None),
        ("jurisdiction", "DE"),
        ("email", "canary@person.example"),
    }
    assert not any(b"anary" in (row.sealed_before or b"") for row in rows)
    async with parts.database.tenant(platform.tenant_id) as session:
        await erase.begin(session, parts.keyring, subject_id=subject_id, actor="test")
    await erase.finish(parts.database, parts.store, tenant_id=platform.tenant_id, subject_id=subject_id)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await session.exec(select(SubjectRevision))).all() == []
