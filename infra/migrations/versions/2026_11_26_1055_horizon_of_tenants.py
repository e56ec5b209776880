"""The certificate of a tenant that left gets a second part as well: that no backup holds its keys.

Revision ID: 2026_11_26_1055
Revises: 2026_11_26_1050
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_26_1055"
down_revision = "2026_11_26_1050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("departure", sa.Column("horizon_body", JSONB(), nullable=True))
    op.add_column("departure", sa.Column("horizon_entry_id", sa.Uuid(), nullable=True))
    op.add_column("departure", sa.Column("horizon_document", sa.LargeBinary(), nullable=True))
    op.add_column("departure", sa.Column("horizon_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("GRANT SELECT (certified_at, shredded_at, horizon_at) ON departure TO likeness_system")


def downgrade() -> None:
    op.execute("REVOKE SELECT (certified_at, shredded_at, horizon_at) ON departure FROM likeness_system")
    for column in ("horizon_at", "horizon_document", "horizon_entry_id", "horizon_body"):
        op.drop_column("departure", column)
