"""What the sweep goes by: by tenant, over indexes that hold only what is still there.

Two columns say in the open what sealed ones would have to be read for: `audit_entry.linked`, that there is a salt, and
`consent.evidence_ended_at`, that there is evidence whose term runs. The guards of both ledgers let them change, and
nothing else.

Revision ID: 2026_11_26_0150
Revises: 2026_11_26_0146
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_0150"
down_revision = "2026_11_26_0146"
branch_labels = None
depends_on = None

# table, name, columns, what it holds
INDEXES: tuple[tuple[str, str, str, str | None], ...] = (
    ("photo", "photo_kept_until", "tenant_id, expires_at, id", "state IN ('checking', 'ready')"),
    ("photo", "photo_kept_for", "tenant_id, (expires_at - created_at)", "state IN ('checking', 'ready')"),
    (
        "photo",
        "photo_to_tell",
        "tenant_id, expires_at, id",
        "state IN ('checking', 'ready') AND warned_at IS NULL",
    ),
    ("photo", "photo_refused_until", "tenant_id, expires_at, id", "state = 'refused'"),
    ("photo", "photo_refused_for", "tenant_id, (expires_at - created_at)", "state = 'refused'"),
    ("headshot", "headshot_kept_until", "tenant_id, expires_at, id", "state = 'done'"),
    ("headshot", "headshot_kept_for", "tenant_id, (expires_at - created_at)", "state = 'done'"),
    ("headshot", "headshot_to_tell", "tenant_id, expires_at, id", "state = 'done' AND warned_at IS NULL"),
    ("headshot", "headshot_refused_until", "tenant_id, expires_at, id", "state = 'refused'"),
    ("headshot", "headshot_refused_for", "tenant_id, (expires_at - created_at)", "state = 'refused'"),
    ("asset", "export_kept_until", "tenant_id, expires_at, id", "state = 'stored' AND kind = 'export'"),
    ("asset", "export_kept_for", "tenant_id, (expires_at - created_at)", "state = 'stored' AND kind = 'export'"),
    (
        "asset",
        "export_to_tell",
        "tenant_id, expires_at, id",
        "state = 'stored' AND kind = 'export' AND warned_at IS NULL",
    ),
    ("job", "job_ended", "tenant_id, finished_at, id", "state IN ('done', 'failed', 'cancelled', 'refused')"),
    ("event", "event_by_age", "tenant_id, created_at, id", None),
    ("webhook_delivery", "webhook_delivery_of_event", "event_id", None),
    ("audit_entry", "audit_entry_linked", "tenant_id, recorded_at, id", "linked"),
    ("consent", "consent_evidence_ended", "tenant_id, evidence_ended_at, id", "evidence_ended_at IS NOT NULL"),
)
REPLACED = (
    ("photo", "photo_expiry", "state <> 'erased'"),
    ("headshot", "headshot_expiry", "state <> 'erased'"),
    ("asset", "asset_expiring", "state = 'stored' AND expires_at IS NOT NULL"),
)

APP = (
    "GRANT DELETE ON job, headshot, event TO likeness_app",
    "GRANT UPDATE (evidence_ended_at) ON consent TO likeness_app",
    "GRANT UPDATE (linked) ON audit_entry TO likeness_app",
)
# Ids, states and times, as ever.
SYSTEM = (
    "GRANT SELECT (warned_at) ON photo, headshot, asset TO likeness_system",
    "GRANT SELECT (kind) ON asset TO likeness_system",
    "GRANT SELECT (id, tenant_id, created_at) ON event TO likeness_system",
    "GRANT SELECT (id, tenant_id, evidence_ended_at) ON consent TO likeness_system",
    "GRANT SELECT (id, tenant_id, recorded_at, linked) ON audit_entry TO likeness_system",
)

_NO_LEDGER_COLUMN = "to_jsonb({row}) - 'sealed_evidence' - 'evidence_ended_at'"
_CONSENT = f"""
CREATE OR REPLACE FUNCTION consent_only_loses_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.sealed_evidence IS NOT NULL AND NEW.sealed_evidence IS DISTINCT FROM OLD.sealed_evidence)
        OR {_NO_LEDGER_COLUMN.format(row="NEW")} <> {_NO_LEDGER_COLUMN.format(row="OLD")} THEN
        RAISE EXCEPTION 'the ledger of consent is append-only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_CONSENT_BEFORE = """
