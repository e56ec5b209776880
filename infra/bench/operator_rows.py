"""Fill a database with synthetic rows by SQL: tenants and keys by the service itself, the rest by the million.

Nobody's data: every id is random, every seal is zeros. Foreign keys and triggers are off while it fills; what it makes
would pass them.
"""

from dataclasses import dataclass

import asyncpg

from core.bootstrap import Parts
from core.ids import Prefix, public
from core.rights import checkpoints
from core.tenants import service as tenants
from core.webhooks import service as webhooks


@dataclass(frozen=True, slots=True)
class Size:
    """How much. The other tables grow with these three."""

    tenants: int
    jobs: int
    requests: int


# Rows are spread over ninety days. `n` is the row's number, `t` its tenant's id, `age` how old it is.
_AGE = "make_interval(secs => (n::float8 / {rows}) * 90 * 86400)"
_SPREAD = """
    SELECT n, (SELECT array_agg(id ORDER BY id) FROM tenant) AS ids FROM generate_series(1, {rows}) AS n
"""

_STATEMENTS = (
    """
    INSERT INTO subject (id, tenant_id, erasure_epoch, created_at)
    SELECT uuidv7(-{age}), ids[1 + n % {tenants}], 0, now() - {age} FROM ({spread}) AS x
    """,
    """
    INSERT INTO keystore.subject_key (tenant_id, subject_id, kek_version, wrapped)
    SELECT tenant_id, id, 1, '\\x00' FROM subject
    """,
    """
    INSERT INTO asset (id, tenant_id, subject_id, kind, version, object_name, wrapped_key, media_type, width, height,
        plain_bytes, state, created_at, expires_at)
    SELECT id, tenant_id, id, 'photo', 1, 'x/' || id, '\\x00', 'image/jpeg', 8, 8, 8, 'stored', created_at,
        now() + interval '30 days' FROM subject
    """,
    """
    INSERT INTO photo (id, tenant_id, subject_id, asset_id, state, source_format, width, height, checks, created_at,
        expires_at)
    SELECT id, tenant_id, id, id, 'ready', 'jpeg', 8, 8, 1, created_at, now() + interval '30 days' FROM subject
    """,
)

_JOBS = """
    INSERT INTO job (id, tenant_id, subject_id, photo_id, mode, region, state, styles, seed, cost, charged, work,
        weight, fair_start, fair_finish, erasure_epoch, retain_seconds, attempt, deaths, not_before, worker,
        lease_until, progress, reason_code, timings, created_at, started_at, finished_at)
    SELECT uuidv7(-{age}), s.tenant_id, s.id, s.id, 'live', 'local', state, '["studio-grey"]', 1, 1, 1, 163840, 1.0,
        n * 163840.0, (n + 1) * 163840.0, 0, 86400, CASE state WHEN 'pending' THEN 0 ELSE 1 END,
        CASE state WHEN 'failed' THEN 5 ELSE 0 END, now() - {age},
        CASE state WHEN 'running' THEN 'studio-a' END,
        CASE state WHEN 'running' THEN now() + interval '1 hour' END, 0,
        CASE state WHEN 'refused' THEN (ARRAY['not_still_me', 'face_too_small', 'eyes_closed'])[1 + n % 3]
            WHEN 'failed' THEN 'worker_died' WHEN 'cancelled' THEN 'cancelled' END,
        '{{"open": 0.1, "prepare": 0.5}}', now() - {age},
        CASE WHEN state <> 'pending' THEN now() - {age} END,
        CASE WHEN state NOT IN ('pending', 'running') THEN now() - {age} END
    FROM (
        SELECT n, CASE WHEN n <= 40 THEN 'running' WHEN n <= {waiting} THEN 'pending' WHEN n % 100 < 3 THEN 'refused'
            WHEN n % 100 < 4 THEN 'failed' WHEN n % 100 < 6 THEN 'cancelled' ELSE 'done' END AS state
        FROM generate_series(1, {rows}) AS n
    ) AS x
    JOIN (SELECT id, tenant_id, row_number() OVER (ORDER BY id) AS place FROM subject) AS s
        ON s.place = 1 + (x.n * 7919::bigint) % {subjects}
"""

_REQUESTS = """
    INSERT INTO rights_request (id, tenant_id, subject_id, kind, source, state, identity, joined, law, law_source,
        received_at, due_at, told, next_word_at, closed_at)
    SELECT uuidv7(-{age}), s.tenant_id, s.id, 'access', 'tenant', state, 'verified', 0, 'GDPR', 'Art. 12(3)',
        now() - {age}, now() - {age} + interval '30 days', '[]',
        CASE state WHEN 'received' THEN now() + interval '1 day' END,
        CASE WHEN state <> 'received' THEN now() - {age} + interval '9 days' END
    FROM (
        SELECT n, CASE WHEN n <= {rows} / 20 THEN 'received' WHEN n % 20 = 0 THEN 'denied' ELSE 'completed' END AS state
        FROM generate_series(1, {rows}) AS n
    ) AS x
    JOIN (SELECT id, tenant_id, row_number() OVER (ORDER BY id) AS place FROM subject) AS s ON s.place = x.n
"""

