"""What `make run` promises, with small programs in place of the services."""

import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from eventbus.rights import Rights
from eventbus.testing.broker import Broker
from eventbus.testing.waiting import wait_until

WORKER = """
[program:worker]
command=FAKE worker WORKER_PORT late
priority=100
"""
WORKER_LAPTOP = """
ports=WORKER_PORT:18084
env=
    WORKER_URL=http://127.0.0.1:${WORKER_PORT}
ready=http://127.0.0.1:${WORKER_PORT}/readyz
show=Worker: ${WORKER_URL}
"""
EXTRA = """
[program:extra]
command=FAKE extra EXTRA_PORT
"""
EXTRA_LAPTOP = """
ports=EXTRA_PORT:18085
ready=http://127.0.0.1:${EXTRA_PORT}/readyz
only_with=
    extra=EXTRA_TARGET
"""
FRONT = """
[program:front]
command=FAKE front FRONT_PORT
priority=900
"""
FRONT_LAPTOP = """
ports=FRONT_PORT:18000
env=
    GATEWAY_URL=http://127.0.0.1:${FRONT_PORT}
    FRONT_URL=http://127.0.0.1:${FRONT_PORT}
ready=http://127.0.0.1:${FRONT_PORT}/
"""


def with_services(project: Any) -> Any:
    project.service("front", FRONT, FRONT_LAPTOP)
    (project.root / "services/front/config.yaml").write_text(
        "name: ${SHOP_NAME:shop}\ndatabase_url: ${DATABASE_URL:sqlite:///a.db}\n"
    )
    project.service("worker", WORKER, WORKER_LAPTOP)
    (project.root / "services/worker/config.yaml").write_text("database_url: ${DATABASE_URL:sqlite:///b.db}\n")
    project.service("extra", EXTRA, EXTRA_LAPTOP)
    return project


@pytest.fixture
def services(project: Any) -> Any:
    """A project with a worker and a front that is to start last."""
    return with_services(project)


@pytest.fixture(scope="module")
def running(shared_project: Any) -> Iterator[Any]:
    """Such a project's launcher, started where the worker's port was in use; tests leave it as it is."""
    (shared_project.root / "services/unfinished").mkdir(parents=True)
    (shared_project.root / "services/unfinished/pyproject.toml").touch()
    shared_project.service("quiet", '[program:quiet]\ncommand=FAKE quiet\nenvironment=LOUD="no"', "users=quiet=hush")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        launcher = with_services(shared_project).launch(
            WORKER_PORT=port, FRONT_URL="ipp://printer/", SHOP_NAME="it's ours"
        )
        yield launcher.started()


def test_terminal_shows_urls_and_an_order_to_try(running: Any) -> None:
    assert f"Worker:                      {running.variables['WORKER_URL']}" in running.text
    assert f"curl -s {running.variables['GATEWAY_URL']}/orders" in running.text
    assert '{"customer_name": "Daníel", "products_ids": [2, 4, 42]}' in running.text


def test_port_in_use_another_is_taken_and_told(running: Any) -> None:
    told = re.search(r"Port (\d+) is in use: WORKER_PORT is (\d+)", running.text)
    assert told
    assert told[1] != told[2] == running.variables["WORKER_PORT"]
    with urllib.request.urlopen(running.variables["WORKER_URL"], timeout=5) as answer:
        assert answer.status == 200


def test_terminal_names_what_it_cannot_follow(running: Any) -> None:
    assert "services/unfinished has no processes.conf: nothing of it is started" in running.text
    assert re.search(r"^  quiet +started \(its processes.conf has no ready=\)$", running.text, re.MULTILINE)


def test_program_with_a_user_gets_its_login_and_others_none(running: Any) -> None:
    quiet = running.environment("quiet")
    assert quiet["AMQP_URL"] == (running.instance / "users/hush").read_text().strip()
    assert quiet["LOUD"] == "no"
    assert not {"AMQP_URL", "MANAGEMENT_URL"} & running.environment("worker").keys()
    assert "Users on the broker, with their own rights alone: bus-topology, hush" in running.text


