"""The API without a process, and the page in a real browser, served by a real department."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated
from eventbus.testing.broker import Broker, Node
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import DepartmentProcess
from eventbus.testing.ports import free_port
from marketing.book import open_book
from marketing.counters import REGION
from marketing.http_api import StatsApi
from marketing.settings import MarketingSettings
from marketing.tables import counts
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from werkzeug import Request, Response
from werkzeug.test import Client

from eventbus import database

BROWSERS = (
    "chromium",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HOSTILE = "<img src=x onerror=alert(1)>"
"""Cannot come as a region: the contract refuses it. It stands in the database all the same."""
DEADLINE_MS = 30_000
LONG = "a-region-with-thirty-two-letters"


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def autumn() -> list[Event[OrderCreated]]:
    """Forty orders of five customers in October and November 2025, more in the north and of product 7 than others."""
    return [
        an_event(
            customer_name=f"Customer {number % 5}",
            region=("north", "north", "south", LONG)[number // 2 % 4],
            product_ids=(7, 7, number + 1),
            created_at=at(f"2025-{10 + number % 2}-{1 + number // 2:02d}T{8 + number % 12:02d}:15:00Z"),
        )
        for number in range(40)
    ]


def count(url: str, events: list[Event[OrderCreated]]) -> None:
    """Counts them, as the department would, into a database with its tables."""
    database.upgrade(url, "marketing")
    engine = database.create_engine(url)
    with engine.begin() as connection:
        open_book(connection, "Europe/Berlin", None).count(connection, events)
    engine.dispose()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the orders of autumn, to be read only."""
    url = f"sqlite:///{tmp_path_factory.mktemp('autumn') / 'marketing.db'}"
    count(url, autumn())
    return url


class Container:
    """What a dependency asks of the service's container."""

    def __init__(self, settings: MarketingSettings) -> None:
        self.config = {"settings": settings}


@contextmanager
def asking(url: str) -> Iterator[Client]:
    """Asks the API of that database in this process."""
    settings = MarketingSettings(
        department="marketing", amqp_url=("amqp://127.0.0.1:1/",), database_url=url, health_port=free_port()
    )
    container = Container(settings)
    api: Any = StatsApi().bind(container, "stats")
    api.setup()
    routes: dict[str, Callable[[Request], Response]] = api.http_routes()

    @Request.application
    def application(request: Request) -> Response:
        return routes[request.path](request)

    yield Client(application)
    api.stop()


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[Client]:
    """Asks about the orders of autumn."""
    with asking(url) as client:
        yield client


@pytest.fixture
def client_of_each(database_url: str) -> Iterator[Client]:
    """The same on SQLite and on PostgreSQL."""
    count(database_url, autumn())
    with asking(database_url) as client:
        yield client


def in_a_snap(path: str) -> bool:
    """A snap sees a /tmp of its own: what it downloads cannot be found."""
    return path.startswith("/snap/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium: that of `CHROMIUM`, or the machine's own.

    For one module: while playwright is there, no other test of this process can use asyncio.
    """
    named = os.environ.get("CHROMIUM")
    found = named or next((path for name in BROWSERS if (path := shutil.which(name)) and not in_a_snap(path)), None)
    assert found, f"no browser: CHROMIUM=/path/to/chromium names one; looked for {', '.join(BROWSERS)}"
    expect.set_options(timeout=DEADLINE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


class Served:
    """A department with the orders of autumn, and the broker that brings it more."""

    def __init__(self, broker: Broker, process: DepartmentProcess) -> None:
        self.broker = broker
        self.process = process
        self.url = f"http://127.0.0.1:{process.port}"

    def orders(self, query: str) -> int:
        """How many orders the page would show."""
        return int(json.loads(self.process.get(f"/dashboard?{query}")[1])["orders"])


@pytest.fixture(scope="module")
def served(broker_node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One department for all tests of a module: none changes what it has counted of autumn."""
    folder = tmp_path_factory.mktemp("page")
    url = f"sqlite:///{folder / 'marketing.db'}"
    count(url, autumn())
    engine = database.create_engine(url)
    with engine.begin() as connection:
        row = {"dimension": REGION, "key": HOSTILE, "day": at("2025-09-09T12:00:00Z").date()}
        connection.execute(sa.insert(counts).values(**row, orders=9, items=9, customers=9, new_customers=9))
        connection.execute(
            sa.insert(counts).values(
                **{**row, "dimension": "total", "key": ""}, orders=9, items=9, customers=9, new_customers=9
            )
        )
    engine.dispose()
    with Broker(broker_node) as broker:
        broker.declare_shared()
        settings = {"department": "marketing", "database_url": url}
        process = DepartmentProcess(broker, "marketing.service:MarketingService", folder / "marketing", settings)
        try:
            yield Served(broker, process.wait_ready())
        finally:
            process.stop()


class Seen:
    """What a page did beside what it shows."""

    def __init__(self) -> None:
        self.console: list[str] = []
        self.requests: list[str] = []


OpenPage = Callable[..., tuple[Page, Seen]]


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[OpenPage]:
    """Opens a path of the page in a context of its own, and waits until its numbers are there or it says why not."""
    contexts: list[BrowserContext] = []

    def open_page(
        path: str = "/", *, before: Callable[[Page], None] | None = None, **options: Any
    ) -> tuple[Page, Seen]:
        options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        context = browser.new_context(base_url=served.url, **options)
        contexts.append(context)
        page, seen = context.new_page(), Seen()
        page.on("console", lambda message: seen.console.append(message.text))
        page.on("pageerror", lambda error: seen.console.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("dialog", lambda dialog: seen.console.append(f"dialog: {dialog.message}"))
        if before:
            before(page)
        page.goto(path)
        if page.locator("#freshness").count():
            page.locator("#freshness", has_not_text="Loading").wait_for()
        return page, seen

    yield open_page
    for context in contexts:
        context.close()
