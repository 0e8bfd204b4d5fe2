"""What must be there before the processes start one by one: `python -m workers.prepare --data DIR` (docker/compose.yaml)."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from appliance.bootstrap import open_appliance
from appliance.errors import ApplianceError
from appliance.inference.preparation import prepare_models
from appliance.inference.telemetry import silence
from appliance.settings import load_settings
from appliance.storage.data_directory import make_directories
from appliance.storage.upgrading import Upgrading


def main(arguments: list[str] | None = None) -> int:
    """Directories, keys, models and schema; prints the set-up link's path where there is no administrator yet."""
    parser = argparse.ArgumentParser(prog="python -m workers.prepare", description="Prepare a data directory.")
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    given = parser.parse_args(arguments)
    try:
        silence()
        settings = load_settings(given.data)
        make_directories(settings, create=True)
        prepare_models(settings.models_dir, _say)
        with closing(open_appliance(settings, create=True, upgrading=Upgrading(_say))) as appliance:
            if appliance.setup.needed():
                _say(f"Make the first administrator here, once: /setup?token={appliance.setup.make_link()}")
    except ApplianceError as error:
        sys.stderr.write(f"{error.sentence}\n")
        return 2
    return 0


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
