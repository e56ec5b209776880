"""Which tables there are, who may read each, and in which order they can be filled: asked of the database itself."""

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

# The restore writes its own story; the other is alembic's.
_NOT_COPIED = ("alembic_version", "restoration")

_TABLES = """
SELECT relation.oid AS oid, relation.relforcerowsecurity AS forced, space.nspname AS space, relation.relname AS name,
       array(SELECT field.attname FROM pg_attribute AS field
             WHERE field.attrelid = relation.oid AND field.attnum > 0 AND NOT field.attisdropped
               AND field.attgenerated = '' ORDER BY field.attnum)::text[] AS columns
FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'p') AND NOT relation.relispartition AND space.nspname = ANY ($1)
  AND NOT (space.nspname = 'public' AND relation.relname = ANY ($2))
ORDER BY space.nspname, relation.relname
"""

_REFERENCES = """
SELECT child_space.nspname || '.' || child.relname AS child, parent_space.nspname || '.' || parent.relname AS parent
FROM pg_constraint AS reference
JOIN pg_class AS child ON child.oid = reference.conrelid
JOIN pg_namespace AS child_space ON child_space.oid = child.relnamespace
JOIN pg_class AS parent ON parent.oid = reference.confrelid
JOIN pg_namespace AS parent_space ON parent_space.oid = parent.relnamespace
WHERE reference.contype = 'f' AND child.oid <> parent.oid
"""


@dataclass(frozen=True)
class Found:
    """One table of the database. forced: row-level security binds its owner as well."""

    oid: int
    space: str
    name: str
    columns: tuple[str, ...]
    forced: bool

    @property
    def full(self) -> str:
        """With its schema, as it stands in a manifest."""
        return f"{self.space}.{self.name}"

    @property
    def tenant_column(self) -> str | None:
        """The column by which row-level security divides it."""
        if "tenant_id" in self.columns:
            return "tenant_id"
        return "id" if self.full == "public.tenant" else None


async def tables(connection: Any, *spaces: str) -> list[Found]:
    """All tables of these schemas that a backup holds. Any role may ask."""
    rows = await connection.fetch(_TABLES, list(spaces), list(_NOT_COPIED))
    return [Found(row["oid"], row["space"], row["name"], tuple(row["columns"]), row["forced"]) for row in rows]


async def in_order(connection: Any, found: list[Found]) -> list[Found]:
    """The same, each after those that it refers to."""
    named = {table.full: table for table in found}
    sorter: TopologicalSorter[str] = TopologicalSorter({name: set() for name in named})
    for row in await connection.fetch(_REFERENCES):
        if row["child"] in named and row["parent"] in named:
            sorter.add(row["child"], row["parent"])
    return [named[name] for name in sorter.static_order()]


async def may_read(connection: Any, table: Found) -> bool:
    """Whether the role of this connection may read every column."""
    asked = "SELECT has_schema_privilege($1, 'USAGE') AND has_table_privilege($2::oid, 'SELECT')"
    return bool(await connection.fetchval(asked, table.space, table.oid))
