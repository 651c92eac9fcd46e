"""Routing keys: `<noun>.<past-tense verb>.<qualifier>`, and the patterns that departments bind."""

import re

REGION_PATTERN = r"^[a-z0-9-]{1,32}$"
DEPARTMENT_PATTERN = r"^[a-z][a-z0-9_]{0,31}$"
ROUTING_KEY_BYTES_MAX = 255
"""AMQP 0-9-1 writes routing keys as short strings."""
RESERVED_DEPARTMENT = "orders"
TRACKER_PATTERNS = ("order.progressed.*", "department.joined.*", "department.left.*")
"""The tracker consumes under this name and reports nothing."""

_DEPARTMENT = re.compile(DEPARTMENT_PATTERN)
_PATTERN_WORD = re.compile(r"\*|#|[A-Za-z0-9_-]+")


def is_department(name: object) -> bool:
    """Whether this can be the name of a department."""
    return isinstance(name, str) and _DEPARTMENT.fullmatch(name) is not None and not name.endswith("\n")


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises ValueError for one that no routing key of the contract can match."""
    if len(pattern.encode()) > ROUTING_KEY_BYTES_MAX:
        raise ValueError(f"routing-key pattern longer than {ROUTING_KEY_BYTES_MAX} bytes")
    if not all(_PATTERN_WORD.fullmatch(word) for word in pattern.split(".")):
        raise ValueError(f"routing-key pattern {pattern!r}: expected words, * or #, joined by dots")
    return pattern


def matches(pattern: str, key: str) -> bool:
    """Whether a topic exchange routes the key to a binding of that pattern (`*` one word, `#` any number)."""
    return _overlap(tuple(pattern.split(".")), tuple(_literal(key)))


def overlaps(one: str, other: str) -> bool:
    """Whether some routing key matches both patterns."""
    return _overlap(tuple(one.split(".")), tuple(other.split(".")))


def event_type(key: str) -> str:
    """The first two words of a routing key, which are the type of its event: `order.created`."""
    return ".".join(key.split(".")[:2])


def qualifier(key: str) -> str:
    """What stands behind the type in a routing key: a region or a department."""
    return ".".join(key.split(".")[2:])


def _literal(key: str) -> list[str]:
    # a key may hold * or # as ordinary characters; a NUL keeps them from acting as wildcards
    return [f"\0{word}" if word in ("*", "#") else word for word in key.split(".")]


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    reachable = {(0, 0)}
    todo = [(0, 0)]

    def visit(i: int, j: int) -> None:
        if (i, j) not in reachable:
            reachable.add((i, j))
            todo.append((i, j))

    while todo:
        i, j = todo.pop()
        a = one[i] if i < len(one) else None
        b = other[j] if j < len(other) else None
        if a is None and b is None:
            return True
        if a == "#":
            visit(i + 1, j)
            if b is not None:
                visit(i, j + 1)
        if b == "#":
            visit(i, j + 1)
            if a is not None:
                visit(i + 1, j)
        if a is not None and b is not None and "#" not in (a, b) and (a == b or "*" in (a, b)):
            visit(i + 1, j + 1)
    return False
