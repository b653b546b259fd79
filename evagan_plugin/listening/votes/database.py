"""Connections to the database of a vote store: SQLite in WAL mode, or any that SQLAlchemy knows."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

BUSY_SECONDS = 30
"""How long a writer waits for another one."""


def connect(url: str) -> Engine:
    """Return the engine of an SQLAlchemy URL; nothing is opened yet.

    A transaction with the execution option ``writes`` takes SQLite's write lock as it begins.
    """
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=20, max_overflow=20)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver's own transactions begin too late for BEGIN IMMEDIATE: they are switched off.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine
