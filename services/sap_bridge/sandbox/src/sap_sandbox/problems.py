"""What the administration answers to a wrong request: problem details, RFC 9457."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse


class ProblemError(Exception):
    """A request to the administration is refused.

    Attributes:
        more: further members of the answer.
    """

    def __init__(self, status: HTTPStatus, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.more = status, detail, more

    def response(self) -> JSONResponse:
        """The status with `application/problem+json`."""
        problem = {"title": self.status.phrase, "status": int(self.status), "detail": self.detail, **self.more}
        return JSONResponse(problem, self.status, media_type="application/problem+json")
