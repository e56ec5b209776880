"""Which tables row-level security does not guard: asked by the doctor, and by the tests."""

from typing import Any

_UNGUARDED = """
SELECT relation.oid::regclass::text AS name
FROM pg_class AS relation
JOIN pg_namespace AS space ON space.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'p')
  AND (
    EXISTS (
      SELECT FROM pg_attribute AS field
      WHERE field.attrelid = relation.oid AND field.attname = 'tenant_id' AND NOT field.attisdropped
    )
    OR (space.nspname = 'public' AND relation.relname = 'tenant')
  )
  AND space.nspname IN ('public', 'keystore')
  AND NOT (
    relation.relrowsecurity
    AND relation.relforcerowsecurity
    AND EXISTS (SELECT FROM pg_policy AS policy WHERE policy.polrelid = relation.oid)
  )
ORDER BY name
"""


async def unguarded_tables(connection: Any) -> list[str]:
    """Tables that hold rows of tenants without forced row-level security or without a policy. Any role may ask."""
    return [row["name"] for row in await connection.fetch(_UNGUARDED)]
