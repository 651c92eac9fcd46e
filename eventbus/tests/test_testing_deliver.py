"""`deliver` calls a department's handler as the runtime would, without a broker."""

from typing import Any
from unittest.mock import Mock

import pytest
from eventbus.contract import Event, OrderCreated, UndecodableError
from eventbus.department import Done, InHand, Outcome, Permanent, subscribe
from eventbus.testing import a_result, an_event, an_order, deliver
from nameko.extensions import DependencyProvider


class Shelf(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """A dependency."""


class PickerService:
    name = "picker"
    shelf = Shelf()

    @subscribe("order.created.north")
    def pick(self, event: Event[OrderCreated]) -> Outcome:
        if event.data.product_ids == (13,):
            raise Permanent("nobody picks 13")
        return Done(reference=self.shelf.take(event.data.product_ids))

    @subscribe("order.created.south", batch=10)
    def pick_many(self, events: list[Event[OrderCreated]]) -> list[Outcome] | None:
        return None if len(events) == 1 else [InHand(event.data.order_number) for event in events]

    @subscribe("order.progressed.*")
    def forget(self, event: Event[Any]) -> Outcome:
        return True  # type: ignore[return-value]


def test_handler_gets_the_event_and_its_outcome_comes_back() -> None:
    shelf = Mock(take=lambda products: f"box of {len(products)}")
    assert deliver(PickerService, an_event(region="north", product_ids=(1, 2)), shelf=shelf) == Done("box of 2")


def test_instance_is_used_as_it_is() -> None:
    service = PickerService()
    service.shelf = Mock(take=lambda _products: "box")
    assert deliver(service, an_event(region="north")) == Done("box")


def test_verdict_is_raised() -> None:
    with pytest.raises(Permanent, match="nobody picks 13"):
        deliver(PickerService, an_event(region="north", product_ids=(13,)))


def test_batch_handler_gets_a_list() -> None:
    events = [an_event(region="south") for _ in range(3)]
    assert deliver(PickerService, events) == [InHand(event.data.order_number) for event in events]
    assert deliver(PickerService, events[0]) == Done()


def test_no_handler_names_what_there_is() -> None:
    with pytest.raises(LookupError, match=r"order\.created\.north.*: nothing for order\.created\.west"):
        deliver(PickerService, an_event(region="west"))


def test_return_value_that_is_no_outcome_is_an_error() -> None:
    with pytest.raises(TypeError, match="forget returned True"):
        deliver(PickerService, a_result())


def test_dependency_that_the_class_does_not_have_is_an_error() -> None:
    with pytest.raises(LookupError, match="shelv"):
        deliver(PickerService, an_event(region="north"), shelv=Mock())


def test_event_that_would_be_parked_is_refused() -> None:
    order = an_order().model_copy(update={"region": "NORTH"})
    with pytest.raises(UndecodableError, match=r"data\.region"):
        deliver(PickerService, an_event(order))


def test_builder_refuses_a_field_that_no_reader_would_see() -> None:
    with pytest.raises(TypeError, match="costumer_name"):
        an_order(costumer_name="Daníel")
