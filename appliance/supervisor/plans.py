"""The processes of the box and how each shows that it is ready."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from appliance.egress.asking import gate_answers
from appliance.egress.seal.layers import GATE, OLLAMA
from appliance.inference.cores import answers_at_once
from appliance.settings import Settings
from appliance.supervisor import wire
from appliance.supervisor.children import ChildPlan, python_module
from appliance.supervisor.names import REDIS, WEB, heartbeat_key, worker_name
from appliance.supervisor.ollama_server import ollama_answers
from appliance.supervisor.redis_server import redis_command
from appliance.supervisor.sockets import door_answers


def redis_plan(settings: Settings) -> ChildPlan:
    return ChildPlan(REDIS, tuple(redis_command(settings)), lambda _: wire.answers(settings))


def gate_plan(settings: Settings, root: Path, listener: socket.socket) -> ChildPlan:
    """The socket is ours and outlives the process: who calls while it starts anew waits a little, and is answered."""
    words = ("--data", str(settings.data_dir), "--fd", str(listener.fileno()), "--policies", str(root / "policies"))
    command = python_module("appliance.supervisor.gate_process", *words)
    return ChildPlan(GATE, command, lambda _: gate_answers(settings.gate_path), (listener.fileno(),))


def ollama_plan(settings: Settings, program: Path) -> ChildPlan:
    settings.ollama_dir.mkdir(mode=0o700, exist_ok=True)
    numbers = ("--context", str(settings.context_tokens), "--at-once", str(answers_at_once(settings.answers_at_once)))
    words = ("--program", str(program), "--directory", str(settings.ollama_dir), *numbers)
    command = python_module("appliance.supervisor.ollama_server", *words)
    return ChildPlan(OLLAMA, command, lambda _: ollama_answers(settings.ollama_socket))


def web_plan(settings: Settings, descriptor: int, port: int) -> ChildPlan:
    command = python_module("web.main", "--data", str(settings.data_dir), "--fd", str(descriptor))
    return ChildPlan(WEB, command, lambda _: door_answers(settings.host, port), (descriptor,))


def worker_plan(settings: Settings, queue: str) -> ChildPlan:
    command = python_module("workers.main", queue, "--data", str(settings.data_dir))
    return ChildPlan(worker_name(queue), command, lambda pid: _beats(settings, queue, pid))


def worker_beats(settings: Settings, queue: str) -> bool:
    """Whether a worker serves this queue now."""
    return _beating(settings, queue) is not None


def _beats(settings: Settings, queue: str, pid: int) -> bool:
    return _beating(settings, queue) == pid


def _beating(settings: Settings, queue: str) -> int | None:
    """The process whose sign of life stands for this queue (workers/heartbeat.py); None where there is none."""
    try:
        body = wire.command(settings, "GET", heartbeat_key(queue))
        return None if body is None else int(json.loads(body)["pid"])
    except (OSError, ValueError, KeyError, TypeError):  # Redis holds what processes inside the seal say
        return None
