"""Logs: one JSON object a line, for programs; never a password."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from eventbus import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, old = root.handlers[:], root.level, structlog.get_config()
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**old)


def log_to(stream: io.StringIO, **environ: str) -> structlog.stdlib.BoundLogger:
    logs.configure("printer", stream=stream, environ=environ)
    return logs.get_logger("x")


def broken(reason: str) -> None:
    raise RuntimeError(reason)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_entry_is_one_json_line_with_time_service_and_level(stream: io.StringIO) -> None:
    log_to(stream).info("handled", order="7KQ2-M9XD-4TWE", attempt=1, seconds=0.25)
    (entry,) = lines(stream)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "event": "handled",
        "service": "printer",
        "level": "info",
        "order": "7KQ2-M9XD-4TWE",
        "attempt": 1,
        "seconds": 0.25,
    }


def test_text_of_several_lines_stays_one_line(stream: io.StringIO) -> None:
    log_to(stream).info("handled", reason="a\nb")
    assert len(stream.getvalue().splitlines()) == 1


EVIL = [
    "\r\n2026-11-24 [info] done",
    "\x1b[2J\x1b]0;title\x07", "\x9b31mred", "\u2028line\u2029", "\x85", "\x00", "\u202eevil",
    "\ud800", "\u00a0 \u3000",
]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("text", EVIL)
def test_nothing_in_a_value_makes_a_line_or_steers_a_terminal(stream: io.StringIO, form: str, text: str) -> None:
    log_to(stream, LOG_FORMAT=form).warning("parked", reason=f"x{text}y", order=f"x{text}y")
    logging.getLogger("some.library").warning("lost %s", f"x{text}y")
    written = stream.getvalue()
    assert written.encode("utf-8", "strict").count(b"\n") == 2
    assert len(written.splitlines()) == 2
    assert all(line.isprintable() for line in written.splitlines())
    if form == "json":
        assert [json.loads(line).get("reason", "") for line in written.splitlines()] == [f"x{text}y", ""]


def test_traceback_for_people_steers_no_terminal(stream: io.StringIO) -> None:
    logger = log_to(stream, LOG_FORMAT="text")
    try:
        broken("x\x1b[2J\x9b")
    except RuntimeError:
        logger.exception("failed")
    assert "RuntimeError: x\\x1b[2J\\x9b" in stream.getvalue()
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))


def test_names_of_any_script_stay_readable(stream: io.StringIO) -> None:
    log_to(stream).info("handled", reason="Щербакова 王小明 é")
    assert "Щербакова 王小明 é" in stream.getvalue()


def test_libraries_log_in_the_same_form(stream: io.StringIO) -> None:
    log_to(stream)
    logging.getLogger("some.library").warning("lost %s", "the link")
    (entry,) = lines(stream)
    assert (entry["event"], entry["service"], entry["level"]) == ("lost the link", "printer", "warning")


def test_chatter_of_libraries_is_left_out(stream: io.StringIO) -> None:
    log_to(stream)
    logging.getLogger("pika.connection").info("connecting")
    assert stream.getvalue() == ""


def test_exception_is_in_its_entry(stream: io.StringIO) -> None:
    logger = log_to(stream)
    try:
        broken("broken")
    except RuntimeError:
        logger.exception("failed")
    (entry,) = lines(stream)
    assert "RuntimeError: broken" in entry["exception"]


def test_no_password_of_a_url_anywhere_in_an_entry(stream: io.StringIO) -> None:
    url = "amqp://user:hunter2@broker/"
    logger = log_to(stream)
    logger.info(f"connecting to {url}", url=url, urls=[url], more={"url": url})
    logging.getLogger("some.library").warning("no answer from %s", url)
    try:
        broken(f"no answer from {url}")
    except RuntimeError as error:
        logger.exception("failed", error=error)
        logging.getLogger("some.library").exception("failed")
    assert len(lines(stream)) == 4
    assert "hunter2" not in stream.getvalue()


def test_level_comes_from_the_environment(stream: io.StringIO) -> None:
    log_to(stream, LOG_LEVEL="warning").info("handled")
    assert stream.getvalue() == ""


def test_text_is_for_terminals(stream: io.StringIO) -> None:
    log_to(stream, LOG_FORMAT="text").info("handled", order="7KQ2")
    assert "handled" in stream.getvalue()
    assert "order" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("environ", [{"LOG_LEVEL": "loud"}, {"LOG_FORMAT": "yaml"}])
def test_wrong_setting_of_logs_is_one_line_and_exit_78(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        logs.configure("test", environ=environ)
    assert ended.value.code == 78
    name, value = next(iter(environ.items()))
    error = capsys.readouterr().err
    assert error.startswith(f"configuration: {name}: expected ")
    assert error.strip().endswith(f"got: {value.upper() if name == 'LOG_LEVEL' else value}")


def test_empty_setting_of_logs_counts_as_missing() -> None:
    logs.configure("test", stream=io.StringIO(), environ={"LOG_LEVEL": "", "LOG_FORMAT": ""})
    assert logging.getLogger().level == logging.INFO
