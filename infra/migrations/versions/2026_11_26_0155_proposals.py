"""Four eyes: proposals, which the database itself lets nobody approve alone; and who changed a tenant last.

Revision ID: 2026_11_26_0155_proposals
Revises: 2026_11_26_0152
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0155_proposals"
down_revision = "2026_11_26_0152"
branch_labels = None
depends_on = None

_TENANT_SET = "name, region, state, plan, version, changed_by, changed_at"

# What was proposed never changes, and a decision is made once, in time.
_STEP = """
CREATE FUNCTION proposal_step_is_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.kind, NEW.about_tenant_id, NEW.target, NEW.body, NEW.proposed_by, NEW.proposed_at, NEW.expires_at)
        IS DISTINCT FROM
       (OLD.kind, OLD.about_tenant_id, OLD.target, OLD.body, OLD.proposed_by, OLD.proposed_at, OLD.expires_at) THEN
        RAISE EXCEPTION 'what was proposed never changes' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('open', 'approved'), ('open', 'refused'), ('open', 'withdrawn'), ('open', 'expired'),
        ('approved', 'executed'), ('approved', 'failed'), ('failed', 'approved')
    ) THEN
        RAISE EXCEPTION 'a proposal cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> 'open' AND (NEW.decided_by, NEW.decided_at, NEW.decision_reason)
        IS DISTINCT FROM (OLD.decided_by, OLD.decided_at, OLD.decision_reason) THEN
        RAISE EXCEPTION 'a decision is made once' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state = 'open' AND NEW.state = 'approved' AND NEW.decided_at >= OLD.expires_at THEN
        RAISE EXCEPTION 'the proposal has expired' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "proposal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("about_tenant_id", sa.Uuid(), nullable=True),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("effect", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=True),
        sa.Column("proposed_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", moment, nullable=True),
        sa.Column("decision_reason", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("executed_at", moment, nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'approved', 'executed', 'failed', 'refused', 'withdrawn', 'expired')",
            name="proposal_state",
        ),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'executed', 'failed', 'refused')"
            " OR (decided_by IS NOT NULL AND decided_at IS NOT NULL AND decided_by IS DISTINCT FROM proposed_by)",
            name="proposal_second_person",
        ),
        sa.CheckConstraint("(state = 'executed') = (executed_at IS NOT NULL)", name="proposal_executed"),
        sa.CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="proposal_failed"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "proposal_once",
        "proposal",
        ["kind", "target"],
        unique=True,
        postgresql_where=sa.text("state IN ('open', 'approved')"),
    )
    op.create_index("proposal_by_state", "proposal", ["state", "id"], unique=False)
    op.execute(_STEP)
    op.execute(
        "CREATE TRIGGER proposal_step BEFORE UPDATE ON proposal FOR EACH ROW EXECUTE FUNCTION proposal_step_is_legal()"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON proposal TO likeness_operators")
    # The sweep lets what is old expire, and does nothing else to a proposal.
    op.execute(
        "GRANT SELECT (id, kind, state, about_tenant_id, proposed_at, expires_at) ON proposal TO likeness_system"
    )
    op.execute("GRANT UPDATE (state) ON proposal TO likeness_system")
    op.execute("ALTER TABLE proposal ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE proposal FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY every_row ON proposal TO likeness_operators USING (true) WITH CHECK (true)")
    op.execute("CREATE POLICY every_row_seen ON proposal FOR SELECT TO likeness_system USING (true)")
    op.execute(
        "CREATE POLICY lapse ON proposal FOR UPDATE TO likeness_system"
        " USING (state = 'open') WITH CHECK (state = 'expired')"
    )
    op.drop_column("operator_invitation", "proposal_id")
    op.add_column("operator_invitation", sa.Column("waits", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("operator_invitation", "waits", server_default=None)
    # A tenant changes in the transaction of the approval.
    op.add_column("tenant", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("tenant", sa.Column("changed_by", sa.String(), nullable=False, server_default="operator"))
    op.add_column("tenant", sa.Column("changed_at", moment, nullable=False, server_default=sa.func.now()))
    for column in ("version", "changed_by", "changed_at"):
        op.alter_column("tenant", column, server_default=None)
    op.execute(f"GRANT UPDATE ({_TENANT_SET}) ON tenant TO likeness_operators")


def downgrade() -> None:
    op.drop_column("operator_invitation", "waits")
    op.add_column("operator_invitation", sa.Column("proposal_id", sa.Uuid(), nullable=True))
    op.execute(f"REVOKE UPDATE ({_TENANT_SET}) ON tenant FROM likeness_operators")
    for column in ("version", "changed_by", "changed_at"):
        op.drop_column("tenant", column)
    op.drop_table("proposal")
    op.execute("DROP FUNCTION proposal_step_is_legal")
