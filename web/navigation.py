"""The top navigation: what policy lets this person open, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from appliance.identity.models import NOBODY, Principal
from appliance.policy.actions import Action
from web.guards import RESOURCES

if TYPE_CHECKING:
    from appliance.bootstrap import Appliance


START = "/"


class Place(NamedTuple):
    """A page of the navigation; `key` is what a template names to mark where the person is."""

    key: str
    title: str
    path: str
    action: Action


PLACES = (
    Place("chat", "Chat", "/chat", Action.CONVERSATION_CREATE),
    Place("documents", "Documents", "/documents", Action.DOCUMENT_LIST),
    Place("audit", "Audit", "/audit", Action.AUDIT_READ),
    Place("admin", "Administration", "/admin/people", Action.PERSON_LIST),
)

ADMINISTRATION = (
    Place("people", "People", "/admin/people", Action.PERSON_LIST),
    Place("groups", "Groups", "/admin/groups", Action.GROUP_LIST),
    Place("collections", "Collections", "/admin/collections", Action.COLLECTION_LIST),
    Place("models", "Models", "/admin/models", Action.MODEL_LIST),
    Place("quality", "Quality", "/admin/quality", Action.QUALITY_READ),
    Place("evaluation", "Evaluation", "/admin/evaluation", Action.GOLDEN_READ),
    Place("box", "The box", "/admin/box", Action.BOX_READ),
)

ACCOUNT = Place("account", "Your account", "/account", Action.ACCOUNT_READ)
"""Led to by the person's name, not by the navigation; open also to whoever lacks the second factor that their role asks for."""


def places(appliance: Appliance, principal: Principal, among: tuple[Place, ...] = PLACES) -> list[Place]:
    """Those of `among` that policy allows; asking leaves no audit event, opening one does."""
    if principal is NOBODY or not appliance.factors.may_act(principal):
        return []
    return [place for place in among if appliance.access.allowed(principal, place.action, RESOURCES[place.action])]


def local_path(path: str) -> str:
    """`path` where it leads to a page of this box, else nothing: no other site may borrow our sign-in page."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if plain else ""


def landing(appliance: Appliance, principal: Principal, wanted: str) -> str:
    """`wanted`, where it is or lies below a page that this person may open; else where they begin."""
    path = urlsplit(local_path(wanted)).path
    pages = [*places(appliance, principal), *places(appliance, principal, ADMINISTRATION)]
    if appliance.access.allowed(principal, ACCOUNT.action, RESOURCES[ACCOUNT.action]):
        pages.append(ACCOUNT)
    may_open = any(path == page.path or path.startswith(f"{page.path}/") for page in pages)
    return wanted if may_open else home(appliance, principal)


def home(appliance: Appliance, principal: Principal) -> str:
    """Where this person begins; the start itself for whoever may open nothing, which says so."""
    if principal is NOBODY:
        return "/sign-in"
    if not appliance.factors.may_act(principal):
        return ACCOUNT.path
    allowed = places(appliance, principal)
    return allowed[0].path if allowed else START
