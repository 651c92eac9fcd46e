"""`python -m printer …` as a person meets it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from eventbus.testing.builders import an_event
from printer.__main__ import main
from printer.commands import _Transactions
from printer.desk import Desk
from printer.folder import SlipFolder
from printer.folder_printer import FolderPrinter
from printer.slip import SlipMaker
from printer.tables import tenant

from eventbus import database


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A printer's environment."""
    return {"PRINTER_URI": f"file://{tmp_path}/slips", "DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"]}


@pytest.fixture
def order_number(tmp_path: Path, makers: dict[str, SlipMaker]) -> str:
    """Of an order whose slip is in the folder, by the department `printer`."""
    url = f"sqlite:///{tmp_path / 'printer.db'}"
    database.upgrade(url, "printer")
    desk = Desk(_Transactions(database.create_engine(url)), makers["a4"], results=None)  # type: ignore[arg-type]
    event = an_event(order_number="7KQ2-M9XD-4TWE", customer_name="Secret Name")
    FolderPrinter(SlipFolder(tmp_path / "slips")).print_once(event, desk)
    return event.subject


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`python -m printer …`, in this process: exit code, standard output and standard error."""

    def run_here(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["printer", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said, error = capsys.readouterr()
        return int(ended.value.code or 0), said, error

    return run_here


def test_command_is_a_program_of_its_own(environ: dict[str, str], order_number: str) -> None:
    status = [sys.executable, "-m", "printer", "status", order_number]
    done = subprocess.run(status, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.count("printed") == 1
    assert done.stderr == ""


def test_reprint_status_and_forget_of_an_order(run: Run, environ: dict[str, str], order_number: str) -> None:
    code, said, error = run(environ, "reprint", "7kq2m9xd4twe", "--reason", "torn")
    assert (code, error) == (0, "")
    assert said.splitlines() == [
        "7KQ2-M9XD-4TWE: copy 2 will be printed, marked REPRINT",
        "What becomes of it: python -m printer status 7KQ2-M9XD-4TWE",
    ]
    code, said, error = run(environ, "status", order_number)
    assert (code, error) == (0, "")
    head, first, second = (line.split() for line in said.splitlines())
    assert head == ["COPY", "STATE", "PAPER", "SINCE", "WHY"]
    assert first[:3] == ["1", "printed", "7KQ2-M9XD-4TWE.pdf"]
    assert second[:3] == ["2", "new", "-"]
    assert second[-2:] == ["reprint:", "torn"]
    assert "Secret" not in said
    assert run(environ, "forget", order_number) == (
        1, "", "printer: 7KQ2-M9XD-4TWE: its slip is on its way: erase it when it is printed\n"
    )  # fmt: skip


def test_forget_names_the_files_that_it_leaves(
    run: Run, environ: dict[str, str], order_number: str, tmp_path: Path
) -> None:
    code, said, _ = run(environ, "forget", order_number)
    assert code == 0
    assert said.splitlines() == [
        "7KQ2-M9XD-4TWE: erased what stood on its slip",
        f"7KQ2-M9XD-4TWE: still in the folder: {tmp_path}/slips/7KQ2-M9XD-4TWE.pdf",
    ]
    assert "cannot be reprinted" in run(environ, "status", order_number)[1]


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "message"),
    [
        ({}, ("status", "TEST-9999-9999"), 1, "printer: TEST-9999-9999: this printer never had it\n"),
        ({"DEPARTMENT": "printer_north"}, ("status", "X"), 78, "patterns: expected the routing keys of one warehouse"),
        (
            {"DEPARTMENT": "printer_north", "PRINTER_PATTERNS": "order.created.north"},
            ("status", "X"),
            1,
            "printer: printer_north has no database yet: ",
        ),
        (
            {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
            ("status", "X"),
            1,
            "printer: the database of printer does not answer: OperationalError\n",
        ),
        ({}, ("reprnit", "X"), 2, "invalid choice: 'reprnit'"),
        ({}, ("reprint", "X"), 2, "the following arguments are required: --reason"),
    ],
)
@pytest.mark.usefixtures("order_number")
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    run: Run, environ: dict[str, str], changes: dict[str, str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    ended, said, error = run(environ | changes, *arguments)
    assert (ended, said) == (code, "")
    assert message in error
    assert code == 2 or error.count("\n") == 1


def test_files_of_another_order_whose_number_begins_alike_are_not_named(
    run: Run, environ: dict[str, str], order_number: str, tmp_path: Path
) -> None:
    for name in (f"{order_number}.2.pdf", f"{order_number}1.pdf", f"{order_number}-1.2.pdf"):
        (tmp_path / "slips" / name).touch()
    said = run(environ, "forget", order_number)[1]
    assert [line.rpartition("/")[2] for line in said.splitlines()[1:]] == [
        f"{order_number}.2.pdf",
        f"{order_number}.pdf",
    ]


@pytest.mark.usefixtures("order_number")
def test_command_with_another_departments_database_is_refused(
    run: Run, environ: dict[str, str], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'printer.db'}"
    _Transactions(database.create_engine(url)).run(
        lambda connection: connection.execute(tenant.insert().values(only=1, department="printer_south"))
    )
    code, _, error = run(environ, "reprint", "7KQ2-M9XD-4TWE", "--reason", "torn")
    assert (code, error) == (1, "printer: DATABASE_URL: expected the database of printer, got that of printer_south\n")
