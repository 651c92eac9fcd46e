"""The database that `eventbus.testing` gives to authors of departments."""

import psycopg
import pytest
import sqlalchemy as sa
from eventbus.database import create_engine
from eventbus.testing.postgresql import PostgreSQLServer


def test_each_test_gets_an_empty_database_that_it_can_write(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (number TEXT)"))
        connection.execute(sa.text("INSERT INTO orders VALUES ('7KQ2')"))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM orders")) == 1
    engine.dispose()


@pytest.mark.usefixtures("postgresql_server")  # marks the test
def test_server_stopped_and_started_keeps_what_was_committed() -> None:
    with PostgreSQLServer() as server:
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE kept (n INT)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url(), connect_timeout=2)
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.usefixtures("postgresql_server")
def test_server_refuses_who_does_not_know_its_password() -> None:
    with PostgreSQLServer() as server, pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{server.port}/postgres", connect_timeout=2)
