"""The page in a browser: what a marketing person sees, and what it does on the way."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from eventbus.testing import wait_until
from eventbus.testing.builders import an_event
from playwright.sync_api import Page, Route, expect

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
SECTIONS = ("over-time", "regions", "products", "customers")
NOVEMBER = "/?from=2025-11-01&to=2025-11-30"
DAYS = "/?from=2025-11-04&to=2025-11-07"
AUTUMN = "/?from=2025-10-01&to=2025-11-30"
REFRESH_MS = 21_000

# How many pixels of a canvas have exactly the colour that a custom property of the page holds.
PAINTED = """
(canvas, name) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b) found++;
  return found;
}
"""


def figure(page: Page, name: str) -> str:
    return page.locator(f"[data-total={name}]").inner_text()


def painted(page: Page, section: str, colour: str) -> int:
    found: int = page.locator(f"#{section} canvas").evaluate(PAINTED, colour)
    return found


def table(page: Page, section: str) -> list[list[str]]:
    """The section's table without its head, opened by its summary."""
    details = page.locator(f"#{section} details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()
    rows = details.locator("tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def change_answer(where: Page, **fields: Any) -> None:
    """The server's answer to the page, with other values."""

    def handle(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps(answer.json() | fields))

    where.route("**/dashboard*", handle)


def test_numbers_are_drawn_from_one_answer_and_nothing_comes_from_elsewhere(open_page: Any, served: Any) -> None:
    page, seen = open_page(NOVEMBER)

    assert [figure(page, name) for name in ("orders", "items", "customers", "new_customers")] == ["20", "60", "5", "0"]
    assert seen.console == []
    for section, colours in {
        "over-time": ("orders", "items"),
        "regions": ("regions",),
        "products": ("products",),
        "customers": ("returning",),
    }.items():
        assert all(painted(page, section, colour) > 200 for colour in colours), section
        assert "Chart." in (page.locator(f"#{section} canvas").get_attribute("aria-label") or "")
    assert len([url for url in seen.requests if "/dashboard" in url]) == 1
    assert [url for url in seen.requests if not url.startswith(served.url)] == []
    assert page.evaluate("document.getAnimations().length") == 0


def test_period_changes_numbers_address_and_back_again(open_page: Any) -> None:
    page, seen = open_page(NOVEMBER)

    page.get_by_label("From", exact=True).fill("2025-10-01")
    page.get_by_label("To", exact=True).fill("2025-10-31")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("[data-total=new_customers]")).to_have_text("5")
    expect(page).to_have_url("".join([page.url.split("/?")[0], "/?from=2025-10-01&to=2025-10-31"]))
    expect(page).to_have_title("Orders, 1 – 31 Oct 2025 – Marketing")
    expect(page.get_by_role("status")).to_have_text("1 – 31 Oct 2025: 20 orders")

    page.get_by_role("link", name="12 months").click()
    expect(page.get_by_role("link", name="12 months")).to_have_attribute("aria-current", "true")
    assert page.url.endswith("/?period=12-months")

    page.go_back()
    expect(page.locator("[data-total=new_customers]")).to_have_text("5")
    page.reload()
    expect(page.locator("#span")).to_have_text("1 – 31 Oct 2025")
    assert seen.console == []


@pytest.mark.parametrize(
    ("path", "step", "steps", "first"),
    [
        ("/?from=2025-06-04&to=2025-11-30", "week", 26, "Week of 2 Jun 2025"),
        ("/?from=2024-12-01&to=2025-11-30", "month", 12, "Dec 2024"),
        ("/?from=2015-12-01&to=2025-11-30", "month", 120, "Dec 2015"),
    ],
)
def test_long_period_is_drawn_by_weeks_or_months(open_page: Any, path: str, step: str, steps: int, first: str) -> None:
    page, seen = open_page(path)
    expect(page.get_by_role("heading", name=f"Orders and items by {step}")).to_be_visible()
    shown = table(page, "over-time")
    assert (len(shown), shown[0][0]) == (steps, first)
    assert sum(int(row[1]) for row in shown) == 49
    assert painted(page, "over-time", "orders") > 20
    assert f"group_by={step}" in (page.locator("#over-time .csv").get_attribute("href") or "")
    assert seen.console == []


def test_csv_beside_each_chart_is_the_table(open_page: Any, tmp_path: Path) -> None:
    page, _ = open_page(NOVEMBER)

    for section in SECTIONS:
        shown = table(page, section)
        with page.expect_download() as download:
            page.locator(f"#{section} .csv").click()
        assert download.value.suggested_filename.startswith("marketing-2025-11-01-to-2025-11-30-by-")
        download.value.save_as(tmp_path / section)
        with (tmp_path / section).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = page.locator(f"#{section} thead th").all_inner_texts()[1:]
        names = {"Orders": "orders", "Items": "items", "Customers": "customers", "New customers": "new_customers"}
        measured = {
            name: sorted(int(line[index + 1]) for line in shown) for index, name in enumerate(columns) if name in names
        }
        if section == "products":  # the page lists the first twenty
            rows = rows[:20]
        assert measured == {name: sorted(int(row[names[name]]) for row in rows) for name in measured}, section
        assert len(shown) == len(rows)


def test_page_is_used_by_keyboard_alone(open_page: Any) -> None:
    page, _ = open_page(AUTUMN)

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the numbers"
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "7 days"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page).to_have_url(page.url.split("/?")[0] + "/?period=7-days")

    page.goto(AUTUMN)
    expect(page.locator("[data-total=orders]")).to_have_text("40")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + document.activeElement.className"))
        if reached[-1] == "SUMMARY":
            break
    page.keyboard.press("Space")
    expect(page.locator("#over-time tbody tr").first).to_be_visible()
    assert {"A", "INPUT", "BUTTON", "Acsv", "SUMMARY"} <= set(reached)


