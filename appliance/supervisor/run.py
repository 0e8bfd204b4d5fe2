"""Everything on one box: start, watch, restart, stop."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance.egress.seal.layers import GATE
from appliance.errors import SetupError
from appliance.settings import Settings
from appliance.storage.clock import now_ms
from appliance.storage.data_directory import refuse_foreign
from appliance.storage.locks import sole_holder
from appliance.supervisor import children as processes
from appliance.supervisor import states, wire
from appliance.supervisor.aside import done_aside
from appliance.supervisor.children import Child, ChildPlan, child_environment
from appliance.supervisor.names import REDIS, QueueName
from appliance.supervisor.ollama_server import ollama_program
from appliance.supervisor.plans import gate_plan, ollama_plan, redis_plan, web_plan, worker_plan
from appliance.supervisor.sealing import Missing, Seal, make_seal, network_reasons
from appliance.supervisor.signals import Signals
from appliance.supervisor.sockets import bind_front_door, bind_private, socket_path

START_LIMIT_S = 120.0
STOP_LIMIT_S = 9.0
_REDIS_STOP_LIMIT_S = 2.0
_TRIES_AT_START = 3
_LOOK_S = 0.5
_LOOK_AT_START_S = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """What is told to `ready` once everything works. `seconds` is how long that took, `prepared` what `prepare` returned.

    `missing` are the layers of the seal that do not hold.
    """

    host: str
    port: int
    seconds: float
    prepared: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something an operator may want to see: `event` is starting, ready, died, restarted or stopping."""

    event: str
    process: str
    detail: str = ""


def run(
    settings: Settings,
    *,
    ready: Callable[[Running], None],
    notice: Callable[[Notice], None] = lambda _: None,
    prepare: Callable[[Seal], list[str]] = lambda _: [],
    opt_outs: Mapping[str, str] | None = None,
) -> None:
    """Run the box on `settings.data_dir` until SIGTERM or SIGINT; main thread only.

    `prepare` runs in a forked child, inside the seal, once we know that we are alone and own the port (it may migrate the
    database); what it returns reaches `ready`, which is called once every process works. `notice` hears what happens in between
    and after. Raises `SetupError` where the box cannot start.
    """
    began = time.monotonic()
    refuse_foreign(settings)
    socket_path(settings)
    ollama = ollama_program(settings)
    with ExitStack() as stack:
        stack.enter_context(sole_holder(settings.box_lock_path, f"Cloister is already running on {settings.data_dir}."))
        door = stack.enter_context(closing(bind_front_door(settings.host, settings.port)))
        root = processes.ROOT
        reasons = network_reasons(settings, root)
        seal = stack.enter_context(closing(make_seal(settings, root, reasons)))
        signals = stack.enter_context(Signals(also=(signal.SIGCHLD,)))
        prepared = tuple(done_aside(lambda: prepare(seal), signals, lambda: seal.enter("")))
        if signals.ending:
            notice(Notice("stopping", ""))
            return
        port = int(door.getsockname()[1])
        first = [] if settings.redis_url else [redis_plan(settings)]
        if GATE in reasons:
            first.append(gate_plan(settings, root, stack.enter_context(_gate_listener(settings))))
        if ollama is not None:
            first.append(ollama_plan(settings, ollama))
        rest = (web_plan(settings, door.fileno(), port), *(worker_plan(settings, queue) for queue in QueueName))
        environment, logs = child_environment(settings, opt_outs or {}), settings.data_dir / "logs"
        make = partial(_child, environment=environment, logs=logs, seal=seal)
        box = _Box(settings, (*first, *rest), signals, notice, make)
        stack.callback(box.stop)
        if not box.start(first) or not _existing_redis_answers(settings) or not box.start(rest):
            return
        ready(Running(settings.host, port, time.monotonic() - began, prepared, seal.missing))
        box.watch()


@contextmanager
def _gate_listener(settings: Settings) -> Iterator[socket.socket]:
    with closing(bind_private(settings.gate_path)) as listener:
        yield listener
    settings.gate_path.unlink(missing_ok=True)


def _existing_redis_answers(settings: Settings) -> bool:
    if settings.redis_url and not wire.answers(settings):
        raise SetupError("The Redis named by redis_url does not answer.", code="setup.redis_unreachable")
    return True


def _child(plan: ChildPlan, *, environment: Mapping[str, str], logs: Path, seal: Seal) -> Child:
    return Child(plan, environment, logs / f"{plan.name}.log", seal)


class _Box:
    """The children of one supervisor."""

    def __init__(
        self,
        settings: Settings,
        plans: Sequence[ChildPlan],
        signals: Signals,
        notice: Callable[[Notice], None],
        make: Callable[[ChildPlan], Child],
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._notice = notice
        self._started_ms = now_ms()
        self._published = 0.0
        self.children = {plan.name: make(plan) for plan in plans}

    def start(self, plans: Sequence[ChildPlan]) -> bool:
        """Start these and wait until all are ready; False when the end was asked for meanwhile."""
        starting = [self.children[plan.name] for plan in plans]
        for child in starting:
            self._notice(Notice("starting", child.plan.name))
            child.start()
        deadline = time.monotonic() + START_LIMIT_S
        while not all(child.ready for child in starting):
            if self._signals.wait(_LOOK_AT_START_S):
                return False
            self._look()
            for child in starting:
                if child.starts >= _TRIES_AT_START and child.process is None:
                    raise SetupError(self._why(child, "did not start"), code="setup.process", process=child.plan.name)
                if not child.ready and time.monotonic() > deadline:
                    raise SetupError(self._why(child, "was not ready in time"), code="setup.process", process=child.plan.name)
        return True

    def watch(self) -> None:
        """Keep everything running until the end is asked for."""
        while not self._signals.wait(self._pause()):
            self._look()

    def stop(self) -> None:
        """End all processes, Redis last: the others still have work to put away."""
        last = [child for name, child in self.children.items() if name == REDIS]
        others = [child for name, child in self.children.items() if name != REDIS]
        self._notice(Notice("stopping", "all"))
        _end(others, STOP_LIMIT_S)
        _end(last, _REDIS_STOP_LIMIT_S)
        if last:
            socket_path(self._settings).unlink(missing_ok=True)

    def _look(self) -> None:
        now = time.monotonic()
        changed = False
        for name, child in self.children.items():
            was_ready = child.ready
            if child.look():
                self._notice(Notice("died", name, child.last_words()))
            elif child.ready and not was_ready:
                self._notice(Notice("ready", name))
            if child.process is None and child.starts and now >= child.start_at:
                child.start()
                self._notice(Notice("restarted", name))
            changed = changed or child.ready != was_ready
        if changed or now - self._published >= states.PERIOD_S:
            self._published = now
            states.publish(self._settings, list(self.children.values()), self._started_ms)

    def _pause(self) -> float:
        """Seconds until something is due; the death of a child ends the sleep by its signal."""
        waiting = any(child.process is None or not child.ready for child in self.children.values())
        return _LOOK_AT_START_S if waiting else _LOOK_S

    def _why(self, child: Child, what: str) -> str:
        words = child.last_words()
        return f"The process {child.plan.name} {what}: {words or 'it said nothing'} (log: {child.log_path})"


def _end(children: Sequence[Child], limit_s: float) -> None:
    """Ask, wait, then kill."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and not all(child.ended() for child in children):
        time.sleep(0.02)
    for child in children:
        child.send(signal.SIGKILL)
        if child.process is not None:
            child.process.wait()
