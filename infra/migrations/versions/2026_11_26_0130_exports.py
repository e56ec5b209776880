"""Exports of everything that is held of a person, and imports of what another platform held.

Revision ID: 2026_11_26_0130
Revises: 2026_11_26_0126
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0130"
down_revision = "2026_11_26_0126"
branch_labels = None
depends_on = None

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"

APP: dict[str, str] = {
    "person_export": "SELECT, INSERT, UPDATE",
    "person_import": "SELECT, INSERT, DELETE",
}
# The sweep finds across tenants what to build and what to let go.
SYSTEM: dict[str, str] = {
    "person_export": "SELECT (id, tenant_id, state, next_at, expires_at)",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_exports()
    _create_imports()
    for table, privileges in APP.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    for table, privileges in SYSTEM.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_system")
        op.execute(f"CREATE POLICY every_row ON {table} FOR SELECT TO likeness_system USING (true)")


def _create_exports() -> None:
    op.create_table(
        "person_export",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("asset_id", sa.Uuid(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("reason_code", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('preparing', 'ready', 'failed', 'expired')", name="person_export_state"),
        sa.CheckConstraint("(state = 'failed') = (reason_code IS NOT NULL)", name="person_export_reason"),
        sa.CheckConstraint("state <> 'ready' OR asset_id IS NOT NULL", name="person_export_has_file"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["request_id"], ["rights_request.id"]),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("person_export_of_subject", "person_export", ["tenant_id", "subject_id", "id"])
    preparing = sa.text("state = 'preparing'")
    op.create_index(
        "person_export_once", "person_export", ["tenant_id", "request_id"], unique=True, postgresql_where=preparing
    )
    op.create_index("person_export_unfinished", "person_export", ["next_at"], postgresql_where=preparing)
    op.create_index(
        "person_export_expiry", "person_export", ["expires_at"], postgresql_where=sa.text("state = 'ready'")
    )


def _create_imports() -> None:
    op.create_table(
        "person_import",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("manifest_sha256", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("sealed_source", sa.LargeBinary(), nullable=False),
        sa.Column("photos", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("person_import_once", "person_import", ["tenant_id", "subject_id", "manifest_sha256"], unique=True)


def downgrade() -> None:
    op.drop_table("person_import")
    op.drop_table("person_export")
