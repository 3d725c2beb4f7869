"""Prefect's server on SQLite for one machine: `python -m flows.service.prefect_server server start ...`.

Two workers, their runs and the server's own services write at the same time. A transaction of the server
begins as DEFERRED and takes the right to write when it first writes; where another has written since it
began, SQLite refuses at once, whatever the timeout ("database is locked", an answer of 503). Beginning as
IMMEDIATE waits for its turn instead, as a comment in `AioSqliteConfiguration.setup_sqlite` says. On
PostgreSQL nothing differs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


@asynccontextmanager
async def begin_immediate(
    _: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    """A transaction that has the right to write from its beginning."""
    token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
    try:
        async with session.begin() as transaction:
            yield transaction
    finally:
        SQLITE_BEGIN_MODE.reset(token)


def main() -> None:
    """The command line of Prefect."""
    AioSqliteConfiguration.begin_transaction = begin_immediate  # type: ignore[method-assign, assignment]
    app()


if __name__ == "__main__":
    main()
