"""A departure notes what its tenant was before, so that one that stays after all is that again.

Revision ID: 2026_11_26_1045
Revises: 2026_11_26_1020
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_1045"
down_revision = "2026_11_26_1020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("departure", sa.Column("state_before", sa.String(), nullable=False, server_default="active"))
    op.create_check_constraint("departure_state_before", "departure", "state_before IN ('active', 'suspended')")


def downgrade() -> None:
    op.drop_constraint("departure_state_before", "departure")
    op.drop_column("departure", "state_before")
