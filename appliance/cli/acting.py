"""On whose behalf a command acts: whoever can read the data directory may speak for any account, and the log says so."""

from __future__ import annotations

from appliance.bootstrap import Appliance
from appliance.errors import InvalidInput, NotFound
from appliance.identity import store
from appliance.identity.models import Principal


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
        raise InvalidInput("There are several accounts; say with --as who is asking or uploading.", code="person.unclear")
    return acting_principal(appliance, people[0].principal.name)