_ERASURES = """
    INSERT INTO tombstone (subject_id, tenant_id, erasure_epoch, state, attempts, next_at, shredded_at, erased_at,
        objects_deleted, steps, removed, certified_at)
    SELECT uuidv7(-{age}), ids[1 + n % {tenants}], 1, CASE WHEN n <= 50 THEN 'shredded' ELSE 'erased' END,
        CASE WHEN n <= 5 THEN 6 ELSE 0 END, now(), now() - {age}, CASE WHEN n > 50 THEN now() - {age} END, 3,
        '{{"tombstone": "2026-01-01T00:00:00+00:00", "key": "2026-01-01T00:00:00+00:00"}}', '{{}}',
        CASE WHEN n > 50 THEN now() - {age} END
    FROM ({spread}) AS x
"""

_EVENTS = """
    INSERT INTO event (id, tenant_id, type, resource_id, data, created_at)
    SELECT id, tenant_id, 'headshot.completed', id, '{{}}', created_at FROM job WHERE state = 'done' LIMIT {rows}
"""

_DELIVERIES = """
    INSERT INTO webhook_delivery (id, tenant_id, endpoint_id, event_id, state, attempts, next_at, last_status,
        last_error, created_at, delivered_at)
    SELECT e.id, e.tenant_id, w.id, e.id, e.fate, 1, e.created_at,
        CASE e.fate WHEN 'delivered' THEN 204 END, CASE e.fate WHEN 'failed' THEN 'timeout' END, e.created_at,
        CASE e.fate WHEN 'delivered' THEN e.created_at END
    FROM (
        SELECT *, CASE WHEN n % 100 < 3 THEN 'failed' WHEN n <= 2000 THEN 'pending' ELSE 'delivered' END AS fate
        FROM (SELECT *, row_number() OVER (ORDER BY id DESC) AS n FROM event) AS numbered
    ) AS e
    JOIN webhook_endpoint AS w ON w.tenant_id = e.tenant_id
    ON CONFLICT DO NOTHING
"""

_AUDIT = """
    INSERT INTO audit_entry (id, tenant_id, kind, actor, commitment, leaf_hash, recorded_at, number)
    SELECT id, tenant_id, CASE WHEN seed IS NULL THEN 'x' ELSE 'headshot.' || state END, 'studio-a', '\\x00', '\\x00',
        created_at, 1000 + row_number() OVER (PARTITION BY tenant_id ORDER BY id)
    FROM job WHERE state <> 'pending'
"""

_FILLED = ("tenant", "subject", "asset", "photo", "job", "rights_request", "tombstone", "event", "webhook_delivery")


async def fill(parts: Parts, administrator_url: str, size: Size) -> dict[str, str]:
    """Fill, then vacuum and analyse, as autovacuum would have long since. Returns ids to ask for."""
    made = []
    for number in range(size.tenants):
        tenant = await tenants.create_tenant(parts.database, parts.keyring, name=f"Platform {number}", credits=100_000)
        made.append(tenant.id)
        async with parts.database.tenant(tenant.id) as session:
            await webhooks.create_endpoint(
                session,
                parts.keyring,
                parts.settings.webhooks,
                tenant_id=tenant.id,
                url="https://hooks.sample.example/likeness",
                events=[],
                description=None,
                actor="bench",
            )
        await checkpoints.sequence(parts.database, parts.keyring, tenant_id=tenant.id)
    administrator = await asyncpg.connect(administrator_url, command_timeout=1800)
    await administrator.execute("SET session_replication_role = replica")
    for statement, rows in _plan(size):
        words = {
            "rows": rows,
            "tenants": size.tenants,
            "age": _AGE.format(rows=rows),
            "spread": _SPREAD.format(rows=rows),
            "subjects": max(size.requests, 1),
            "waiting": 40 + size.jobs // 100,
        }
        await administrator.execute(statement.format_map(words))
    for table in (*_FILLED, "audit_entry", "keystore.subject_key"):
        await administrator.execute(f"VACUUM (ANALYZE) {table}")
    job = await administrator.fetchrow("SELECT id, tenant_id FROM job WHERE state = 'done' ORDER BY id DESC LIMIT 1")
    await administrator.close()
    return {"tenant": public(Prefix.TENANT, job["tenant_id"]), "job": public(Prefix.JOB, job["id"])}


def _plan(size: Size) -> list[tuple[str, int]]:
    return [
        *((statement, size.requests) for statement in _STATEMENTS),
        (_JOBS, size.jobs),
        (_REQUESTS, size.requests),
        (_ERASURES, max(100, size.requests // 5)),
        (_EVENTS, size.jobs // 3),
        (_DELIVERIES, size.jobs // 3),
        (_AUDIT, size.jobs),
    ]
