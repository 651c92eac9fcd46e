"""`bus users`: a user for each service, made, compared and taken away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from eventbus.operator import declare, users
from eventbus.operator.connection import connected
from eventbus.operator.errors import UnreachableError
from eventbus.operator.management import Management
from eventbus.rights import Rights
from eventbus.testing.broker import Broker
from eventbus.topology import department

from .conftest import Bus

NAMES = ("loyalty", "orders-relay")


@pytest.fixture(autouse=True)
def nobody_left(broker: Broker) -> Iterator[None]:
    """Users are the node's, not the virtual host's."""
    yield
    for name in NAMES:
        broker.management.delete_login(name)


def url_in(out: str) -> str:
    (url,) = (line for line in out.splitlines() if line.startswith("amqp://"))
    return url


def test_newcomers_login_is_printed_where_asked_and_works_with_its_rights(broker: Broker, bus: Bus) -> None:
    broker.declare_shared()
    code, out, _err = bus("users", "declare", "loyalty", "--print")
    assert (code, out.splitlines()[0]) == (0, "user loyalty: created")
    with connected(url_in(out)) as link:
        steps = declare.declare(link, department("loyalty", ("order.created.*",)))
    assert {step.happened for step in steps} == {"declared"}
    assert bus("users", "check", "loyalty")[:2] == (0, "no difference: all is as wanted\n")


def test_urls_are_kept_in_a_folder_for_their_owner_and_again_changes_nothing(
    broker: Broker, bus: Bus, tmp_path: Path
) -> None:
    folder = tmp_path / "users"
    code, out, _err = bus("users", "declare", *NAMES, "--urls", str(folder))
    urls = {name: (folder / name).read_text().strip() for name in NAMES}
    assert code == 0
    assert "amqp://" not in out
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
    for url in urls.values():
        with connected(url):
            pass
    assert bus("users", "declare", *NAMES, "--urls", str(folder))[1] == "nothing to change: 2 users as wanted\n"
    assert urls == {name: (folder / name).read_text().strip() for name in NAMES}
    bus("users", "declare", "loyalty", "--urls", str(folder), "--new-password")
    with pytest.raises(UnreachableError), connected(urls["loyalty"]):
        pass
    with connected((folder / "loyalty").read_text().strip()):
        pass


def test_password_given_by_a_file_is_taken_and_not_told(
    broker: Broker, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("hunter two@\n")
    monkeypatch.setenv("BUS_USER_PASSWORD_FILE", str(tmp_path / "password"))
    code, out, err = bus("users", "declare", "loyalty")
    assert (code, "hunter" in out + err) == (0, False)
    assert users.has_password(broker.management, "loyalty", "hunter two@")
    assert bus("users", "declare", *NAMES)[2].startswith("bus: BUS_USER_PASSWORD is one user's")


def test_differences_are_listed_and_mended_and_the_password_stays(broker: Broker, bus: Bus) -> None:
    url = url_in(bus("users", "declare", "loyalty", "--print")[1])
    management = broker.management
    management.put_permissions("loyalty", {"configure": ".*", "write": ".*", "read": ".*"})
    management.put_topic_permissions("loyalty", {"exchange": "dead", "write": ".*", "read": "^loyalty$"})
    management.put_topic_permissions("loyalty", {"exchange": "amq.topic", "write": ".*", "read": ".*"})
    code, out, _err = bus("users", "check", "loyalty")
    assert code == 1
    assert "user loyalty: topic exchange dead: have write .*, want write ^loyalty$" in out
    assert "user loyalty: rights: have configure .*, write .*" in out
    assert "user loyalty: nobody claims its row for topic exchange amq.topic" in out
    assert bus("users", "declare", "loyalty", "--dry-run")[1].startswith("dry run, nothing is changed:\nuser loyalty: ")
    assert bus("users", "check", "loyalty")[0] == 1
    bus("users", "declare", "loyalty")
    assert bus("users", "check", "loyalty")[0] == 0
    with connected(url):
        pass


def test_leaving_department_takes_its_user_along(broker: Broker, bus: Bus) -> None:
    broker.declare_shared()
    url = url_in(bus("users", "declare", "loyalty", "--print")[1])
    code, out, _err = bus("leave", "loyalty", "--force", "--delete-user")
    assert (code, out.splitlines()[-1]) == (0, "removed    user loyalty")
    with pytest.raises(UnreachableError), connected(url):
        pass
    assert bus("users", "remove", "loyalty")[:2] == (0, "there is no user loyalty\n")


def test_user_with_rights_elsewhere_loses_those_here_only(broker: Broker, bus: Bus) -> None:
    bus("users", "declare", "loyalty", "--print")
    users.declare(Management(broker.management_url, "/"), "loyalty", Rights("^$", "^$", "^$", ()))
    assert "who stays for virtual host /" in bus("users", "remove", "loyalty")[1]
    assert broker.management.login("loyalty") is not None
    assert bus("users", "check", "loyalty")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("declare", "loyalty"), 1, "user loyalty is new and needs a password: --urls, --print or BUS_USER_PASSWORD"),
        (("declare", "bus"), 1, "user bus is the one as whom you ask"),
        (("remove", "bus"), 1, "user bus is the one as whom you ask"),
        (("declare", "events", "--print"), 2, "none of archive, dead, departments, events, orders, unclaimed"),
        (("declare", "loyalty", "--print", "--noun", "#"), 1, "expected nouns such as order, got: '#'"),
        (("declare", "loyalty", "--new-password"), 1, "--new-password: say where it should go"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    broker: Broker, bus: Bus, arguments: tuple[str, ...], code: int, line: str
) -> None:
    ended, _out, err = bus("users", *arguments)
    assert ended == code
    assert line in err
    assert broker.management.login("loyalty") is None


def test_who_is_no_administrator_is_told(broker: Broker, bus: Bus) -> None:
    name = f"bus-operator-{broker.vhost}"
    login = broker.url_of("bus-operator").removeprefix("amqp://").partition("@")[0]
    url = f"http://{login}@{broker.management.base.removeprefix('http://')}"
    code, _out, err = bus("users", "declare", "loyalty", "--print", "--management-url", url)
    assert (code, err) == (1, f"bus: users need an administrator: MANAGEMENT_URL logs in as '{name}', who is none\n")


def test_table_is_shown(bus: Bus) -> None:
    code, out, _err = bus("users", "show", "loyalty")
    assert code == 0
    assert out.splitlines()[1].split() == ["loyalty", "configure", r"^loyalty(\.dead)?$"]
