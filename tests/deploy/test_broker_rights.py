"""The rights in the manifests on a real broker: each login's objects, put there as the topology operator does."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from eventbus.contract import CONTENT_TYPE, decode
from eventbus.operator import connection, declare
from eventbus.testing import an_event
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.department_process import DepartmentProcess
from eventbus.topology import shared

from .checks.broker_rights import load_generator
from .checks.manifests import rendered

Login = Callable[[str], str]


@pytest.fixture
def login(broker: Broker) -> Iterator[Login]:
    """The AMQP URL of the login that a `User` stands for: random name and password, tags, permissions."""
    objects = rendered("production").objects
    with ExitStack() as logins:

        def put(user: str) -> str:
            name, password = f"default_user_{secrets.token_hex(6)}", secrets.token_urlsafe(24)
            logins.callback(broker.management.delete_login, name)
            for each in objects:
                spec = each.get("spec", {})
                if each["kind"] == "User" and each["metadata"]["name"] == user:
                    broker.management.put_login(name, {"password": password, "tags": ",".join(spec.get("tags", []))})
            for each in objects:
                spec = each.get("spec", {})
                if spec.get("userReference") == {"name": user}:
                    kinds = {
                        "Permission": broker.management.put_permissions,
                        "TopicPermission": broker.management.put_topic_permissions,
                    }
                    kinds[each["kind"]](name, spec["permissions"])
            return connection.as_user(broker.amqp_url, name, password)

        yield put


def test_department_does_its_work_with_the_rights_of_its_objects(broker: Broker, login: Login, tmp_path: Path) -> None:
    with connection.connected(login("bus-topology")) as link:
        declare.declare(link, shared(FAST_TIERS_S, SMALL_ARCHIVE_BYTES))
    reports = broker.tap("order.progressed.*")
    settings = {"department": "marketing", "amqp_url": login("marketing"), "database_url": f"sqlite:///{tmp_path}/m.db"}
    department = DepartmentProcess(broker, "marketing.service:MarketingService", tmp_path, settings)
    try:
        department.wait_ready()
        broker.publish(an_event(region="main"), "order.created.main")
        report = broker.wait_message(reports)
        assert report.routing_key == "order.progressed.marketing"
        assert decode(report.body, CONTENT_TYPE, report.routing_key).data.state == "done"
    finally:
        department.stop()


def test_keda_reads_the_length_of_a_queue_and_may_nothing_else(broker: Broker, login: Login) -> None:
    broker.declare_shared()
    url = login("keda")
    user, password = url.partition("://")[2].rpartition("@")[0].split(":")
    with requests.Session() as http:
        http.trust_env = False
        http.auth = (user, password)
        queue = f"{broker.management_url.rpartition('@')[2]}/api/queues/{quote(broker.vhost, safe='')}/unclaimed"
        answer = http.get(f"http://{queue.removeprefix('http://')}", timeout=10)
    assert answer.status_code == 200
    assert answer.json()["name"] == "unclaimed"
    with connection.connected(url) as link, pytest.raises(Exception, match="ACCESS_REFUSED"):
        link.channel().basic_get("unclaimed")


def test_files_of_broker_users_are_as_make_broker_users_writes_them() -> None:
    generator = load_generator()
    for file, users in generator.wanted().items():
        assert file.read_text(encoding="utf-8") == generator.text(users), f"{file}: make broker-users"
