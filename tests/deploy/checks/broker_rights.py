"""C7: each service's broker users are those of `eventbus.rights`, and none but the operator's may do everything."""

import importlib.util
import re
from collections.abc import Iterator
from types import ModuleType

from .manifests import KUBERNETES, Finding, Manifests, Object, label

STRANGERS = ("a_stranger", "a_stranger.dead", "amq.direct", "")
"""Names of nobody's that no service may touch."""
UNBOUNDED = {"bus-operator"}


def check(manifests: Manifests) -> Iterator[Finding]:
    """The objects say what the table says, of every user; nobody is missing."""
    generator = load_generator()
    files = generator.wanted()
    expected = [each for users in files.values() for user in users for each in generator.objects_of(user)]
    for wanted in expected:
        found = manifests.named(wanted["kind"], wanted["metadata"]["name"])
        if found is None or found["spec"] != wanted["spec"]:
            told = "is missing" if found is None else f"says {found['spec']}"
            yield Finding("C7 rights", label(wanted), f"{told}; the table of rights says {wanted['spec']}")
    known = {label(each) for each in expected}
    for each in manifests.of("User", "Permission", "TopicPermission"):
        if label(each) not in known and each["metadata"]["name"] != "keda":
            yield Finding("C7 rights", label(each), "nobody's process needs it")
    for each in manifests.of("Permission", "TopicPermission"):
        yield from (Finding("C7 broad rights", label(each), what) for what in _broad(each))


def load_generator() -> ModuleType:
    """`deploy/kubernetes/broker_users.py`, which is no package's."""
    spec = importlib.util.spec_from_file_location("broker_users", KUBERNETES / "broker_users.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _broad(each: Object) -> Iterator[str]:
    if each["spec"]["userReference"]["name"] in UNBOUNDED:
        return
    for what, pattern in each["spec"]["permissions"].items():
        # RabbitMQ searches: an empty pattern, and one without anchors, fits more than it seems to
        if what != "exchange" and any(re.search(pattern, name) for name in STRANGERS if name or pattern != "^$"):
            yield f"{what} {pattern} fits strangers' names"
