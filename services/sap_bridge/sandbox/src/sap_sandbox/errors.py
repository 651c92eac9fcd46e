"""What the sandbox answers when it refuses: SAP's JSON error, or the plain pages of the layers in front of it."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from sap_sandbox.messages import Message
from sap_sandbox.schema import NAMESPACE

BUSINESS_ERROR = "/IWBEP/CM_MGW_RT/022"
ENTITY_NOT_FOUND = "CX_SADL_ENTITY_NOT_FOUND"
_FRAMEWORK_ENTRY = "/IWBEP/CX_MGW_BUSI_EXCEPTION"
"""The gateway framework appends an entry of its own to `errordetails`, with the text of the first message."""


class SandboxError(Exception):
    """A request is refused."""

    def response(self) -> Response:
        """What the client gets."""
        raise NotImplementedError


class ODataError(SandboxError):
    """The service refuses the request, with SAP's full error body.

    Attributes:
        messages: at least one; the first one's text is the error's.
        transaction_id: stands in the answer and in the log.
    """

    def __init__(self, status: int, *messages: Message, code: str = BUSINESS_ERROR) -> None:
        super().__init__("; ".join(f"{message.code} {message.text}" for message in messages))
        self.status, self.messages, self.code = status, messages, code
        self.transaction_id = uuid.uuid4().hex.upper()

    def response(self) -> Response:
        """The status with the JSON body that SAP's gateway writes."""
        first = self.messages[0]
        entries = [*self.messages, Message(_FRAMEWORK_ENTRY, first.text)]
        error = {
            "code": self.code,
            "message": {"lang": "en", "value": first.text},
            "innererror": {
                "application": {
                    "component_id": "SD-SLS",
                    "service_namespace": "/SAP/",
                    "service_id": NAMESPACE,
                    "service_version": "0001",
                },
                "transactionid": self.transaction_id,
                "timestamp": f"{datetime.now(UTC):%Y%m%d%H%M%S.%f}0",
                "Error_Resolution": {"SAP_Transaction": "", "SAP_Note": ""},
                "errordetails": [entry.as_error_detail() for entry in entries],
            },
        }
        return JSONResponse({"error": error}, status_code=self.status)


class BadRequestError(ODataError):
    """The request is wrong: 400."""

    def __init__(self, *messages: Message) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, *messages)


@dataclass
class PlainError(SandboxError):
    """A layer in front of the service refuses the request: no JSON."""

    status: HTTPStatus
    text: str
    headers: dict[str, str]
    html: bool = True

    def response(self) -> Response:
        """An HTML page, or the bare text."""
        if not self.html:
            return Response(self.text, self.status, self.headers, "text/plain")
        page = f"<html><head><title>{self.text}</title></head><body><h1>{self.text}</h1></body></html>"
        return Response(page, self.status, self.headers, "text/html")


def csrf_required() -> PlainError:
    """403 for a write whose token is missing or is not its session's."""
    return PlainError(HTTPStatus.FORBIDDEN, "CSRF token validation failed", {"x-csrf-token": "Required"}, html=False)


def logon_failed(system_id: str, client: str) -> PlainError:
    """401 for wrong or missing credentials, or a client that does not exist."""
    realm = f'Basic realm="SAP NetWeaver Application Server [{system_id}/{client}]"'
    return PlainError(HTTPStatus.UNAUTHORIZED, "Logon failed", {"WWW-Authenticate": realm})


def overloaded(reason: str) -> PlainError:
    """503 without Retry-After, as the dispatcher gives it."""
    return PlainError(HTTPStatus.SERVICE_UNAVAILABLE, f"Service unavailable: {reason}", {})
