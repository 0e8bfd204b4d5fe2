"""`cloister users`: accounts as the page People keeps them, without a browser."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from appliance.administration.belongings import Belongings
from appliance.audit.log import utc_text
from appliance.bootstrap import Appliance
from appliance.cli.acting import Act, act_in_box
from appliance.cli.output import Output
from appliance.cli.passwords import given_password, password_argument
from appliance.cli.verbs import add_verbs
from appliance.errors import Conflict, NotFound
from appliance.identity.api_keys import ApiKey
from appliance.identity.models import Account, Principal, Role
from appliance.identity.store import comparable_name
from appliance.language.counts import counted

_KEYS_ENDED = "API keys of theirs have ended."


def register(parser: argparse.ArgumentParser) -> None:
    for name, verb in add_verbs(parser, {name: summary for name, (summary, _) in VERBS.items()}).items():
        verb.add_argument("--as", dest="person", metavar="USER", help="the administrator who acts")
        if name == "list":
            continue
        verb.add_argument("user", metavar="NAME", help="the name to sign in with")
        if name in {"add", "roles"}:
            verb.add_argument(
                "--role",
                dest="roles",
                action="append",
                choices=[str(role) for role in Role],
                required=name == "roles",
                help="repeatable" if name == "roles" else "repeatable (default: employee)",
            )
        if name in {"add", "password"}:
            password_argument(verb)
        if name == "end-keys":
            verb.add_argument("--key", metavar="ID", help="this one (default: all)")
        if name == "delete":
            for what in ("conversations", "documents"):
                verb.add_argument(f"--{what}", type=int, metavar="N", help="how many of their own may go (without: only told)")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Exit code 0 when the act was done."""
    if "password_stdin" in arguments:  # before the box is open: a person may take their time to type
        arguments.password = given_password(arguments)
    return act_in_box(VERBS[arguments.verb][1], arguments, output)


def _list(appliance: Appliance, principal: Principal, _arguments: argparse.Namespace, output: Output) -> int:
    accounts = appliance.people.list(principal)
    documents = [
        _document(item.principal, disabled=_disabled(item))
        | {"created": utc_text(item.created_ms), "second_factor": item.has_factor, "provider": item.provider}
        for item in accounts
    ]
    output.result({"users": documents}, *(_line(item, principal) for item in accounts))
    return 0


