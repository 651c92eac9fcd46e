"""A `$filter` condition as an SQL expression."""

import operator
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from sap_sandbox.filter import Combination, Comparison, Condition, TextMatch

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def expression(condition: Condition, table: sa.Table) -> sa.ColumnElement[bool]:
    """The SQL expression; text is compared with regard to case."""
    if isinstance(condition, Combination):
        combine = sa.and_ if condition.word == "and" else sa.or_
        return combine(*(expression(term, table) for term in condition.terms))
    column = table.c[condition.prop.name]
    if isinstance(condition, Comparison):
        return _comparison(condition, column)
    return _text_match(condition, column)


def _comparison(condition: Comparison, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    if condition.operator == "ne":
        return column.is_distinct_from(condition.value)
    compared: sa.ColumnElement[bool] = _COMPARE[condition.operator](column, condition.value)
    if condition.operator in ("lt", "le"):  # a date not set is SAP's initial one, before all others
        return sa.or_(compared, column.is_(None))
    return compared


def _text_match(condition: TextMatch, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    # not LIKE: it disregards case on SQLite, and has wildcards
    shown = sa.func.ltrim(column, "0") if condition.prop.padded else column
    text = condition.text.upper() if condition.prop.upper else condition.text
    matched: sa.ColumnElement[bool]
    if not text:
        matched = sa.true()
    elif condition.function == "startswith":
        matched = sa.func.substr(shown, 1, len(text)) == text
    else:
        matched = sa.func.replace(shown, text, "") != shown
    return matched if condition.expected else sa.not_(matched)
