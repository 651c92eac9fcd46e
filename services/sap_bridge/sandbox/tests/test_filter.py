"""`$filter`: what is evaluated, and what is refused."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sap_sandbox import filter as odata_filter
from sap_sandbox.filter import Combination, FilterError
from sap_sandbox.schema import SALES_ORDER
from sap_sandbox.testing import RunningSandbox, running_sandbox

ORDERS: dict[str, dict[str, Any]] = {
    "WEB-1": {"CustomerPurchaseOrderDate": "/Date(1730419200000)/"},  # 2024-11-01
    "web-2": {"CustomerPurchaseOrderDate": "/Date(1730505600000)/", "CompleteDeliveryIsDefined": True},  # 2024-11-02
    "O'Brien": {"SoldToParty": "17100002"},
    "100%_ü": {"to_Item": [{"Material": "M", "RequestedQuantity": "3"}]},
}
ALL = set(ORDERS)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path_factory.mktemp("filter")) as running:
        yield running


@pytest.fixture
def reader(filled: RunningSandbox, log_on: Callable[..., Any], an_order: Any) -> Any:
    """A client of a sandbox that holds `ORDERS`, as sales orders 1 to 4."""
    caller = log_on(filled)
    if not caller.references():
        for reference, changes in ORDERS.items():
            assert caller.create(an_order(reference, **changes)).status_code == 201
    return caller


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PurchaseOrderByCustomer eq 'WEB-1'", {"WEB-1"}),
        ("PurchaseOrderByCustomer eq 'web-1'", set()),
        ("PurchaseOrderByCustomer eq 'WEB-1  '", {"WEB-1"}),
        ("PurchaseOrderByCustomer eq ''", set()),
        ("PurchaseOrderByCustomer eq 'O''Brien'", {"O'Brien"}),
        ("PurchaseOrderByCustomer ne 'WEB-1'", ALL - {"WEB-1"}),
        ("SalesOrder eq '1'", {"WEB-1"}),
        ("SalesOrder eq '0000000001'", {"WEB-1"}),
        ("SalesOrder ge '3'", {"O'Brien", "100%_ü"}),
        ("SalesOrder lt '10'", ALL),
        ("SalesOrderType eq 'or'", ALL),
        ("SoldToParty eq '0017100002'", {"O'Brien"}),
        ("TotalNetAmount gt 20", {"100%_ü"}),
        ("TotalNetAmount le 17.55m", ALL - {"100%_ü"}),
        ("TotalNetAmount ge -1", ALL),
        ("CompleteDeliveryIsDefined eq true", {"web-2"}),
        ("CompleteDeliveryIsDefined ne true", ALL - {"web-2"}),
        ("CustomerPurchaseOrderDate eq datetime'2024-11-01T00:00:00'", {"WEB-1"}),
        ("CustomerPurchaseOrderDate gt datetime'2024-11-01T00:00'", {"web-2"}),
        ("CustomerPurchaseOrderDate ge datetime'2024-11-01T00:00:00.0000000'", {"WEB-1", "web-2"}),
        ("CustomerPurchaseOrderDate le datetime'2024-11-01T00:00:00'", ALL - {"web-2"}),
        ("CustomerPurchaseOrderDate ne datetime'2024-11-01T00:00:00'", ALL - {"WEB-1"}),
        ("LastChangeDateTime ge datetimeoffset'2024-01-01T00:00:00Z'", ALL),
        ("LastChangeDateTime lt datetimeoffset'2024-01-01T00:00:00+01:00'", set()),
        ("startswith(PurchaseOrderByCustomer,'WEB')", {"WEB-1"}),
        ("startswith(PurchaseOrderByCustomer,'web') eq true", {"web-2"}),
        ("startswith(PurchaseOrderByCustomer, 'WEB') eq false", ALL - {"WEB-1"}),
        ("startswith(PurchaseOrderByCustomer,'WEB') ne true", ALL - {"WEB-1"}),
        ("startswith(PurchaseOrderByCustomer,'')", ALL),
        ("startswith(SoldToParty,'1710')", ALL),
        ("substringof('%_',PurchaseOrderByCustomer)", {"100%_ü"}),
        ("substringof('''',PurchaseOrderByCustomer)", {"O'Brien"}),
        ("substringof('B-',PurchaseOrderByCustomer)", {"WEB-1"}),
        ("substringof('',PurchaseOrderByCustomer)", ALL),
        ("substringof('or',SalesOrderType)", ALL),
        (
            "PurchaseOrderByCustomer eq 'WEB-1' and SoldToParty eq '17100001' and SalesOrganization eq '1710'",
            {"WEB-1"},
        ),
        ("CreationDate ge datetime'2024-11-01T00:00:00' and SoldToParty eq '17100002'", {"O'Brien"}),
        ("CreationDate lt datetime'2024-11-01T00:00:00'", set()),
        ("SalesOrder eq '1' or SalesOrder eq '2' and SoldToParty eq '1'", {"WEB-1"}),
        ("(SalesOrder eq '1' or SalesOrder eq '2') and SoldToParty eq '1'", set()),
        ("((SalesOrder eq '1') or (SalesOrder eq '2'))", {"WEB-1", "web-2"}),
        ("  SalesOrder   eq   '1'  ", {"WEB-1"}),
        ("(SalesOrder eq '1')or(SalesOrder eq '2')", {"WEB-1", "web-2"}),
        (" or ".join(["SalesOrder eq '1'"] * odata_filter.TERMS_MAX), {"WEB-1"}),
        ("(" * odata_filter.DEPTH_MAX + "SalesOrder eq '1'" + ")" * odata_filter.DEPTH_MAX, {"WEB-1"}),
    ],
)
def test_filter_finds_exactly_the_orders_it_describes(reader: Any, text: str, expected: set[str]) -> None:
    assert set(reader.references(filter=text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the end"),
        ("SalesOrder", "comparison"),
        ("SalesOrder eq", "literal"),
        ("SalesOrder eq '1' and", "the end"),
        ("SalesOrder eq '1' SalesOrder", "'and' or 'or'"),
        ("(SalesOrder eq '1'", "')'"),
        ("SalesOrder eq '1')", "'and' or 'or'"),
        ("SalesOrder eq '1", "position 14"),
        ("SalesOrder = '1'", "position"),
        ("SalesOrder EQ '1'", "EQ"),
        ("SalesOrder eq '1' AND SalesOrder eq '2'", "'and' or 'or'"),
        ("not (SalesOrder eq '1')", "'not' is not supported"),
        ("'1' eq SalesOrder", "a property"),
        ("SalesOrder eq SoldToParty", "literal of type Edm.String"),
        ("SalesOrder eq null", "literal of type Edm.String"),
        ("SalesOrder eq 1", "literal of type Edm.String"),
        ("TotalNetAmount eq \u0663", "position"),
        ("SalesOrder eq '12345678901'", "at most 10"),
        ("TotalNetAmount eq '1'", "literal of type Edm.Decimal"),
        ("TotalNetAmount add 1 eq 2", "add"),
        ("CreationDate eq '2024-11-01'", "literal of type Edm.DateTime"),
        ("CreationDate eq datetime'2024-11-01'", "literal of type Edm.DateTime"),
        ("CreationDate eq datetime'2024-13-01T00:00:00'", "calendar"),
        ("CreationDate eq datetimeoffset'2024-11-01T00:00:00Z'", "literal of type Edm.DateTime"),
        ("LastChangeDateTime eq datetimeoffset'2024-11-01T00:00:00'", "literal of type Edm.DateTimeOffset"),
        ("CompleteDeliveryIsDefined", "comparison"),
        ("CompleteDeliveryIsDefined gt true", "eq and ne only"),
        ("CompleteDeliveryIsDefined eq 1", "literal of type Edm.Boolean"),
        ("endswith(PurchaseOrderByCustomer,'1')", "'endswith' is not supported"),
        ("tolower(PurchaseOrderByCustomer) eq 'web-1'", "'tolower' is not supported"),
        ("startswith('W',PurchaseOrderByCustomer)", "a property"),
        ("substringof(PurchaseOrderByCustomer,'W')", "a string"),
        ("startswith(PurchaseOrderByCustomer)", "','"),
        ("startswith(PurchaseOrderByCustomer,'W') eq 1", "true or false"),
        ("startswith(PurchaseOrderByCustomer,'W') eq maybe", "true or false"),
        ("startswith(TotalNetAmount,'1')", "Edm.String"),
        ("startswith(PurchaseOrderByCustomer,datetime'2024-11-01T00:00:00')", "a string"),
        ("to_Item/Material eq 'M'", "position"),
        ("Colour eq 'red'", "'Colour' is no property"),
        ("salesorder eq '1'", "'salesorder' is no property"),
        ("SalesOrder in ('1','2')", "in"),
        (" or ".join(["SalesOrder eq '1'"] * (odata_filter.TERMS_MAX + 1)), "more than 200 terms"),
        ("(" * (odata_filter.DEPTH_MAX + 1) + "SalesOrder eq '1'", "more than 50 parentheses"),
    ],
)
def test_filter_outside_the_grammar_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(FilterError) as refused:
        odata_filter.parse(text, SALES_ORDER)
    assert reason in str(refused.value)


def test_and_binds_closer_than_or() -> None:
    condition = odata_filter.parse("SalesOrder eq '1' or SalesOrder eq '2' and SalesOrder eq '3'", SALES_ORDER)
    assert isinstance(condition, Combination)
    assert condition.word == "or"
    assert isinstance(condition.terms[1], Combination)
    assert condition.terms[1].word == "and"
