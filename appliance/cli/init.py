"""`cloister init`: a box that is ready to use, without a browser."""

from __future__ import annotations

import argparse
from contextlib import closing

from appliance.bootstrap import open_appliance
from appliance.cli.output import Output
from appliance.cli.passwords import given_password, password_argument
from appliance.errors import Conflict
from appliance.inference.preparation import prepare_models
from appliance.settings import load_settings


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--admin", required=True, metavar="NAME", help="name of the first administrator")
    password_argument(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Make keys and database, prepare the models, create the first administrator. Exit code 1 where there is one already."""
    settings = load_settings(arguments.data)
    password = given_password(arguments)
    with closing(open_appliance(settings, create=True)) as appliance:
        if not appliance.setup.needed():
            raise Conflict("This box already has an administrator.", code="setup.done")
        principal = appliance.setup.complete(appliance.setup.make_link(), arguments.admin, password)
        prepare_models(settings.models_dir, output.progress)
    output.result(
        {"data": str(settings.data_dir), "administrator": principal.name, "id": principal.id},
        f"Ready: {settings.data_dir}, administrator {principal.name}. Start it with `cloister up --data {settings.data_dir}`.",
    )
    return 0
