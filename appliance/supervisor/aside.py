"""Work that needs much memory once, done in a process that gives it back by ending."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from appliance.errors import ApplianceError, SetupError
from appliance.lifeline import die_with_parent
from appliance.supervisor.signals import ENDING, Signals


def done_aside(act: Callable[[], list[str]], signals: Signals, enter: Callable[[], None] = lambda: None) -> list[str]:
    """What `act` returns, run in a forked child, so that neither its imports nor its memory stay with the caller.

    `enter` is called in the child first.

    The caller must have no threads and no database open. `SetupError` and its kin are raised here as they were there; an end
    that is asked for meanwhile ends the child and returns an empty list.
    """
    read_end, write_end = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _child(act, write_end, parent, enter)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        while not signals.wait(0.05):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        else:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        words = answer.read()
    if signals.ending:
        return []
    if not words:
        raise SetupError("The box could not be prepared: the process that does it died.", code="setup.preparation_died")
    reply = json.loads(words)
    if "sentence" in reply:
        raise SetupError(reply["sentence"], code=reply["code"])
    return list(reply["result"])


def _child(act: Callable[[], list[str]], write_end: int, parent: int, enter: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (*ENDING, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        enter()
        # after that: the kernel forgets the wish when privileges change
        die_with_parent(parent)
        os.write(write_end, json.dumps(_reply(act)).encode())
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reply(act: Callable[[], list[str]]) -> dict[str, object]:
    try:
        return {"result": act()}
    except ApplianceError as error:
        return {"sentence": error.sentence, "code": error.stable_code}