CREATE OR REPLACE FUNCTION consent_only_loses_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sealed_evidence IS NOT NULL OR to_jsonb(NEW) - 'sealed_evidence' <> to_jsonb(OLD) - 'sealed_evidence' THEN
        RAISE EXCEPTION 'the ledger of consent is append-only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


def _audit(gone: str, also: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION audit_entry_only_loses_its_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.number IS NULL AND NEW.number IS NOT NULL AND to_jsonb(NEW) - 'number' = to_jsonb(OLD) - 'number')
        AND (NEW.salt IS NOT NULL OR NEW.subject_id IS NOT NULL{gone}
            OR to_jsonb(NEW) - 'salt' - 'subject_id'{also} <> to_jsonb(OLD) - 'salt' - 'subject_id'{also}) THEN
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


def _audit_birth(also: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION audit_entry_forgets_the_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.subject_id IS NOT NULL AND EXISTS (SELECT FROM tombstone WHERE tombstone.subject_id = NEW.subject_id) THEN
        NEW.subject_id := NULL;
        NEW.salt := NULL;{also}
    END IF;
    RETURN NEW;
END $$
"""


# The evidence of a consent that was taken back or replaced ends with the entry that did so; of another answer, at once.
_EVIDENCE = """
UPDATE consent SET evidence_ended_at = CASE
    WHEN action <> 'granted' THEN recorded_at
    ELSE least(expires_at, (
        SELECT min(later.recorded_at) FROM consent later
        WHERE later.tenant_id = consent.tenant_id AND later.subject_id = consent.subject_id
            AND later.purpose = consent.purpose AND later.id > consent.id))
    END
WHERE sealed_evidence IS NOT NULL
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("photo", "headshot", "asset"):
        op.add_column(table, sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("consent", sa.Column("evidence_ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("audit_entry", sa.Column("linked", sa.Boolean(), nullable=True, server_default=sa.true()))
    op.execute(_CONSENT)
    op.execute(_audit(" OR NEW.linked IS NOT NULL", " - 'linked'"))
    op.execute(_audit_birth("\n        NEW.linked := NULL;"))
    # Row-level security binds the owner as well; inside this transaction it is lifted from what is filled in.
    for table, fill in (
        ("consent", _EVIDENCE),
        ("audit_entry", "UPDATE audit_entry SET subject_id = NULL, linked = NULL WHERE salt IS NULL"),
    ):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(fill)
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table, name, columns, holds in INDEXES:
        where = "" if holds is None else f" WHERE {holds}"
        op.execute(f"CREATE INDEX {name} ON {table} ({columns}){where}")
    for table, name, _ in REPLACED:
        op.drop_index(name, table_name=table)
    for statement in (*APP, *SYSTEM):
        op.execute(statement)
    op.execute("CREATE POLICY every_row ON consent FOR SELECT TO likeness_system USING (true)")


def downgrade() -> None:
    op.execute("DROP POLICY every_row ON consent")
    for statement in (*APP, *SYSTEM):
        op.execute(statement.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
    for table, name, holds in REPLACED:
        op.execute(f"CREATE INDEX {name} ON {table} (expires_at) WHERE {holds}")
    for table, name, _, _ in INDEXES:
        op.drop_index(name, table_name=table)
    op.execute(_CONSENT_BEFORE)
    op.execute(_audit("", ""))
    op.execute(_audit_birth(""))
    op.drop_column("audit_entry", "linked")
    op.drop_column("consent", "evidence_ended_at")
    for table in ("photo", "headshot", "asset"):
        op.drop_column(table, "warned_at")
