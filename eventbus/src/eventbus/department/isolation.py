"""An event that may have killed workers is handled with nothing else in hand: whoever dies of it dies alone.

The broker counts a delivery again whenever a worker dies with it in hand, whether it killed or stood beside. From the
second time on it is a suspect: the worker takes no more events, finishes the others, and then handles this one. So what
stands beside a killer is counted twice, and what reaches the limit has killed.
"""

from typing import Literal

from eventbus.department.delivery import Delivery

SUSPECT_CRASHES = 2
"""So often it was in hand when a worker died or lost its connection."""

Admission = Literal["begin", "wait", "aside"]


def is_suspect(delivery: Delivery) -> bool:
    """Whether it has to be handled alone."""
    return delivery.crashes >= SUSPECT_CRASHES


class Isolation:
    """Of one worker process: at most one suspect at a time."""

    def __init__(self) -> None:
        self.suspect: Delivery | None = None
        """Waits until it is alone, or runs. Meanwhile nothing is to be fetched."""
        self._runs = False
        self._behind: list[Delivery] = []

    def admit(self, delivery: Delivery, in_hand: set[Delivery], *, quiet: bool) -> Admission:
        """Whether a delivery begins now, waits (whoever calls asks again when something has ended), or goes back to a
        tier because another suspect is here.

        Args:
            in_hand: every delivery of this worker that is not settled, this one included.
            quiet: whether no other delivery may be on its way from the broker.
        """
        if not is_suspect(delivery):
            if not self._runs:
                return "begin"
            self._behind.append(delivery)
            return "wait"
        self.suspect = self.suspect or delivery
        if self.suspect is not delivery:
            return "aside"
        if self._runs or in_hand != {delivery} or not quiet:
            return "wait"
        self._runs = True
        return "begin"

    @property
    def waiting(self) -> Delivery | None:
        """The suspect, if it has not begun."""
        return None if self._runs else self.suspect

    def has_begun(self, delivery: Delivery) -> bool:
        """Whether it is the suspect, and runs."""
        return self._runs and delivery is self.suspect

    def end(self) -> list[Delivery]:
        """The suspect is settled or gone; the deliveries that waited behind it, to be admitted again."""
        behind, self._behind = self._behind, []
        self.suspect, self._runs = None, False
        return behind