def test_new_order_appears_by_itself(open_page: Any, served: Any) -> None:
    page, _ = open_page("/?period=today", before=lambda page: page.clock.install())
    shown = int(figure(page, "orders"))
    spoken = page.get_by_role("status").inner_text()

    served.broker.publish(an_event(region="west", created_at=datetime.now(UTC)), "order.created.west")
    wait_until(lambda: served.orders("period=today") == shown + 1, 30, "the order is counted")
    page.clock.run_for(REFRESH_MS)
    expect(page.locator("[data-total=orders]")).to_have_text(str(shown + 1))
    assert "west" in [line[0] for line in table(page, "regions")]
    assert page.get_by_role("status").inner_text() == spoken, "a refresh is not read aloud"


def test_hidden_page_asks_nothing_and_catches_up_when_it_is_seen(open_page: Any) -> None:
    page, seen = open_page(NOVEMBER, before=lambda page: page.clock.install())
    hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"

    page.evaluate(hide, True)
    page.clock.run_for(5 * REFRESH_MS)
    assert len([url for url in seen.requests if "/dashboard" in url]) == 1

    with page.expect_request("**/dashboard*"):
        page.evaluate(hide, False)


def test_server_out_of_reach_is_said_once_numbers_stay_and_it_mends_itself(open_page: Any) -> None:
    page, _ = open_page(NOVEMBER, before=lambda page: page.clock.install())
    page.context.set_offline(True)
    page.clock.run_for(REFRESH_MS)

    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached. The numbers are those of ")
    expect(page.locator("#freshness")).to_contain_text("Not updated since")
    assert figure(page, "orders") == "20"
    assert painted(page, "over-time", "orders") > 200

    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#freshness")).to_contain_text("Updated ")


