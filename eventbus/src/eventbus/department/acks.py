"""Acknowledgements of one channel, collected: one `basic.ack(multiple)` for the settled prefix of its deliveries."""

from collections import OrderedDict


class Acks:
    """Delivery tags of one channel, in order of delivery, and which of them are settled."""

    def __init__(self) -> None:
        self._settled: OrderedDict[int, bool] = OrderedDict()
        self.pending = 0
        """How many settled deliveries await their frame."""

    def __len__(self) -> int:
        return len(self._settled)

    def delivered(self, tag: int) -> None:
        """A delivery has come. Tags rise by one."""
        self._settled[tag] = False

    def settle(self, tag: int) -> None:
        """The delivery's work is done: acknowledge it with the next flush."""
        if self._settled.get(tag) is False:
            self._settled[tag] = True
            self.pending += 1

    def forget(self, tag: int) -> None:
        """The delivery was given back: never acknowledge it."""
        if self._settled.pop(tag, False):
            self.pending -= 1

    def flush(self) -> list[tuple[int, bool]]:
        """The frames to send, as (tag, multiple). What they acknowledge is forgotten at once."""
        frames = []
        prefix = 0
        while self._settled:
            tag, settled = next(iter(self._settled.items()))
            if not settled:
                break
            del self._settled[tag]
            prefix = tag
        if prefix:
            frames.append((prefix, True))
        behind = [tag for tag, settled in self._settled.items() if settled]
        for tag in behind:
            del self._settled[tag]
            frames.append((tag, False))
        self.pending = 0
        return frames
