"""Rendering of pages: every template gets the same frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template.config import TemplateConfig

from appliance.language.seen import seen
from web.authentication import csrf_token
from web.dependencies import caller
from web.navigation import ADMINISTRATION, places


def template_config() -> TemplateConfig[JinjaTemplateEngine]:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen,
    )
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


def _seen(value: Any) -> Any:
    """Every value of every template passes here before it is escaped; markup that a filter made is ours."""
    return seen(value) if type(value) is str else value


def page(request: Request[Any, Any, Any], template: str, *, status_code: int = 200, **context: Any) -> Template:
    """`template` inside the layout, with the person's name, navigation and CSRF token."""
    principal = caller(request)
    appliance = request.app.state.appliance
    frame = {
        "signed_in": request.scope.get("auth") is not None,
        "person_name": principal.name,
        "csrf_token": csrf_token(request),
        "places": places(appliance, principal),
        "administration": places(appliance, principal, ADMINISTRATION),
    }
    return Template(template, context={**frame, **context}, status_code=status_code, media_type="text/html")