def test_database_away_is_said_and_trying_again_brings_the_numbers(open_page: Any) -> None:
    problem = {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The database does not answer. Try again later.",
    }

    def away(page: Page) -> None:
        answer = {"status": 503, "content_type": "application/problem+json", "body": json.dumps(problem)}
        page.route("**/dashboard*", lambda route: route.fulfill(**answer))

    page, _ = open_page(NOVEMBER, before=away)
    expect(page.get_by_role("alert")).to_contain_text("The database does not answer.")
    assert figure(page, "orders") == "–"

    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("[data-total=orders]")).to_have_text("20")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_wrong_dates_are_said_and_can_be_mended(open_page: Any) -> None:
    page, _ = open_page("/?from=2025-12-01&to=2025-11-01")
    expect(page.get_by_role("alert")).to_contain_text("2025-12-01 is after to, which is 2025-11-01")
    assert page.get_by_label("From", exact=True).input_value() == "2025-12-01"

    page.get_by_label("From", exact=True).fill("2025-10-01")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("[data-total=orders]")).to_have_text("21")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_newer_page_is_loaded_once(open_page: Any) -> None:
    page, seen = open_page(NOVEMBER, before=lambda page: change_answer(page, page="another"))
    expect(page.locator("[data-total=orders]")).to_have_text("20")
    assert len([url for url in seen.requests if "/dashboard" in url]) == 2
    assert seen.console == []


def test_answer_that_cannot_be_shown_is_no_blank_page(open_page: Any) -> None:
    page, _ = open_page(NOVEMBER, before=lambda page: change_answer(page, over_time=None))
    expect(page.get_by_role("alert")).to_contain_text("The numbers came, but this page could not show them.")


def test_period_without_orders_and_empty_database_are_no_empty_pages(open_page: Any) -> None:
    page, _ = open_page("/?from=2020-01-01&to=2020-01-31")
    expect(page.get_by_role("heading", name="No orders: 1 – 31 Jan 2020")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text("Tue, 9 Sept 2025")
    expect(page.locator("#charts")).to_be_hidden()

    page, _ = open_page("/?from=2020-01-01&to=2020-01-31", before=lambda page: change_answer(page, first_day=None))
    expect(page.get_by_role("heading", name="No order has been counted yet")).to_be_visible()


def test_name_that_looks_like_markup_is_shown_as_it_is(open_page: Any) -> None:
    page, seen = open_page("/?from=2025-09-01&to=2025-09-30")
    assert [line[0] for line in table(page, "regions")] == ["<img src=x onerror=alert(1)>"]
    expect(page.locator("#regions .summary")).to_contain_text("<img src=x onerror=alert(1)> leads: 9 orders")
    assert page.locator("img").count() == 0
    assert seen.console == []


@pytest.mark.parametrize(
    ("path", "width", "scheme"),
    [
        (DAYS, 1280, "light"),
        (DAYS, 360, "dark"),
        ("/?from=2020-01-01&to=2020-01-31", 1280, "dark"),
        ("/docs", 360, "light"),
    ],
)
def test_axe_finds_nothing_to_mend(open_page: Any, path: str, width: int, scheme: str) -> None:
    # axe-core is brought in from outside of the page's policy
    size = {"width": width, "height": 800}
    page, _ = open_page(path, color_scheme=scheme, viewport=size, bypass_csp=True)
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] })"
    )
    assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]] == []
    assert len(found["passes"]) > 10


def test_phone_shows_everything_without_scrolling_sideways(open_page: Any) -> None:
    page, _ = open_page(DAYS, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    for path in (AUTUMN, "/?from=2020-01-01&to=2020-01-31", "/?from=2025-11-24&to=2025-11-24", "/docs"):
        page.goto(path)
        if path != "/docs":
            page.locator("#freshness", has_text="Updated").wait_for()
        for summary in page.locator("summary").all():
            if summary.is_visible():
                summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path


def test_charts_follow_light_and_dark_and_are_light_on_paper(open_page: Any) -> None:
    page, _ = open_page(NOVEMBER, color_scheme="light")
    light = page.locator("#over-time canvas").screenshot()

    page.emulate_media(color_scheme="dark")
    assert painted(page, "over-time", "orders") > 200
    assert page.locator("#over-time canvas").screenshot() != light

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--surface')") == "#ffffff"
    assert painted(page, "over-time", "orders") > 200
    expect(page.get_by_role("navigation")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--surface')") != "#ffffff"


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/nothing", "GET", 404), ("/assets/old/page.js", "GET", 404), ("/", "POST", 405), ("/stats", "PUT", 405)],
)
def test_other_paths_and_methods_are_problems(served: Any, path: str, method: str, status: int) -> None:
    answer = requests.request(method, served.url + path, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
