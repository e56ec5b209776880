"""The host of a webhook endpoint, taken out of its address by the database: all of it that operators see.

Revision ID: 2026_11_26_0215
Revises: 2026_11_26_0155_proposals
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_0215"
down_revision = "2026_11_26_0155_proposals"
branch_labels = None
depends_on = None

_HOST = r"substring(url from '^[a-z]+://(?:[^/?#@]*@)?([^/:?#]+)')"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("webhook_endpoint", sa.Column("host", sa.String(), sa.Computed(_HOST, persisted=True), nullable=True))
    op.execute("GRANT SELECT (host) ON webhook_endpoint TO likeness_system")


def downgrade() -> None:
    op.drop_column("webhook_endpoint", "host")
