"""The groups of an answer as CSV (RFC 4180), for spreadsheets."""

import csv
import io
from typing import Any

from marketing.period import GroupBy, Period

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
MEASURES = ("orders", "items", "customers", "new_customers")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"


def csv_table(stats: dict[str, Any]) -> str:
    """A header and one row a group, in the order of the answer. Lines end with CRLF.

    New customers of an hour are not told: that column is not there then. A text that a spreadsheet would take for a
    formula gets an apostrophe before it.
    """
    measures = [name for name in MEASURES if not (stats["group_by"] == "hour" and name == "new_customers")]
    columns = [stats["group_by"], *measures]
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(columns)
    rows.writerows([_harmless(group[column]) for column in columns] for group in stats["groups"])
    return text.getvalue()


def file_name(period: Period, group_by: GroupBy) -> str:
    """A name that says what is in the file."""
    return f"marketing-{period.first}-to-{period.last}-by-{group_by}.csv"


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
