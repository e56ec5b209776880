"""Leaves of the audit log."""

import hashlib
import hmac
import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from core.audit import service
from core.audit.models import AuditEntry
from core.bootstrap import Parts
from tests import scenes


async def test_a_leaf_says_nothing_of_the_person_without_its_salt(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        entry = (await session.exec(select(AuditEntry).where(AuditEntry.kind == "subject.created"))).one()
    assert entry.salt is not None
    assert subject_id.hex not in service.leaf(entry).decode()
    bound = json.dumps({"subject": subject_id.hex}, separators=(",", ":")).encode()
    assert entry.commitment == hmac.new(entry.salt, bound, "sha256").digest()


async def test_the_leaf_hash_follows_rfc_6962(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    async with parts.database.tenant(platform.tenant_id) as session:
        entry = (await session.exec(select(AuditEntry).where(AuditEntry.kind == "tenant.created"))).one()
    assert entry.leaf_hash == hashlib.sha256(b"\x00" + service.leaf(entry)).digest()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET kind = 'nothing'",
        "UPDATE audit_entry SET salt = 'other'",
        "UPDATE audit_entry SET leaf_hash = ''",
        "DELETE FROM audit_entry",
    ],
)
async def test_the_database_refuses_to_rewrite_the_log(parts: Parts, statement: str) -> None:
    platform = await scenes.a_platform(parts)
    with pytest.raises(DBAPIError):
        async with parts.database.tenant(platform.tenant_id) as session:
            await (await session.connection()).execute(text(statement))


def test_one_value_has_one_encoding() -> None:
    assert service.canonical({"b": 1, "a": "ü"}) == service.canonical({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()
