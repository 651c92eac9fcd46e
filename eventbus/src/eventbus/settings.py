"""Settings: one YAML file beside the code, overridden by the environment alone, read into one frozen typed class.

`${NAME}` stands for an environment variable, `${NAME:default}` for one that may be missing; defaults may hold
further substitutions. Where `NAME` is unset and `NAME_FILE` is set, the value is that file's content (a mounted
secret). An empty value counts as missing. Keys that the class does not know are refused.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a supervisor does not restart a process that ends with it."""

_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*:)[^@\s]*@")
_SECRET_KEY = re.compile(r"password|secret|token|credential|_key$", re.IGNORECASE)


class SettingsError(Exception):
    """The configuration is wrong. The text is one line: file, key, expected, got."""


class Settings(BaseModel):
    """Base of every process's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def config_path(package: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the package's `config.yaml` is: `CONFIG_FILE`, or beside the code, installed or in the source tree."""
    if named := environ.get("CONFIG_FILE"):
        return Path(named)
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SettingsError(f"{package}: expected an installed package with a config.yaml, got none")
    folder = Path(spec.origin).parent
    installed, in_source_tree = folder / "config.yaml", folder.parent.parent / "config.yaml"
    return installed if installed.exists() else in_source_tree


def load(model: type[SettingsT], path: Path, environ: Mapping[str, str] = os.environ) -> SettingsT:
    """The settings in that file.

    Raises:
        SettingsError: the file is missing or not YAML, a variable without default is unset, or a value does not fit.
    """
    document = _document(path)
    try:
        values = _substituted(document, "", path, environ)
    except RecursionError:
        raise SettingsError(f"{path}: expected settings of moderate depth, got endless nesting") from None
    return validated(model, values, path)


def _document(path: Path) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: expected a readable YAML file, got: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date like 1710-10-00
        raise SettingsError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from error
    except (LookupError, AttributeError, TypeError) as error:  # of PyYAML, for `!!bool x`, `!!timestamp x` and the like
        raise SettingsError(f"{path}: expected YAML, got a value that is not of its tag's type") from error
    except RecursionError:
        raise SettingsError(f"{path}: expected YAML of moderate depth, got endless nesting") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: expected a mapping of settings, got: {type(document).__name__}")
    return document


def validated(model: type[SettingsT], document: Any, path: Path) -> SettingsT:
    """What was read from that file as the model; a file of another form than `load` reads may use it.

    Raises:
        SettingsError: it does not fit. The first problem, as one line.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SettingsError(_first_problem(model, path, error)) from None


def load_or_exit(model: type[SettingsT], path: Path) -> SettingsT:
    """Like `load`; a wrong configuration ends the process with one line on standard error and exit code 78."""
    try:
        return load(model, path)
    except SettingsError as error:
        exit_configuration(str(error))


def exit_configuration(line: str) -> NoReturn:
    """End the process because of its configuration: the line on standard error, exit code 78."""
    print(f"configuration: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    sys.exit(EXIT_CONFIGURATION)


def redacted(text: str) -> str:
    """The text without the passwords of URLs in it."""
    return _PASSWORD_IN_URL.sub(r"\1***@", text)


def _substituted(node: Any, key: str, path: Path, environ: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        values = {k: _substituted(v, f"{key}.{k}" if key else str(k), path, environ) for k, v in node.items()}
        return {k: v for k, v in values.items() if v is not None}
    if isinstance(node, list):
        return [_substituted(v, f"{key}.{i}", path, environ) for i, v in enumerate(node)]
    if isinstance(node, str) and "${" in node:
        try:
            return substitute(node, environ) or None
        except (KeyError, ValueError, OSError) as error:
            expected = str(error.args[0]) if not isinstance(error, OSError) else f"a readable file, got {error}"
            raise SettingsError(f"{path}: {key}: expected {expected}") from None
    return node


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """The text with its `${NAME:default}` replaced.

    Raises:
        KeyError: a variable without default is unset.
        ValueError: a brace is not closed.
        OSError: the file that `NAME_FILE` names cannot be read.
    """
    out, rest = "", text
    while (start := rest.find("${")) >= 0:
        end = _closing_brace(rest, start + 2)
        name, colon, default = rest[start + 2 : end].partition(":")
        out += rest[:start] + _variable(name, default if colon else None, environ)
        rest = rest[end + 1 :]
    return out + rest


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for index in range(start, len(text)):
        depth += (text[index] == "{" and text[index - 1] == "$") - (text[index] == "}")
        if depth == 0:
            return index
    raise ValueError("a closing brace after ${")


def _variable(name: str, default: str | None, environ: Mapping[str, str]) -> str:
    if value := environ.get(name):
        return value
    if file := environ.get(f"{name}_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    if default is None:
        raise KeyError(f"the environment variable {name}, got: it is not set")
    return substitute(default, environ)


def _first_problem(model: type[BaseModel], path: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{path}: {key}: expected no such key, got one"
    if first["type"] == "missing":
        return f"{path}: {key}: expected a value, got none"
    expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if first["type"] == "zoneinfo_str":
        expected = "an IANA time zone such as Europe/Berlin"
    field = model.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    if first["type"] == "string_pattern_mismatch" and field is not None and field.description:
        expected = field.description  # a pattern is for programs
    # a mapping that is wrong as a whole may hold a password among its values
    hidden = _SECRET_KEY.search(key) or isinstance(first["input"], Mapping)
    got = "(not shown)" if hidden else redacted(repr(first["input"]))[:200]
    return f"{path}: {key}: expected {expected}, got: {got}"
