"""A gate as its process runs it, in a thread: what answers is the real keeper at a real socket, on any list of destinations."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence

from appliance.bootstrap import Appliance
from appliance.egress.destinations import Destination
from appliance.egress.gate import Gate
from appliance.egress.keeper import Keeper
from appliance.egress.verdict import Permissions
from appliance.egress.windows import MaintenanceWindow
from appliance.supervisor.sockets import bind_private

_numbers = itertools.count()


def standing_gate(
    appliance: Appliance,
    *destinations: Destination,
    windows: Sequence[MaintenanceWindow] = (),
    classified: Mapping[str, frozenset[str]] | None = None,
) -> Gate:
    """Internal documents may go to each of the destinations unless `classified` says otherwise."""
    known = {destination.name: destination for destination in destinations}
    permissions = Permissions(known, windows, {"internal": frozenset(known)} if classified is None else classified)
    path = appliance.settings.run_dir / f"gate-test-{next(_numbers)}.sock"
    listener = bind_private(path)
    threading.Thread(target=Keeper(permissions).serve, args=(listener, lambda: False), daemon=True).start()
    return Gate(known, lambda: path, appliance.database, appliance.audit)
