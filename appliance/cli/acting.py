"""On whose behalf a command acts: whoever can read the data directory may speak for any account, and the log says so."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing

from appliance.bootstrap import Appliance, open_appliance
from appliance.cli.output import Output
from appliance.errors import InvalidInput, NotFound
from appliance.identity import store
from appliance.identity.models import Principal
from appliance.settings import load_settings
from appliance.storage.upgrading import Upgrading

Act = Callable[[Appliance, Principal, argparse.Namespace, Output], int]
"""What a verb does for an account in an open box; the exit code."""


def act_in_box(act: Act, arguments: argparse.Namespace, output: Output) -> int:
    """Open the box and let the account that `--as` names act in it."""
    with closing(open_appliance(load_settings(arguments.data), upgrading=Upgrading(output.progress))) as appliance:
        return act(appliance, acting_principal(appliance, arguments.person), arguments, output)


def acting_principal(appliance: Appliance, name: str | None) -> Principal:
    """The account called `name`; without a name the only account there is.

    Raises `NotFound` for an unknown or disabled account, `InvalidInput` where several accounts make the choice unclear.
    """
    with appliance.database.read() as connection:
        if name is not None:
            found = store.principal_by_name(connection, name)
            if found is None:
                raise NotFound(f"There is no account named {name}, or it is disabled.", code="person.unknown")
            return found
        people = store.list_principals(connection)
    if not people:
        raise NotFound("This box has no account yet; `cloister init` makes the first one.", code="person.none")
    if len(people) > 1:
        raise InvalidInput("There are several accounts; say with --as who acts.", code="person.unclear")
    return acting_principal(appliance, people[0].principal.name)
