"""The deployment's own keys move into the key store, where the key role alone reads them and adds to them.

Revision ID: 2026_11_26_0110
Revises: 0008
"""

from alembic import op

revision = "2026_11_26_0110"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = "purpose, version, certificate, sealed_key, created_at"

_UP = (
    "SET LOCAL lock_timeout = '5s'",
    """
    CREATE TABLE keystore.deployment_key (
        purpose text NOT NULL CHECK (purpose IN ('root', 'watermark')),
        version integer NOT NULL CHECK (version > 0),
        certificate text,
        sealed_key bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (purpose, version),
        CHECK ((purpose = 'root') = (certificate IS NOT NULL))
    )
    """,
    f"INSERT INTO keystore.deployment_key ({_COLUMNS}) SELECT {_COLUMNS} FROM provenance_authority",  # noqa: S608 (constants)
    # A copy left behind would still be read, and added to, by the role that this takes it away from.
    "DROP TABLE provenance_authority",
    "GRANT SELECT, INSERT ON keystore.deployment_key TO likeness_keys",
)

_DOWN = (
    """
    CREATE TABLE provenance_authority (
        id uuid PRIMARY KEY,
        purpose varchar NOT NULL,
        version integer NOT NULL,
        certificate varchar,
        sealed_key bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT provenance_authority_purpose CHECK (purpose IN ('root', 'watermark')),
        CONSTRAINT provenance_authority_certificate CHECK ((purpose = 'root') = (certificate IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX provenance_authority_version ON provenance_authority (purpose, version)",
    f"INSERT INTO provenance_authority (id, {_COLUMNS}) SELECT gen_random_uuid(), {_COLUMNS} FROM keystore.deployment_key",  # noqa: S608, E501 (constants, one statement)
    "DROP TABLE keystore.deployment_key",
    "GRANT SELECT, INSERT ON provenance_authority TO likeness_system",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
