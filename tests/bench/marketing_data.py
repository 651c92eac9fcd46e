"""A shop's orders, counted by marketing's own code into a database: what `bench_marketing.py` asks.

    python tests/bench/marketing_data.py FILE [--orders 1000000] [--days 420] [--postgresql URL]

FILE is a SQLite database that is not there yet; a few minutes a million. With `--postgresql` the finished tables are
copied to that (empty) database as well. The same arguments make the same numbers: nothing depends on today.
"""

import argparse
import random
import sys
import time
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from pathlib import Path

import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated, order_created
from marketing.book import open_book
from marketing.tables import metadata
from sqlalchemy.engine import Engine

from eventbus import database

LAST_DAY = datetime(2026, 11, 24, tzinfo=UTC)
TIMEZONE = "Europe/Berlin"
REGIONS = {"north": 22, "south": 20, "west": 18, "east": 14, "centre": 10, "islands": 7, "abroad": 6, "outlet": 3}
PRODUCTS, CUSTOMERS = 5_000, 300_000
PRODUCTS_OF_AN_ORDER = {1: 30, 2: 28, 3: 18, 4: 12, 6: 8, 10: 4}
WEEKDAYS = (100, 92, 95, 101, 118, 131, 124)
HOURS = (8, 4, 2, 1, 1, 2, 9, 21, 38, 52, 60, 62, 64, 58, 54, 55, 60, 68, 82, 96, 104, 92, 58, 24)
LOYAL, AT_HOME = 0.25, 0.9
"""Shares: of lines with one of the customer's favourites, of orders from the customer's own region."""
FAVOURITES = 4
BATCH = 5_000


class Choice:
    """Draws indexes with these weights: a few products, and a few customers, make most of the orders."""

    def __init__(self, weights: Iterable[float]) -> None:
        self._sums = list(accumulate(weights))

    def draw(self, chance: random.Random) -> int:
        return bisect(self._sums, chance.random() * self._sums[-1])


def orders(count: int, days: int, prefix: str = "B") -> Iterator[Event[OrderCreated]]:
    """Orders by time. Those of a day are as many as its weekday and the shop's growth make them.

    `prefix`: of the order numbers, from which the events' ids are derived.
    """
    chance = random.Random(prefix)
    product = Choice(1 / (rank + 20) ** 0.8 for rank in range(PRODUCTS))
    customer = Choice(1 / (rank + 300) ** 0.5 for rank in range(CUSTOMERS))
    hour = Choice(HOURS)
    first = LAST_DAY - timedelta(days - 1)
    shares = [WEEKDAYS[(first + timedelta(day)).weekday()] * (1 + day / days) for day in range(days)]
    ends = [round(count * share / sum(shares)) for share in accumulate(shares)]
    favourites = [[1 + product.draw(chance) for _ in range(FAVOURITES)] for _ in range(CUSTOMERS)]
    homes = chance.choices(list(REGIONS), list(REGIONS.values()), k=CUSTOMERS)
    sizes, size_weights = list(PRODUCTS_OF_AN_ORDER), list(PRODUCTS_OF_AN_ORDER.values())
    number = 0
    for day, end in enumerate(ends):
        of_day = [hour.draw(chance) * 3600 + chance.randrange(3600) for _ in range(end - number)]
        for second in sorted(of_day):
            number += 1
            who, size = customer.draw(chance), chance.choices(sizes, size_weights)[0]
            order = OrderCreated(
                order_number=f"{prefix}{number:08d}",
                customer_name=f"Customer {who}",
                product_ids=tuple(
                    chance.choice(favourites[who]) if chance.random() < LOYAL else 1 + product.draw(chance)
                    for _ in range(size)
                ),
                region=homes[who] if chance.random() < AT_HOME else chance.choice(list(REGIONS)),
                created_at=first + timedelta(days=day, seconds=second),
            )
            yield order_created(order)


def count(engine: Engine, events: Iterable[Event[OrderCreated]], total: int) -> None:
    """Count them in batches larger than the department's: the numbers are the same, and it is done sooner."""
    with engine.begin() as connection:
        book = open_book(connection, TIMEZONE, None)
    began, done, batches = time.monotonic(), 0, iter(events)
    while batch := list(islice(batches, BATCH)):
        with engine.begin() as connection:
            book.count(connection, batch)
        done += len(batch)
        if done % 100_000 < BATCH:
            print(f"{done:,} of {total:,} orders, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def make_sqlite(file: Path, total: int, days: int) -> None:
    url = f"sqlite:///{file}"
    database.upgrade(url, "marketing")
    engine = database.create_engine(url, poolclass=sa.pool.StaticPool)  # one connection keeps its settings

    @sa.event.listens_for(engine, "connect", insert=False)
    def quickly(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("PRAGMA synchronous=OFF")
        connection.cursor().execute("PRAGMA cache_size=-500000")

    count(engine, orders(total, days), total)
    engine.dispose()


def copy(file: Path, url: str) -> None:
    """The SQLite file's rows into an empty PostgreSQL database."""
    database.upgrade(url, "marketing")
    source, target = database.create_engine(f"sqlite:///{file}", writes=False), database.create_engine(url)
    with source.connect() as reading, target.begin() as writing:
        raw = writing.connection.driver_connection
        assert raw is not None
        for table in metadata.sorted_tables:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as into:
                for row in reading.execution_options(yield_per=10_000).execute(sa.select(table)):
                    into.write_row(row)
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
    source.dispose()
    target.dispose()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=420)
    parser.add_argument("--postgresql", metavar="URL")
    options = parser.parse_args(arguments)
    if not options.file.exists():
        make_sqlite(options.file, options.orders, options.days)
    if options.postgresql:
        copy(options.file, options.postgresql)


if __name__ == "__main__":
    main()
