"""One run of the day on the ground of the proof: `python -m appliance.egress.proof.leg ORDERS`, a process that never comes back.

It leaves this machine's network, listens, lets somebody try who must be seen, lives through the day, lets somebody try once
more, and prints what came out.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from appliance.egress.proof import control
from appliance.egress.proof.boxes import Box
from appliance.egress.proof.day import Day, Plan, Step
from appliance.egress.proof.ground import enter_ground, name_nobody, prefer_runtime
from appliance.egress.proof.refusals import refuse_layers
from appliance.egress.proof.sinkhole import Attempt, Sinkhole
from appliance.egress.seal.confinement import CODE, kept_paths
from appliance.lifeline import die_with_parent

EXIT_NO_GROUND = 3
_PORT = 8080
_WITHOUT_OPT_OUTS = {"CLOISTER_WITHOUT_OPT_OUTS": "1"}  # appliance/inference/telemetry.py, which is above this
_WORDS = 2_000
_CONTROL_S = 60
_TRIES = ("dns", "tcp", "udp")


class Orders(msgspec.Struct, frozen=True):
    """`models_dir` holds the prepared default models, `models` are paths of further ones.

    `ollama` is the program that the box starts, empty for none, and `ollama_places` are where it and its libraries lie.

    `runtimes` are those that this version knows, each with the reason why it cannot be used on this machine, empty where it can.
    """

    name: str
    work_dir: str
    models_dir: str
    sealed: bool
    opt_outs: bool
    runtimes: dict[str, str] = {}
    models: list[str] = []
    idle_s: float = 0.0
    shell: bool = False
    ollama: str = ""
    ollama_places: list[str] = []


class Control(msgspec.Struct, frozen=True):
    """Somebody who tried to get out. `came` is what came of each try, empty where it succeeded; `seen` is what we saw of it."""

    place: str
    came: dict[str, str]
    seen: list[str]


class Leg(msgspec.Struct, frozen=True):
    """What came out of one day. `attempts` are all but those of the controls.

    `packets` were seen; `packets_sent` is the kernel's own count of what went out of the interface, None where that interface
    is loopback. `status` is what `cloister egress status` said while the box ran; `left_behind` are files that libraries
    made; `last_words` is the end of what the supervisor wrote.
    """

    name: str
    sealed: bool
    opt_outs: bool
    seconds: float
    wire: str
    ipv6: bool
    user_namespace: bool
    controls: list[Control]
    steps: list[Step]
    attempts: list[Attempt]
    packets: int
    packets_of_kernel: int
    packets_unreadable: int
    packets_sent: int | None
    status: dict[str, Any]
    left_behind: list[str]
    last_words: str


def environment(home: Path) -> dict[str, str]:
    """A clean one: no CI, no opt-outs, no proxies."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}


def main() -> int:
    die_with_parent()
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    work = Path(orders.work_dir)
    box = _box(orders, work)
    try:
        kept = [*kept_paths(box.data_dir), work, *map(Path, (*orders.models, *orders.ollama_places))]
        wire, user_namespace = enter_ground(kept)
        name_nobody()
        if not orders.sealed:
            refuse_layers()
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return EXIT_NO_GROUND
    began = time.monotonic()
    sinkhole = Sinkhole(wire)
    sinkhole.start()
    watch = _Watch(box, sinkhole)
    watch.control("before the day")
    plan = Plan(orders.runtimes, [Path(path) for path in orders.models], orders.idle_s, orders.shell, bool(orders.ollama))
    day = Day(box, plan, prefer_runtime)
    try:
        steps = day.run(lambda: watch.look_inside(sealed=orders.sealed))
    finally:
        box.stop()
    watch.control("after the day")
    seen = sinkhole.stop()
    leg = Leg(
        name=orders.name,
        sealed=orders.sealed,
        opt_outs=orders.opt_outs,
        seconds=round(time.monotonic() - began, 1),
        wire=type(wire).__name__.lower(),
        ipv6=wire.ipv6,
        user_namespace=user_namespace,
        controls=watch.controls,
        steps=steps,
        attempts=[attempt for attempt in seen.attempts if not watch.made(attempt)],
        packets=seen.packets,
        packets_of_kernel=seen.packets_of_kernel,
        packets_unreadable=seen.packets_unreadable,
        packets_sent=_packets_sent(wire.interface),
        status=watch.status,
        left_behind=_left_behind(work / f"{orders.name}.home", box.data_dir / ".cache"),
        last_words=box.log.read_text(errors="replace")[-_WORDS:],
    )
    sys.stdout.buffer.write(msgspec.json.encode(leg) + b"\n")
    return 0