def test_login_that_is_no_administrators_is_everybodys_and_that_is_told(project: Any, broker: Broker) -> None:
    project.service("quiet", "[program:quiet]\ncommand=FAKE quiet\n", "users=quiet=hush")
    url = broker.url_of("bus-operator", Rights(".*", ".*", ".*", (), tags=("monitoring",)))
    login, _, _ = urlsplit(url).netloc.rpartition("@")
    management = urlsplit(broker.management_url)._replace(netloc=f"{login}@{broker.management.base.partition('//')[2]}")
    launcher = project.launch(AMQP_URL=url, MANAGEMENT_URL=management.geturl()).started()
    assert "All programs use the login of AMQP_URL: users need an administrator" in launcher.text
    assert launcher.environment("quiet")["AMQP_URL"] == url


def test_callers_environment_wins_over_a_services_own(running: Any) -> None:
    assert running.variables["FRONT_URL"] == "ipp://printer/"


def test_env_file_runs_a_command_alone(running: Any) -> None:
    command = (running.root / "services/worker/processes.conf").read_text().split("command=")[1].splitlines()[0]
    shell = ["env", "-i", "sh", "-c", f". var/run/env && WORKER_PORT=18999 exec {command}"]
    with subprocess.Popen(shell, cwd=running.root) as alone:
        wait_until(lambda: f"worker started {alone.pid}" in running.events() and running.events()[-1] == "worker ready")
        alone.terminate()
    assert alone.returncode == 0


def test_env_file_is_the_owners_alone_and_exports_everything(running: Any) -> None:
    file = running.instance / "env"
    assert file.stat().st_mode & 0o077 == 0
    names = '$(tail -1 var/run/env | cut -d" " -f2-)'
    script = f". var/run/env; for name in {names}; do printenv $name >/dev/null || echo $name; done"
    shell = subprocess.run(["sh", "-c", script], cwd=running.root, capture_output=True, text=True, check=True, env={})
    assert (shell.stdout, shell.stderr) == ("", "")
    assert running.variables["SHOP_NAME"] == "it's ours"
    wanted = {"GATEWAY_URL", "AMQP_URL", "MANAGEMENT_URL", "DATA_DIR", "INSTANCE_DIR", "PATH", "WORKER_PORT"}
    assert wanted <= running.variables.keys()


def test_second_launcher_is_refused(running: Any, shared_project: Any) -> None:
    second = shared_project.launch()
    assert second.process.wait(30) == 1
    assert f"It runs already (process {running.process.pid})" in second.text
    assert running.process.poll() is None


def test_demo_on_the_broker_of_a_run_is_refused(running: Any, shared_project: Any) -> None:
    """Their departments would share their queues."""
    demo = shared_project.launch("demo")
    assert demo.process.wait(30) == 1
    assert demo.text.strip() == "make run uses the same AMQP_URL: stop it first, or unset AMQP_URL"


def test_front_starts_when_workers_are_ready_and_stops_before_them(services: Any) -> None:
    launcher = services.launch().started()
    assert [re.sub(r" \d+$", "", event) for event in launcher.events()] == [
        "worker started",
        "worker ready",
        "front started",
        "front ready",
    ]
    assert launcher.interrupt() == 0, launcher.text
    assert launcher.events()[-2:] == ["front stopped", "worker stopped"]
    assert launcher.left_running() == []


def test_program_that_wants_a_variable_is_left_out_without_it(running: Any) -> None:
    assert "extra" not in running.pids()


def test_what_dies_is_started_again_and_told_and_a_program_runs_with_its_variable(services: Any) -> None:
    launcher = services.launch(EXTRA_TARGET="http://127.0.0.1:9/").started()
    assert "extra" in launcher.pids()
    before = launcher.pids()["worker"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: launcher.pids()["worker"] != before and launcher.events()[-1] == "worker ready")
    assert launcher.interrupt() == 0, launcher.text
    assert "worker ended (terminated by SIGKILL), starts again (" in launcher.text


