"""A proposal begins open and is a person's, in the database too; nothing that was read of one changes later.

Revision ID: 2026_11_26_1047
Revises: 2026_11_26_1045
"""

from alembic import op

revision = "2026_11_26_1047"
down_revision = "2026_11_26_1045"
branch_labels = None
depends_on = None

# The trigger of updates alone left a way round it: a row that says from the start that somebody agreed.
_BEGIN = """
CREATE FUNCTION proposal_begins_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'open' OR NEW.attempts <> 0 OR num_nonnulls(
        NEW.decided_by, NEW.decided_at, NEW.decision_reason, NEW.started_at, NEW.executed_at, NEW.failure) <> 0 THEN
        RAISE EXCEPTION 'a proposal begins open' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.proposed_by IS NULL THEN
        RAISE EXCEPTION 'a machine proposes nothing' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.expires_at > NEW.proposed_at + interval '72 hours' THEN
        RAISE EXCEPTION 'a proposal lives for 72 hours' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

_STEP = """
CREATE OR REPLACE FUNCTION proposal_step_is_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (%(new)s) IS DISTINCT FROM (%(old)s) THEN
        RAISE EXCEPTION 'what was proposed never changes' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('open', 'approved'), ('open', 'refused'), ('open', 'withdrawn'), ('open', 'expired'),
        ('approved', 'executed'), ('approved', 'failed'), ('failed', 'approved')
    ) THEN
        RAISE EXCEPTION 'a proposal cannot go from %% to %%', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> 'open' AND (NEW.decided_by, NEW.decided_at, NEW.decision_reason)
        IS DISTINCT FROM (OLD.decided_by, OLD.decided_at, OLD.decision_reason) THEN
        RAISE EXCEPTION 'a decision is made once' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state = 'open' AND NEW.state = 'approved' AND NEW.decided_at >= OLD.expires_at THEN
        RAISE EXCEPTION 'the proposal has expired' USING ERRCODE = 'check_violation';
    END IF;%(more)s
    RETURN NEW;
END $$
"""
_BEFORE = ("kind", "about_tenant_id", "target", "body", "proposed_by", "proposed_at", "expires_at")
_FIXED = ("id", *_BEFORE, "summary", "effect", "reason")
# Of before: whoever has the machine's credential and an account of their own would be two.
_BY_A_PERSON = """
    IF OLD.state = 'open' AND NEW.state = 'approved' AND NEW.proposed_by IS NULL THEN
        RAISE EXCEPTION 'what a machine proposed is approved by nobody' USING ERRCODE = 'check_violation';
    END IF;"""


def _step(fixed: tuple[str, ...], more: str = "") -> str:
    new, old = (", ".join(f"{row}.{column}" for column in fixed) for row in ("NEW", "OLD"))
    return _STEP % {"new": new, "old": old, "more": more}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(_BEGIN)
    op.execute(
        "CREATE TRIGGER proposal_begin BEFORE INSERT ON proposal FOR EACH ROW EXECUTE FUNCTION proposal_begins_open()"
    )
    op.execute(_step(_FIXED, _BY_A_PERSON))


def downgrade() -> None:
    op.execute("DROP TRIGGER proposal_begin ON proposal")
    op.execute("DROP FUNCTION proposal_begins_open")
    op.execute(_step(_BEFORE))