class _Watch:
    """The controls of one leg, and what the box says of itself meanwhile."""

    def __init__(self, box: Box, sinkhole: Sinkhole) -> None:
        self._box = box
        self._sinkhole = sinkhole
        self._marks: list[tuple[str, int]] = []
        self.controls: list[Control] = []
        self.status: dict[str, Any] = {}

    def control(self, place: str, like: int | None = None) -> Control:
        """Let somebody try, from where process `like` stands or from here."""
        name, port = f"{secrets.token_hex(6)}.control.example", 20_000 + secrets.randbelow(10_000)
        self._marks.append((name, port))
        where = ["--like", str(like)] if like else []
        try:
            ran = subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-m", "appliance.egress.proof.control", name, str(port), *where],
                cwd=CODE,
                env=dict(self._box.command_environment),
                capture_output=True,
                text=True,
                check=False,
                timeout=_CONTROL_S,
            )
            came = json.loads(ran.stdout) if ran.returncode == 0 else {"start": ran.stderr[-300:]}
        except subprocess.TimeoutExpired:
            came = {"start": f"it did not end within {_CONTROL_S} s"}
        made = Control(place, came, self._seen_of(name, port))
        self.controls.append(made)
        return made

    def look_inside(self, *, sealed: bool) -> str:
        self.status = self._box.status()
        if not sealed:
            return "not made: there is no inside without a seal"
        made = self.control("inside the seal", self._box.pids()["worker-answers"])
        return "; ".join(f"{what}: {came or 'succeeded'}" for what, came in made.came.items())

    def made(self, attempt: Attempt) -> bool:
        """Whether it was one of the controls."""
        return any(_of(attempt, name, port) for name, port in self._marks)

    def _seen_of(self, name: str, port: int) -> list[str]:
        time.sleep(0.3)
        found = [attempt for attempt in self._sinkhole.seen().attempts if _of(attempt, name, port)]
        # a datagram's sender is gone before anybody can look; the others must be known by name
        known = {each.protocol for each in found if each.protocol == "udp" or each.process == control.COMMAND_NAME}
        return [protocol for protocol in _TRIES if protocol in known]


def _of(attempt: Attempt, name: str, port: int) -> bool:
    return attempt.name.endswith(name) or (attempt.address == control.ELSEWHERE and attempt.port == port)


def _box(orders: Orders, work: Path) -> Box:
    data_dir, home = work / orders.name, work / f"{orders.name}.home"
    for directory in (data_dir, home):
        directory.mkdir(mode=0o700)
    (data_dir / "models").symlink_to(orders.models_dir)
    if orders.ollama:
        (data_dir / "settings.toml").write_text(f"ollama_program = {json.dumps(orders.ollama)}\n")
    told = environment(home)
    without = told if orders.opt_outs else told | _WITHOUT_OPT_OUTS
    # commands run outside the seal: where the seal is what is proven, they keep the opt-outs that they always have
    return Box(data_dir, _PORT, without, told if orders.sealed else without)


def _packets_sent(interface: str) -> int | None:
    if interface == "lo":
        return None
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == interface:
            return int(figures.split()[9])
    return None


def _left_behind(*places: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for place in places for path in place.rglob("*") if path.is_file())


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
