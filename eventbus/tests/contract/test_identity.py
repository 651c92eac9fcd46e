"""Ids are derived: whoever makes the event says the same id, in any language."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from eventbus.contract import OrderProgressed, order_progressed
from eventbus.testing import a_result, an_announcement, an_event


def test_id_of_an_order_is_the_one_that_the_contract_writes_out() -> None:
    assert an_event(order_number="7KQ2-M9XD-4TWE").id == "0ed3a6aa-d1c4-568b-a39e-35c052a2bc6d"


def test_id_of_an_order_depends_on_nothing_but_its_number() -> None:
    one = an_event(order_number="7KQ2-M9XD-4TWE", region="north", customer_name="A")
    other = an_event(order_number="7KQ2-M9XD-4TWE", region="south", customer_name="B")
    assert one.id == other.id != an_event(order_number="7KQ2-M9XD-4TWF").id


def test_id_of_a_result_comes_from_cause_department_and_state() -> None:
    result = a_result(cause_id="0ed3a6aa-d1c4-568b-a39e-35c052a2bc6d", department="printer", state="done")
    name = "0ed3a6aa-d1c4-568b-a39e-35c052a2bc6d/printer/done"
    assert result.id == str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def test_repeated_result_has_the_same_id_whatever_it_says_and_when() -> None:
    one = a_result(order_number="A-1", reference="job 1")
    other = a_result(order_number="A-1", reference="job 2", time=datetime(2030, 1, 1, tzinfo=UTC))
    assert one.id == other.id


@pytest.mark.parametrize("change", [{"department": "marketing"}, {"state": "waiting"}, {"cause_id": "another"}])
def test_another_result_has_another_id(change: dict[str, str]) -> None:
    assert a_result(order_number="A-1", **change).id != a_result(order_number="A-1").id


def test_result_without_a_cause_is_refused() -> None:
    progress = OrderProgressed(order_number="A-1", department="printer", state="done")
    with pytest.raises(ValueError, match="cause_id"):
        order_progressed(progress, datetime.now(UTC))


def test_id_of_an_announcement_comes_from_name_type_and_time() -> None:
    at = datetime(2026, 11, 24, 7, 19, 46, 123000, tzinfo=UTC)
    name = "/departments/printer/department.joined/2026-11-24T07:19:46.123Z"
    assert an_announcement(time=at).id == str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    assert an_announcement(time=at).id != an_announcement(time=at + timedelta(milliseconds=1)).id
