"""Ids are derived, never random: a repeat, a second relay and a rebuilt broker all say the same id."""

import uuid


def order_event_id(order_number: str, sequence: str) -> str:
    """The id of an order's event. `order_number` with dashes, `sequence` as in the event (`0001`)."""
    return _derived(f"/orders/{order_number}/{sequence}")


def result_id(cause_id: str, department: str, state: str) -> str:
    """The id of a department's `order.progressed`: the same for every repeat of the same state of one cause."""
    return _derived(f"{cause_id}/{department}/{state}")


def announcement_id(department: str, event_type: str, time: str) -> str:
    """The id of `department.joined` or `department.left`. `time` as the event has it (RFC 3339)."""
    return _derived(f"/departments/{department}/{event_type}/{time}")


def _derived(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
