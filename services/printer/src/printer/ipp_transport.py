"""IPP requests over HTTP (RFC 8010 section 4): one call, one answer, every failure a `PrinterError` with its fate."""

import itertools
from collections.abc import Mapping
from enum import IntEnum
from urllib.parse import urlsplit

import requests
from eventbus.department.http_target import retry_after_s

from printer.classification import (
    NOT_POSSIBLE,
    Fate,
    PrinterError,
    fate_of_exception,
    fate_of_http,
    fate_of_status,
    reason_of_exception,
    reason_of_http,
)
from printer.ipp_access import Access, open_printer_session
from printer.ipp_message import Attribute, MalformedIppError, Response, Tag, decode_response, encode_request

USER_NAME = "order-bus"
CONNECT_TIMEOUT_S = 3.05
"""A little more than a multiple of 3 s, after which TCP sends its first packet again."""
READ_TIMEOUT_S = 30.0
PORT = 631


ANYBODY = Access()


class Operation(IntEnum):
    """RFC 8011 section 5.4.15."""

    CREATE_JOB = 0x05
    SEND_DOCUMENT = 0x06
    CANCEL_JOB = 0x08
    GET_JOB_ATTRIBUTES = 0x09
    GET_JOBS = 0x0A
    GET_PRINTER_ATTRIBUTES = 0x0B
    RELEASE_JOB = 0x0D


class IppTransport:
    """Calls one printer, at an `ipp://` or `ipps://` address. Connects when it is first used.

    Args:
        uri: its address; without a port 631.
        connections: kept open, and used at a time, at most.
        access: login and trust.
    """

    def __init__(self, uri: str, connections: int, access: Access = ANYBODY) -> None:
        self.uri = uri
        self.user = access.user or USER_NAME
        self._url = http_url(uri)
        self._session = open_printer_session(access, connections)
        self._request_ids = itertools.count(1)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def call(
        self,
        operation: Operation,
        attributes: Mapping[str, Attribute],
        *,
        job: Mapping[str, Attribute] | None = None,
        answers: Tag | None = None,
        document: bytes = b"",
        read_timeout_s: float | None = None,
    ) -> Response:
        """The answer of a successful request.

        Args:
            attributes: of the operation, without those that all have.
            job: attributes of the job to make.
            answers: the group that the answer must have.
            document: sent after the attributes.
            read_timeout_s: how long the printer may be silent; `READ_TIMEOUT_S` where None.

        Raises:
            PrinterError: no answer, no IPP, or a status that is no success.
        """
        target: dict[str, Attribute] = {  # these come first, in this order (RFC 8011 sections 4.1.4 and 4.1.5)
            "attributes-charset": (Tag.CHARSET, "utf-8"),
            "attributes-natural-language": (Tag.LANGUAGE, "en"),
            "printer-uri": (Tag.URI, self.uri),
        }
        rest = dict(attributes)
        if "job-id" in rest:
            target["job-id"] = rest.pop("job-id")
        groups = [(Tag.OPERATION, {**target, "requesting-user-name": (Tag.NAME, self.user), **rest})]
        if job:
            groups.append((Tag.JOB, dict(job)))
        response = self._post(encode_request(operation, next(self._request_ids), groups) + document, read_timeout_s)
        fate = _fate(operation, response)
        if fate is not Fate.OK:
            raise PrinterError(fate, _reason(operation, response), status=response.status)
        if answers is not None and not response.first(answers):
            raise PrinterError(Fate.UNKNOWN, f"{_title(operation)}: the answer has no {answers.name.lower()} group")
        return response

    def _post(self, body: bytes, read_timeout_s: float | None) -> Response:
        try:
            answer = self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/ipp"},
                timeout=(CONNECT_TIMEOUT_S, read_timeout_s or READ_TIMEOUT_S),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise PrinterError(
                fate_of_exception(error),
                reason_of_exception(error),
                is_answered=False,
                is_sent_whole=isinstance(error, requests.ReadTimeout),  # urllib3 tells a slow upload as another error
            ) from error
        wish_s = retry_after_s(answer.headers.get("Retry-After"))
        fate = fate_of_http(answer.status_code, wish_s is not None)
        if fate is not Fate.OK:
            raise PrinterError(fate, reason_of_http(answer.status_code), wish_s)
        try:
            return decode_response(answer.content)
        except MalformedIppError as error:
            raise PrinterError(Fate.UNKNOWN, f"the answer is not IPP: {error}") from error


def http_url(uri: str) -> str:
    """The HTTP address of an `ipp://` or `ipps://` one (RFC 3510 section 4, RFC 7472). Raises ValueError for others."""
    parts = urlsplit(uri)
    scheme = {"ipp": "http", "ipps": "https"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError("an address such as ipp://printer.example/ipp/print")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}:{parts.port or PORT}{parts.path or '/'}"


def _fate(operation: Operation, response: Response) -> Fate:
    if operation is Operation.CREATE_JOB and response.status == NOT_POSSIBLE:
        return Fate.BUSY
    fate = fate_of_status(response.status)
    if fate is Fate.ATTRIBUTES and "document-format" in response.first(Tag.UNSUPPORTED):
        return Fate.CONFIGURATION  # ippeveprinter's way to say that it takes no PDF
    return fate


def _reason(operation: Operation, response: Response) -> str:
    refused = ", ".join(response.first(Tag.UNSUPPORTED))
    return f"{_title(operation)} answered 0x{response.status:04x}{f' ({refused})' if refused else ''}"


def _title(operation: Operation) -> str:
    return operation.name.replace("_", "-").title()
