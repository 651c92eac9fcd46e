"""What a department says of an order reaches the bus, whatever its target said."""

from eventbus.contract import decode
from eventbus.department.messages import Cause, report
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=255)


@given(ANY_TEXT, ANY_TEXT)
def test_report_in_any_words_is_an_event(detail: str, reference: str) -> None:
    cause = Cause("0ed3a6aa-d1c4-568b-a39e-35c052a2bc6d", "order.created", "7KQ2-M9XD-4TWE")
    message = report("printer", cause, "attention", reference=reference, detail=detail)
    event = decode(message.body, message.properties["content_type"], message.routing_key)
    assert (event.data.detail or "").isprintable()
    assert (event.data.reference or "").isprintable()
