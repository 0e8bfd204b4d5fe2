"""The list of destinations: what is wrong in it keeps the box from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.egress.destinations import Destination, Dialect, Purpose, load_destinations, log_collector
from appliance.errors import SetupError

GOOD = {"name": '"lan"', "host": '"models.example.org"', "port": "8443", "purpose": '"inference"'}
SHIPPED = Path(__file__).resolve().parents[3] / "policies" / "destinations.toml"


def written(directory: Path, **values: str) -> Path:
    file = directory / "destinations.toml"
    rows = {name: value for name, value in {**GOOD, **values}.items() if value}
    file.write_text("[[destination]]\n" + "\n".join(f"{name} = {value}" for name, value in rows.items()))
    return file


@pytest.mark.parametrize(
    "values",
    [
        *({name: ""} for name in GOOD),
        {"name": '"LAN"'},
        {"name": '"a b"'},
        {"name": "3"},
        {"host": '"*.example.org"'},
        {"host": '"example.org/path"'},
        {"host": '"user@example.org"'},
        {"host": '""'},
        {"port": "0"},
        {"port": "65536"},
        {"port": '"443"'},
        {"port": "true"},
        {"purpose": '"chat"'},
        {"purpose": '"log"', "dialect": '"vllm"'},
        {"dialect": '"grpc"'},
        {"tls": "false"},
        {"tls": "false", "host": '"localhost"'},
        {"tls": "false", "host": '"10.0.0.1"'},
        {"tls": "0", "host": '"127.0.0.1"'},
        {"verify": "false"},
        {"path": '"/audit"'},
        *(
            {"purpose": '"log"', "path": path}
            for path in ('""', '"audit"', '"/"', '"/a/../b"', '"/a?x=1"', '"//elsewhere.example.org/"', "3", f'"{"/x" * 300}"')
        ),
    ],
)
def test_a_wrong_destination_is_refused(tmp_path: Path, values: dict[str, str]) -> None:
    with pytest.raises(SetupError) as refused:
        load_destinations(written(tmp_path, **values))
    assert refused.value.stable_code == "setup.destinations"


@pytest.mark.parametrize(
    "text", ["no toml", "other = 1", 'destination = "lan"', "[destination]\nname = 'x'", "destination = [1]"]
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "destinations.toml"
    file.write_text(text)
    with pytest.raises(SetupError):
        load_destinations(file)


def test_a_missing_file_and_a_doubled_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        load_destinations(tmp_path / "none.toml")
    file = written(tmp_path)
    file.write_text(file.read_text() + "\n" + file.read_text())
    with pytest.raises(SetupError, match="same name"):
        load_destinations(file)


def test_the_log_goes_to_one_collector(tmp_path: Path) -> None:
    file = written(tmp_path, purpose='"log"')
    assert log_collector(load_destinations(file)).path == "/audit"
    assert log_collector(load_destinations(written(tmp_path, purpose='"log"', path='"/in/box-3"'))).path == "/in/box-3"
    assert log_collector(load_destinations(written(tmp_path))) is None
    file.write_text("\n".join(written(tmp_path, purpose='"log"', name=name).read_text() for name in ('"one"', '"two"')))
    with pytest.raises(SetupError, match="one collector"):
        load_destinations(file)


def test_a_right_destination_is_read(tmp_path: Path) -> None:
    found = load_destinations(written(tmp_path, dialect='"llama-server"', ca_file='"/etc/ca.pem"'))
    lan = Destination(
        "lan", "models.example.org", 8443, Purpose.INFERENCE, Dialect.LLAMA_SERVER, tls=True, ca_file=Path("/etc/ca.pem")
    )
    assert found == {"lan": lan}
    assert lan.address == "https://models.example.org:8443"


def test_this_machine_may_be_spoken_to_without_tls(tmp_path: Path) -> None:
    found = load_destinations(written(tmp_path, host='"::1"', tls="false"))
    assert found["lan"].address == "http://[::1]:8443"


def test_as_shipped_nothing_may_leave() -> None:
    assert load_destinations(SHIPPED) == {}
