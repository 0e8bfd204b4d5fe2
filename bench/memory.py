"""Resident memory of every process of an idle appliance with the default models, after one answer. Target: under 900 MB in all.

RSS counts pages that processes share once for each; PSS counts them once in all and is what the box really gives up.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil

from bench.running_box import ROOT, running_box

HANDBOOK = ROOT / "appliance" / "administration" / "handbook"
TARGET_MB = 900


def main() -> None:
    with running_box((HANDBOOK,)) as (client, _):
        conversation = client.call("POST", "/api/conversations", {})
        asked = client.call(
            "POST", f"/api/conversations/{conversation['id']}/messages", {"text": "How many days of leave are there?"}
        )
        for _event in client.events(f"/api/messages/{asked['answer']['id']}/events"):
            pass
        time.sleep(5)
        listed = client.call("GET", "/api/box")["processes"]
        figures = {process["name"]: _memory(process["pid"]) for process in listed}
    total = sum(figure["rss_mb"] for figure in figures.values())
    shared_once = sum(figure["pss_mb"] for figure in figures.values())
    result = {
        "bench": "memory",
        "rss_mb": total,
        "pss_mb": shared_once,
        "of_target": round(total / TARGET_MB, 3),
        "processes": figures,
    }
    print(json.dumps(result))


def _memory(pid: int) -> dict[str, int]:
    info = psutil.Process(pid).memory_full_info()
    return {"rss_mb": round(info.rss / 1e6), "pss_mb": round(info.pss / 1e6)}


if __name__ == "__main__":
    assert Path(ROOT / ".models").exists(), "run the tests once: they prepare the models"
    main()
