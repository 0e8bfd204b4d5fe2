"""From errors to responses: the only place that knows both.

People see one sentence; programs see `{"error": {"code", "message", ...}}`. What nobody foresaw becomes a 500 with a
correlation id, and its details go to the log alone.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.types import ExceptionHandlersMap

from appliance.errors import (
    ApplianceError,
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    NotSignedIn,
    SetupError,
    Throttled,
    Unavailable,
)
from web.pages import page

STATUS: dict[type[ApplianceError], int] = {
    InvalidInput: 400,
    NotSignedIn: 401,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    Throttled: 429,
    Unavailable: 503,
    SetupError: 503,
}

STATUS_OF_CODE = {"document.too_large": 413}
"""Where the protocol has a word of its own for one reason among those of a class."""

CODES = {
    400: "request.invalid",
    401: "session.missing",
    403: "policy.denied",
    404: "not_found",
    405: "request.method",
    413: "request.too_large",
    415: "request.media_type",
    429: "throttled",
    503: "unavailable",
}

SENTENCES = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This address does not do that.",
    413: "The request is too large.",
}

_Request = Request[Any, Any, Any]


def status_of(error: ApplianceError) -> int:
    """The status of the nearest class in the error's ancestry; 500 for one this table does not know."""
    if error.stable_code in STATUS_OF_CODE:
        return STATUS_OF_CODE[error.stable_code]
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def from_appliance(request: _Request, error: ApplianceError) -> Response[Any]:
    status = status_of(error)
    if status == 500:
        return from_unexpected(request, error)
    # only where nobody is signed in: who was turned away on the way in reads why
    if error.stable_code == NotSignedIn.code and _wants_page(request):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return Redirect(f"/sign-in?next={quote(target, safe='')}", status_code=303)
    if error.stable_code == "factor.required" and _wants_page(request):
        return Redirect("/account", status_code=303)
    headers = {}
    if "retry_after_s" in error.data:
        headers["Retry-After"] = str(error.data["retry_after_s"])
    return _respond(request, status, error.diagnostics(), headers)


def from_http(request: _Request, error: HTTPException) -> Response[Any]:
    """Litestar's own refusals: unknown path, wrong method, a body that is no JSON or misses a field."""
    status = error.status_code
    if status >= 500:
        return from_unexpected(request, error)
    known = {item.value for item in HTTPStatus}
    message = SENTENCES.get(status) or (HTTPStatus(status).phrase + "." if status in known else "Refused.")
    body: dict[str, Any] = {"code": CODES.get(status, "request.refused"), "message": message}
    if isinstance(error.extra, list):
        body["fields"] = [str(item.get("key", "")) for item in error.extra if isinstance(item, dict)]
    return _respond(request, status, body, dict(error.headers or {}))


def from_unexpected(request: _Request, error: Exception) -> Response[Any]:
    told = report("request.failed", error, method=request.scope["method"], path=request.scope.get("path_template", ""))
    return _respond(request, 500, told, {})


def report(event: str, error: Exception, **where: str) -> dict[str, Any]:
    """Log what nobody foresaw under a number; what a person is told is that number."""
    correlation_id = secrets.token_hex(8)
    structlog.get_logger("web").error(event, correlation_id=correlation_id, exc_info=error, **where)
    message = f"Something went wrong inside the box. Tell your administrator this number: {correlation_id}."
    return {"code": "internal", "message": message, "correlation_id": correlation_id}


def _wants_page(request: _Request) -> bool:
    return request.scope["method"] in {"GET", "HEAD"} and not request.scope["path"].startswith(("/api/", "/static/"))


def _respond(request: _Request, status: int, error: dict[str, Any], headers: dict[str, str]) -> Response[Any]:
    if _wants_page(request):
        response: Response[Any] = page(request, "error.html", status_code=status, status=status, message=error["message"])
        response.headers.update(headers)
        return response
    return Response({"error": error}, status_code=status, headers=headers, media_type="application/json")


HANDLERS: ExceptionHandlersMap = {ApplianceError: from_appliance, HTTPException: from_http, Exception: from_unexpected}
