"""Open the registry: server, migrations, tenant, pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.collections import ensure_tenant
from registry.connection import Database, connect_admin
from registry.embedded import start_embedded
from registry.migrate import has_app_role, migrate


@contextmanager
def open_registry(home: Path, *, url: str | None, tenant: str) -> Iterator[Database]:
    """The registry of one tenant, ready for use.

    Args:
        home: data directory; holds the embedded server where `url` is None.
        url: a PostgreSQL server of the user's own.
        tenant: created on first use.

    Raises:
        DatabaseUnavailable, MigrationError, HomeNotWritable: see the classes.
    """
    url = start_embedded(home) if url is None else url
    with connect_admin(url) as admin:
        migrate(admin)
        tenant_id = ensure_tenant(admin, tenant)
        use_role = has_app_role(admin)
    db = Database(url, tenant_id, use_role=use_role)
    try:
        yield db
    finally:
        db.close()
