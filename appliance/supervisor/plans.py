"""The processes of the box and how each shows that it is ready."""

from __future__ import annotations

import json

from appliance.settings import Settings
from appliance.supervisor import wire
from appliance.supervisor.children import ChildPlan, python_module
from appliance.supervisor.names import REDIS, WEB, heartbeat_key, worker_name
from appliance.supervisor.redis_server import redis_command
from appliance.supervisor.sockets import door_answers


def redis_plan(settings: Settings) -> ChildPlan:
    return ChildPlan(REDIS, tuple(redis_command(settings)), lambda _: wire.answers(settings))


def web_plan(settings: Settings, descriptor: int, port: int) -> ChildPlan:
    command = python_module("web.main", "--data", str(settings.data_dir), "--fd", str(descriptor))
    return ChildPlan(WEB, command, lambda _: door_answers(settings.host, port), (descriptor,))


def worker_plan(settings: Settings, queue: str) -> ChildPlan:
    command = python_module("workers.main", queue, "--data", str(settings.data_dir))
    return ChildPlan(worker_name(queue), command, lambda pid: _beats(settings, queue, pid))


def _beats(settings: Settings, queue: str, pid: int) -> bool:
    """Whether the sign of life of this queue (workers/heartbeat.py) is that of process `pid`."""
    try:
        body = wire.command(settings, "GET", heartbeat_key(queue))
    except OSError:
        return False
    return body is not None and json.loads(body)["pid"] == pid
