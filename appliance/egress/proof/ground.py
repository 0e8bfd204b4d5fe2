"""The ground on which the box is put to the proof: namespaces where every name has an address and every address answers.

The other way round than the seal: there a call fails at once, and nobody learns that it was tried; here it succeeds, so that
whoever wants out says where to. Services of the machine that would resolve a name for a caller are covered, as in the seal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from appliance.egress.proof.wires import Wire, make_wire
from appliance.egress.seal import calls, covers
from appliance.egress.seal.confinement import CODE
from appliance.egress.seal.namespace import leave, raise_loopback

RESOLVER = "198.18.0.2"
_SOURCE = "cloister-proof"
_PLACE = Path("/run/cloister-proof")
_RUNTIMES = re.compile(r"^runtimes = (\[.*\])$", re.MULTILINE)
_FILES = {
    "/etc/resolv.conf": f"nameserver {RESOLVER}\noptions timeout:2 attempts:1\n",
    "/etc/nsswitch.conf": "hosts: files dns\npasswd: files\ngroup: files\n",
}


def enter_ground(kept: Iterable[Path]) -> tuple[Wire, bool]:
    """Leave this machine's network for good; the wire, and whether that took a user namespace.

    For a process with one thread. Paths in `kept` stay visible. Raises `OSError` where the kernel refuses.
    """
    through_user = leave()
    raise_loopback()
    covers.cover(kept, _SOURCE)
    _PLACE.mkdir()
    for name, content in _FILES.items():
        stand_in = _PLACE / Path(name).name
        stand_in.write_text(content)
        calls.mount(str(stand_in), str(_seen(Path(name))), None, calls.MS_BIND)
    return make_wire(), through_user


def prefer_runtime(name: str) -> None:
    """From the next start on every rule of the routing policy that allows this runtime has it first; on this ground only."""
    policy = CODE / "policies" / "routing.toml"
    stand_in = _PLACE / f"routing-{name}.toml"
    stand_in.write_text(preferring(name, policy.read_text()))
    calls.mount(str(stand_in), str(policy), None, calls.MS_BIND)


def name_nobody() -> None:
    """The boxes on this ground have no machine named: a call to one that is named is no attempt, and would count as one."""
    stand_in = _PLACE / "destinations.toml"
    stand_in.write_text("")
    calls.mount(str(stand_in), str(CODE / "policies" / stand_in.name), None, calls.MS_BIND)


def preferring(name: str, policy: str) -> str:
    """The policy with this runtime first in every rule that allows it. Pure."""

    def ordered(found: re.Match[str]) -> str:
        runtimes: list[str] = json.loads(found.group(1))
        return f"runtimes = {json.dumps(sorted(runtimes, key=lambda each: each != name))}"

    return _RUNTIMES.sub(ordered, policy)


def _seen(file: Path) -> Path:
    """Where the file really lies; made anew where it lay below a directory that is covered now."""
    real = file.resolve()
    if not real.exists() and any(real.is_relative_to(place) for place in ("/run", "/var/run")):
        real.parent.mkdir(parents=True, exist_ok=True)
        real.touch()
    return real
