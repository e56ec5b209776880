"""The key store: wrapped keys in a schema and with a role of their own.

Revision ID: 0001
Revises:
Create Date: 2026-11-23 09:00
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OWN_TENANT = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"

_UP = (
    "CREATE SCHEMA keystore",
    "REVOKE ALL ON SCHEMA keystore FROM PUBLIC",
    # purpose kek: wrapped by the key provider, under its root_version. The others are wrapped by the KEK kek_version.
    # A destroyed version keeps its row, without its wrap, so that its number is never used again.
    """
    CREATE TABLE keystore.tenant_key (
        tenant_id uuid NOT NULL,
        purpose text NOT NULL CHECK (purpose IN ('kek', 'index', 'secrets')),
        version integer NOT NULL CHECK (version > 0),
        wrapped bytea,
        root_version integer,
        kek_version integer,
        state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retiring', 'destroyed')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, purpose, version),
        CHECK ((state = 'destroyed') = (wrapped IS NULL)),
        CHECK ((purpose = 'kek') = (root_version IS NOT NULL)),
        CHECK ((purpose = 'kek') = (kek_version IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX tenant_key_active ON keystore.tenant_key (tenant_id, purpose) WHERE state = 'active'",
    """
    CREATE TABLE keystore.subject_key (
        tenant_id uuid NOT NULL,
        subject_id uuid NOT NULL,
        kek_version integer NOT NULL,
        wrapped bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, subject_id)
    )
    """,
    "CREATE INDEX subject_key_by_kek ON keystore.subject_key (tenant_id, kek_version, subject_id)",
    "ALTER TABLE keystore.tenant_key ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE keystore.tenant_key FORCE ROW LEVEL SECURITY",
    "ALTER TABLE keystore.subject_key ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE keystore.subject_key FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY own_tenant ON keystore.tenant_key USING ({_OWN_TENANT}) WITH CHECK ({_OWN_TENANT})",
    f"CREATE POLICY own_tenant ON keystore.subject_key USING ({_OWN_TENANT}) WITH CHECK ({_OWN_TENANT})",
    # The tenant of this transaction. No tenant is an error, never an empty answer that looks like success.
    """
    CREATE FUNCTION keystore.own_tenant() RETURNS uuid
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        tenant text := nullif(current_setting('likeness.tenant_id', true), '');
    BEGIN
        IF tenant IS NULL THEN
            RAISE EXCEPTION 'no tenant is bound to this transaction' USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN tenant::uuid;
    END $$
    """,
    # The application may write a wrap, never read one. False: the KEK version is not the active one any more, and the
    # caller wraps anew. The share lock holds a rotation back until this transaction ends, so that no wrap is left under
    # a dead KEK.
    """
    CREATE FUNCTION keystore.put_subject_key(subject_id uuid, kek_version integer, wrapped bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        tenant uuid := keystore.own_tenant();
    BEGIN
        PERFORM 1 FROM keystore.tenant_key AS kek
        WHERE kek.tenant_id = tenant AND kek.purpose = 'kek' AND kek.version = put_subject_key.kek_version
          AND kek.state = 'active'
        FOR SHARE;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        INSERT INTO keystore.subject_key (tenant_id, subject_id, kek_version, wrapped)
        VALUES (tenant, put_subject_key.subject_id, put_subject_key.kek_version, put_subject_key.wrapped);
        RETURN true;
    END $$
    """,
    # How many wraps were deleted: 1, or 0 when the subject has none. The word goes out when the transaction commits.
    """
    CREATE FUNCTION keystore.shred_subject(subject_id uuid) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        tenant uuid := keystore.own_tenant();
        deleted integer;
    BEGIN
        DELETE FROM keystore.subject_key AS key
        WHERE key.tenant_id = tenant AND key.subject_id = shred_subject.subject_id;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        PERFORM pg_notify('likeness_shred', tenant::text || ':' || shred_subject.subject_id::text);
        RETURN deleted;
    END $$
    """,
    "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keystore FROM PUBLIC",
    "GRANT USAGE ON SCHEMA keystore TO likeness_app, likeness_keys",
    "GRANT EXECUTE ON FUNCTION keystore.put_subject_key(uuid, integer, bytea) TO likeness_app",
    "GRANT EXECUTE ON FUNCTION keystore.shred_subject(uuid) TO likeness_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON keystore.tenant_key, keystore.subject_key TO likeness_keys",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA keystore CASCADE")
