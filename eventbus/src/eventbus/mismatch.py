"""What RabbitMQ says when an object exists with other arguments, as one clear line. No I/O."""

import re

_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>exchange|queue) '(?P<name>[^']+)' in vhost '[^']*': "
    r"received (?P<want>.*?) but current is (?P<have>.*)",
    re.DOTALL,
)
_TYPED = re.compile(r"the value '(?P<value>.*)' of type '[^']*'", re.DOTALL)


def line(kind: str, name: str, argument: str, have: object, want: object) -> str:
    """One line naming object, argument, have and want."""
    return f"{kind} {name}: {argument}: have {have}, want {want}"


def parsed(kind: str, name: str, reply_text: str) -> str:
    """The line for a reply text of 406 PRECONDITION_FAILED to the declaration of that object."""
    found = _INEQUIVALENT.search(reply_text)
    if found is None:
        return f"{kind} {name}: the broker refuses the declaration: {' '.join(reply_text.split())}"
    return line(
        found["kind"], found["name"], found["argument"], _plain(found["have"]), _plain(found["want"])
    )  # RabbitMQ words it from its own side: "received" is what we want, "current" what it has


def _plain(text: str) -> str:
    if typed := _TYPED.fullmatch(text.strip()):
        return typed["value"]
    return text.strip().strip("'") or "nothing"
