"""People belong to the sandbox or to the live side: a key sees those of its own mode alone.

Revision ID: 2026_11_26_1020
Revises: 2026_11_26_0305
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_1020"
down_revision = "2026_11_26_0305"
branch_labels = None
depends_on = None

_MODE = "NULLIF(current_setting('likeness.mode', true), '')"
# What is somebody's. The audit log stays whole, because each leaf builds on the one before; it names nobody.
_OF_PEOPLE = (
    "access_entry",
    "asset",
    "consent",
    "erasure_certificate",
    "erasure_receiver",
    "headshot",
    "job",
    "legal_hold",
    "person_export",
    "person_import",
    "person_link",
    "photo",
    "restriction",
    "rights_request",
    "subject_revision",
    "tombstone",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Whoever is there was made when modes saw each other; they are taken for real people.
    op.add_column("subject", sa.Column("mode", sa.String(), nullable=False, server_default="live"))
    op.execute(f"ALTER TABLE subject ALTER COLUMN mode SET DEFAULT COALESCE({_MODE}, 'live')")
    op.create_check_constraint("subject_mode", "subject", "mode IN ('live', 'test')")
    op.drop_index("subject_by_reference", table_name="subject")
    op.create_index("subject_by_reference", "subject", ["tenant_id", "mode", "reference_index"], unique=True)
    theirs = f"{_MODE} IS NULL OR mode = {_MODE}"
    op.execute(
        f"CREATE POLICY own_mode ON subject AS RESTRICTIVE TO likeness_app USING ({theirs}) WITH CHECK ({theirs})"
    )
    for table in _OF_PEOPLE:
        seen = f"{_MODE} IS NULL OR EXISTS (SELECT FROM subject s WHERE s.id = {table}.subject_id)"
        op.execute(
            f"CREATE POLICY own_mode ON {table} AS RESTRICTIVE TO likeness_app USING ({seen}) WITH CHECK ({seen})"
        )


def downgrade() -> None:
    for table in (*_OF_PEOPLE, "subject"):
        op.execute(f"DROP POLICY own_mode ON {table}")
    op.drop_index("subject_by_reference", table_name="subject")
    op.create_index("subject_by_reference", "subject", ["tenant_id", "reference_index"], unique=True)
    op.drop_constraint("subject_mode", "subject")
    op.drop_column("subject", "mode")