def _add(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    roles = [Role(role) for role in arguments.roles or [Role.EMPLOYEE]]
    made = appliance.people.create(principal, arguments.user, arguments.password, roles)
    output.result(_document(made, disabled=False), f"{made.name} can sign in now.")
    return 0


def _roles(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.user)
    account = appliance.people.update(principal, which, roles=[Role(role) for role in arguments.roles])
    return _told(account, output, f"Roles of {account.principal.name}: {_named(account.principal.roles)}.")


def _password(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    account = appliance.people.update(principal, _called(appliance, principal, arguments.user), password=arguments.password)
    return _told(account, output, f"{account.principal.name} was signed out everywhere and has a new password. {_KEYS_ENDED}")


def _disable(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    which = _called(appliance, principal, arguments.user)
    if which == principal.id:  # the page has no button for it either
        raise Conflict("Nobody disables their own account; another administrator does.", code="person.own_account")
    account = appliance.people.update(principal, which, disabled=True)
    return _told(account, output, f"{account.principal.name} is disabled and was signed out everywhere. {_KEYS_ENDED}")


def _enable(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    account = appliance.people.update(principal, _called(appliance, principal, arguments.user), disabled=False)
    return _told(account, output, f"{account.principal.name} can sign in again.")


def _remove_factor(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    """Also one's own: the way out for the only administrator, whose phone is lost."""
    person = _found(appliance, principal, arguments.user)
    appliance.enrolment.remove(principal, person.id, at_the_box=True)
    told = f"{person.name} was signed out everywhere and signs in with the password alone now."
    output.result({"id": person.id, "name": person.name, "second_factor": False}, told)
    return 0


def _let_in(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    account = appliance.provider_accounts.allow(principal, _called(appliance, principal, arguments.user))
    provider = appliance.provider_sign_in.name
    return _told(account, output, f"{account.principal.name} signs in with {provider} from now on, and by no password.")


def _unlink(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    account = appliance.provider_accounts.unlink(principal, _called(appliance, principal, arguments.user))
    return _told(account, output, f"{account.principal.name} is not let in by the identity provider any more.")


def _keys(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    person = _found(appliance, principal, arguments.user)
    keys = appliance.api_keys.list_of(principal, person.id)
    documents = [
        {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "created": utc_text(key.created_ms),
            "expires": utc_text(key.expires_ms),
            "last_used": None if key.last_used_ms is None else utc_text(key.last_used_ms),
        }
        for key in keys
    ]
    output.result({"keys": documents}, *([_key_line(key) for key in keys] or [f"{person.name} has no API key."]))
    return 0


def _end_keys(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    person = _found(appliance, principal, arguments.user)
    ended = appliance.api_keys.end_of(principal, person.id, arguments.key)
    output.result({"ended": ended}, f"{counted(ended, 'API key')} of {person.name} ended.")
    return 0


def _key_line(key: ApiKey) -> str:
    used = "never used" if key.last_used_ms is None else f"last used {utc_text(key.last_used_ms)[:16]}"
    return f"{key.id}  {key.name}; {', '.join(sorted(key.scopes))}; ends {utc_text(key.expires_ms)[:10]}; {used}"


def _delete(appliance: Appliance, principal: Principal, arguments: argparse.Namespace, output: Output) -> int:
    """Without numbers nothing is deleted: exit code 1, and what would go and stay."""
    person = _found(appliance, principal, arguments.user)
    which, name = person.id, person.name
    agreed = (arguments.conversations, arguments.documents)
    if agreed == (None, None):
        found = appliance.people.belongings(principal, which)
        agree = f"--conversations {found.conversations} --documents {found.documents}"
        told = [f"{name} has {found.own}; they go with the account, its groups and grants, for good.", *_staying(name, found)]
        told.append(f"Nothing is deleted yet. To delete the account, repeat this command with {agree}")
        output.result({"deleted": None, **asdict(found)}, *told)
        return 1
    found = appliance.people.delete(principal, which, conversations=agreed[0] or 0, documents=agreed[1] or 0)
    output.result({"deleted": which, **asdict(found)}, f"{name} was deleted with {found.own}.", *_staying(name, found))
    return 0


def _staying(name: str, found: Belongings) -> list[str]:
    """What a deletion does not reach; the page says the same (web/static/people.js)."""
    put = [f"- {counted(found.shared_documents, 'document')} that {name} put into shared collections"]
    return [
        "What stays:",
        *(put if found.shared_documents else []),
        "- questions that they showed to administrators and that were taken into golden sets, if any",
        "- backups made until now, copies that upgrades keep for 30 days, and what was exported of the audit log",
        "- what they wrote and were called, sealed in the audit log, until an officer erases it",
    ]


def _called(appliance: Appliance, principal: Principal, name: str) -> str:
    return _found(appliance, principal, name).id


def _found(appliance: Appliance, principal: Principal, name: str) -> Principal:
    """That account, disabled or not, in the list that the page shows, too: who may not see it learns no name.

    Raises `NotFound` (`person.unknown`).
    """
    for account in appliance.people.list(principal):
        if comparable_name(account.principal.name) == comparable_name(name):
            return account.principal
    raise NotFound(f"There is no account named {name}.", code="person.unknown")


def _told(account: Account, output: Output, sentence: str) -> int:
    output.result(_document(account.principal, disabled=_disabled(account)), sentence)
    return 0


def _disabled(account: Account) -> bool:
    return account.disabled_ms is not None


def _document(person: Principal, *, disabled: bool) -> dict[str, object]:
    return {"id": person.id, "name": person.name, "roles": sorted(person.roles), "disabled": disabled}


def _line(account: Account, principal: Principal) -> str:
    person = account.principal
    state = ("; second factor" if account.has_factor else "") + (f"; {account.provider} by provider" if account.provider else "")
    state += "; disabled" if _disabled(account) else ""
    you = " (you)" if person.id == principal.id else ""
    return f"{person.name:<24} {_named(person.roles)}; since {utc_text(account.created_ms)[:10]}{state}{you}"


def _named(roles: frozenset[Role]) -> str:
    return ", ".join(sorted(roles))


VERBS: dict[str, tuple[str, Act]] = {
    "list": ("every account: its roles, since when, whether it is disabled", _list),
    "add": ("make an account, with a password to be handed over in person", _add),
    "roles": ("give somebody exactly these roles, and end their sessions", _roles),
    "password": ("give somebody a new password, and end their sessions and API keys", _password),
    "disable": ("keep somebody out, and end their sessions and API keys; documents and conversations stay", _disable),
    "enable": ("let somebody sign in again", _enable),
    "remove-factor": ("let somebody who lost the phone sign in with the password alone, and end their sessions", _remove_factor),
    "let-in": ("let the identity provider let somebody in; end their password, sessions and API keys", _let_in),
    "unlink": ("let the provider let somebody in no longer, and end their sessions and API keys", _unlink),
    "keys": ("the API keys of somebody: what each is for, when it ends, when it was last used", _keys),
    "end-keys": ("end the API keys of somebody, or one of them", _end_keys),
    "delete": ("delete the disabled account of somebody who left, with their conversations and own documents", _delete),
}
