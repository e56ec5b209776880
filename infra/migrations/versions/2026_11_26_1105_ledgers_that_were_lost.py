"""A restore without the tombstone ledger stays known; what `retention_policy` took over leaves the tenant's row.

Revision ID: 2026_11_26_1105
Revises: 2026_11_26_1055
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_1105"
down_revision = "2026_11_26_1055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("restoration", sa.Column("ledger_lost", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.drop_column("tenant", "photo_retention_seconds")
    op.drop_column("tenant", "headshot_retention_seconds")


def downgrade() -> None:
    day = 86_400
    for column, days in (("photo_retention_seconds", 7), ("headshot_retention_seconds", 30)):
        op.add_column("tenant", sa.Column(column, sa.Integer(), nullable=False, server_default=str(days * day)))
        op.alter_column("tenant", column, server_default=None)
    op.drop_column("restoration", "ledger_lost")
