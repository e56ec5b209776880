"""Provenance: the deployment's keys, tenants' signers, marks and fingerprints.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TENANT_TABLES = ("provenance_signer", "provenance_mark", "provenance_fingerprint")

APP = {
    "provenance_signer": "SELECT, INSERT, UPDATE (retired_at)",
    "provenance_mark": "SELECT, INSERT, UPDATE (subject_id, headshot_id)",
    "provenance_fingerprint": "SELECT, INSERT, DELETE",
}

# A stranger's question crosses tenants, so `system` answers it, from columns that name neither tenant nor file.
SYSTEM = {
    "provenance_authority": "SELECT, INSERT",
    "provenance_mark": "SELECT (mark, subject_id, headshot_id)",
    "provenance_fingerprint": "SELECT (fingerprint, mark)",
    "subject": "SELECT (id, erased_at)",
}

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"


def upgrade() -> None:
    _create_tables()
    for table in TENANT_TABLES:
        op.execute(f"GRANT {APP[table]} ON {table} TO likeness_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    for table, privileges in SYSTEM.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_system")
        if table != "provenance_authority":
            op.execute(f"CREATE POLICY every_row ON {table} FOR SELECT TO likeness_system USING (true)")


def _create_tables() -> None:
    op.create_table(
        "provenance_authority",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("certificate", sa.String(), nullable=True),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("purpose IN ('root', 'watermark')", name="provenance_authority_purpose"),
        sa.CheckConstraint("(purpose = 'root') = (certificate IS NOT NULL)", name="provenance_authority_certificate"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("provenance_authority_version", "provenance_authority", ["purpose", "version"], unique=True)
    op.create_table(
        "provenance_signer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("certificate", sa.String(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("provenance_signer_version", "provenance_signer", ["tenant_id", "version"], unique=True)
    op.create_table(
        "provenance_mark",
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("headshot_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(mark) = 8", name="provenance_mark_64_bits"),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("mark"),
    )
    op.create_index("provenance_mark_of_subject", "provenance_mark", ["tenant_id", "subject_id"], unique=False)
    op.create_index("provenance_mark_of_headshot", "provenance_mark", ["tenant_id", "headshot_id"], unique=False)
    op.create_table(
        "provenance_fingerprint",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index(
        "provenance_fingerprint_of_subject", "provenance_fingerprint", ["tenant_id", "subject_id"], unique=False
    )


def downgrade() -> None:
    op.execute("DROP POLICY every_row ON subject")
    op.execute("REVOKE SELECT (id, erased_at) ON subject FROM likeness_system")
    for table in ("provenance_fingerprint", "provenance_mark", "provenance_signer", "provenance_authority"):
        op.drop_table(table)