def test_wrong_configuration_ends_everything_with_its_line(services: Any) -> None:
    services.service(
        "printer", "[program:printer]\ncommand=FAKE printer P refuses\nexitcodes=0,78\nautorestart=unexpected"
    )
    launcher = services.launch()
    assert launcher.process.wait(60) == 1
    last = launcher.text.splitlines()[-1]
    assert last == "printer: configuration: config.yaml: printer_uri: expected a URI, got: nonsense"
    assert launcher.left_running() == []


def test_program_that_never_gets_ready_is_named_with_its_log(services: Any) -> None:
    services.service(
        "broken", "[program:broken]\ncommand=python -c 'import no_such_module'", "ready=http://127.0.0.1:9/"
    )
    launcher = services.launch()
    assert launcher.process.wait(60) == 1
    assert "broken ends again and again" in launcher.text
    assert "No module named 'no_such_module'" in launcher.text
    assert launcher.left_running() == []


def test_launcher_killed_everything_ends_and_the_next_run_starts(services: Any) -> None:
    launcher = services.launch().started()
    launcher.process.kill()
    launcher.process.wait()
    wait_until(lambda: launcher.left_running() == [])
    assert launcher.events()[-2:] == ["front stopped", "worker stopped"]
    services.launch().started()


def test_supervisor_killed_launcher_ends_with_all_programs(services: Any) -> None:
    launcher = services.launch().started()
    os.kill(int((launcher.instance / "supervisord.pid").read_text()), signal.SIGKILL)
    assert launcher.process.wait(60) == 1
    assert "The supervisor has ended" in launcher.text
    wait_until(lambda: launcher.left_running() == [])


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"AMQP_URL": "amqp://u:secret@127.0.0.1:9/"},
            "AMQP_URL: no broker answers: amqp://u:***@127.0.0.1:9/: Connection refused",
        ),
        ({"AMQP_URL": "localhost"}, "AMQP_URL: expected amqp://user:password@host:port/vhost, got 'localhost'"),
        ({"AMQP_URL": "", "RABBITMQ_SERVER": "/nowhere"}, "or AMQP_URL=amqp://… to use a RabbitMQ that runs elsewhere"),
        ({"WORKER_PORT": "http"}, "expected VARIABLE:number, got: WORKER_PORT:18084 (WORKER_PORT=http)"),
        (
            {"DATABASE_URL": "postgresql://shop@127.0.0.1/shop"},
            "DATABASE_URL is set: front, worker would share one database. Unset it, each has its own",
        ),
    ],
    ids=["broker away", "no URL", "no RabbitMQ", "ill port", "one database for all"],
)
def test_nothing_to_start_with_is_one_line(services: Any, environment: dict[str, str], line: str) -> None:
    launcher = services.launch(**environment)
    assert launcher.process.wait(60) == 1
    assert line in launcher.text.splitlines()[-1], launcher.text
    assert "secret" not in launcher.text
    assert launcher.left_running() == []


def test_demo_whose_order_is_refused_ends_with_the_reason(services: Any) -> None:
    demo = services.launch("demo")
    assert demo.process.wait(60) == 1
    assert "POST /orders: expected 201, got 501" in demo.text
    assert demo.left_running() == []
    assert list((services.root / "var").glob("demo-*")) == []


def test_no_service_is_one_line(project: Any) -> None:
    launcher = project.launch()
    assert launcher.process.wait(30) == 1
    assert "expected services/<name>/processes.conf" in launcher.text.splitlines()[-1]


def test_instance_of_its_own_in_a_shell_that_knows_another(services: Any, tmp_path: Path) -> None:
    """`. var/run/env` in a shell, then another start: the first one's ports and broker do not count."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "env").write_text("WORKER_PORT='18998'\nINSTANCE_DIR='x'\nexport WORKER_PORT INSTANCE_DIR\n")
    launcher = services.launch(INSTANCE_DIR=str(other), WORKER_PORT="18998").started()
    assert launcher.variables["WORKER_PORT"] != "18998"
    assert launcher.variables["INSTANCE_DIR"] == str(launcher.instance)
