"""Restores that shut the door until tombstones are replayed; tenants that leave; the second moment of an erasure.

Revision ID: 2026_11_26_0125
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0125"
down_revision = "0020"
branch_labels = None
depends_on = None

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"

# All keys of the tenant of this transaction die in it: what they wrap is dead with them. How many there were.
_SHRED_TENANT = """
CREATE FUNCTION keystore.shred_tenant() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant uuid := keystore.own_tenant();
    destroyed integer;
BEGIN
    UPDATE keystore.tenant_key AS key SET state = 'destroyed', wrapped = NULL
    WHERE key.tenant_id = tenant AND key.state <> 'destroyed';
    GET DIAGNOSTICS destroyed = ROW_COUNT;
    PERFORM pg_notify('likeness_shred', tenant::text || ':!');
    RETURN destroyed;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(_SHRED_TENANT)
    op.execute("REVOKE ALL ON FUNCTION keystore.shred_tenant() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION keystore.shred_tenant() TO likeness_app")
    op.create_table(
        "restoration",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("backup_id", sa.Uuid(), nullable=False),
        sa.Column("backup_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replayed", postgresql.JSONB(), nullable=False),
        sa.CheckConstraint("phase IN ('loading', 'objects', 'replaying', 'done')", name="restoration_phase"),
        sa.CheckConstraint("(phase = 'done') = (finished_at IS NOT NULL)", name="restoration_finished"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("GRANT SELECT ON restoration TO likeness_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON restoration TO likeness_system")
    _create_departure()
    _extend_certificate()


def _create_departure() -> None:
    op.create_table(
        "departure",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archive_sha256", sa.String(), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shredded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("certified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("steps", postgresql.JSONB(), nullable=False),
        sa.Column("removed", postgresql.JSONB(), nullable=False),
        sa.Column("scans", postgresql.JSONB(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("certificate_id", sa.Uuid(), nullable=True),
        sa.Column("body", postgresql.JSONB(), nullable=True),
        sa.Column("entry_id", sa.Uuid(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("state IN ('leaving', 'shredded', 'erased', 'certified')", name="departure_state"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_index(
        "departure_unfinished",
        "departure",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('shredded', 'erased')"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON departure TO likeness_app")
    op.execute("GRANT SELECT (tenant_id, state, next_at, attempts) ON departure TO likeness_system")
    op.execute("ALTER TABLE departure ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE departure FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON departure TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    op.execute("CREATE POLICY every_row ON departure FOR SELECT TO likeness_system USING (true)")


def _extend_certificate() -> None:
    op.add_column("erasure_certificate", sa.Column("horizon_body", postgresql.JSONB(), nullable=True))
    op.add_column("erasure_certificate", sa.Column("horizon_entry_id", sa.Uuid(), nullable=True))
    op.add_column("erasure_certificate", sa.Column("horizon_document", sa.LargeBinary(), nullable=True))
    op.add_column("erasure_certificate", sa.Column("horizon_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "erasure_certificate_before_horizon",
        "erasure_certificate",
        ["issued_at"],
        unique=False,
        postgresql_where=sa.text("horizon_at IS NULL AND issued_at IS NOT NULL"),
    )
    columns = "horizon_body, horizon_entry_id, horizon_document, horizon_at"
    op.execute(f"GRANT UPDATE ({columns}) ON erasure_certificate TO likeness_app")
    op.execute(
        "GRANT SELECT (id, tenant_id, subject_id, issued_at, horizon_at) ON erasure_certificate TO likeness_system"
    )
    op.execute("CREATE POLICY every_row ON erasure_certificate FOR SELECT TO likeness_system USING (true)")


def downgrade() -> None:
    op.execute("DROP POLICY every_row ON erasure_certificate")
    op.execute(
        "REVOKE SELECT (id, tenant_id, subject_id, issued_at, horizon_at) ON erasure_certificate FROM likeness_system"
    )
    op.drop_index("erasure_certificate_before_horizon", table_name="erasure_certificate")
    for column in ("horizon_at", "horizon_document", "horizon_entry_id", "horizon_body"):
        op.drop_column("erasure_certificate", column)
    op.drop_table("departure")
    op.drop_table("restoration")
    op.execute("DROP FUNCTION keystore.shred_tenant()")
