"""The gate against real servers on loopback: what it refuses, what it records, and that nothing gets round it."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.audit.events import EventName, ResourceRef
from appliance.audit.store import AuditFilter, AuditRecord, following
from appliance.bootstrap import Appliance
from appliance.egress.asking import gate_count
from appliance.egress.calls import OWN_WORDS, Call
from appliance.egress.destinations import Destination, Purpose
from appliance.egress.gate import Gate
from appliance.egress.meter import unrecorded
from appliance.egress.windows import MaintenanceWindow
from appliance.errors import Denied, Unavailable
from tests.gates import standing_gate
from tests.scripted_server import Answer, Asked, Script, ScriptedServer


def destination(port: int, **given) -> Destination:
    return Destination(**{"name": "lan", "host": "127.0.0.1", "port": port, "purpose": Purpose.INFERENCE, "tls": False, **given})


def gate(appliance: Appliance, *destinations: Destination) -> Gate:
    return standing_gate(appliance, *destinations)


def records(appliance: Appliance, name: EventName) -> list[AuditRecord]:
    with appliance.database.read() as connection:
        return following(connection, AuditFilter(event=name))


def call(**given) -> Call:
    return Call(**{"destination": "lan", "purpose": Purpose.INFERENCE, "path": "/v1/models", **given})


def hello(_: Asked, answer: Answer) -> None:
    answer.json({"hello": "there"})


def failing(appliance: Appliance, script: Script, **given) -> tuple[str, AuditRecord]:
    """The code of the error that calling a server with this script raises, and the record of it."""
    with ScriptedServer(script).running() as server, pytest.raises(Unavailable) as failed:
        with gate(appliance, destination(server.port)).open(call(**given)) as reply:
            reply.read()
    return failed.value.stable_code, records(appliance, EventName.EGRESS_CALLED)[-1]


@pytest.mark.parametrize(
    ("given", "reason", "recorded"),
    [
        ({"destination": "elsewhere"}, "unknown_destination", "elsewhere"),
        ({"destination": "http://127.0.0.1/"}, "unknown_destination", "invalid"),
        ({"purpose": Purpose.LOG}, "other_purpose", "lan"),
        ({"path": "//other.example.org/"}, "path", "lan"),
        ({"path": "/v1/../admin"}, "path", "lan"),
        ({"path": "@other.example.org/"}, "path", "lan"),
        ({"path": "/v1/models?x=1"}, "path", "lan"),
        ({"path": "/v1/models\r\nx: y"}, "path", "lan"),
        ({"body": b"x" * 16_000_001}, "too_large", "lan"),
        ({"person": "nobody-we-know"}, "unknown_person", "lan"),
    ],
)
def test_what_is_not_allowed_is_refused_and_recorded(appliance, given, reason, recorded):
    with ScriptedServer(hello).running() as server:
        with pytest.raises(Denied) as refused, gate(appliance, destination(server.port)).open(call(**given)):
            pass
        assert server.asked == []
    assert refused.value.stable_code == "egress.refused"
    record = records(appliance, EventName.EGRESS_REFUSED)[-1]
    assert record.resources[0] == ResourceRef("destination", recorded)
    assert record.facts == {"purpose": str(given.get("purpose", "inference")), "reason": reason}
    assert record.decision == "deny"
    assert records(appliance, EventName.EGRESS_CALLED) == []


def test_a_download_needs_an_open_window(appliance):
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    past, present = MaintenanceWindow(now - 2 * hour, now - hour), MaintenanceWindow(now - hour, now + hour)
    with ScriptedServer(hello).running() as server:
        lan = destination(server.port, purpose=Purpose.DOWNLOAD)
        for windows in ((), (past,)):
            shut = standing_gate(appliance, lan, windows=windows)
            with pytest.raises(Denied), shut.open(call(purpose=Purpose.DOWNLOAD)):
                pass
            assert records(appliance, EventName.EGRESS_REFUSED)[-1].facts["reason"] == "no_maintenance_window"
        assert server.asked == []
        with standing_gate(appliance, lan, windows=(past, present)).open(call(purpose=Purpose.DOWNLOAD)) as reply:
            assert reply.status == 200


def test_a_call_is_recorded_with_its_person_and_its_bytes(appliance, alice):
    with ScriptedServer(hello).running() as server:
        about = (ResourceRef("conversation", "c1"),)
        asked = call(body=b'{"a":1}', classification="internal", person=alice.id, about=about)
        with gate(appliance, destination(server.port)).open(asked) as reply:
            assert (reply.status, reply.read()) == (200, b'{"hello": "there"}')
        assert server.asked[0].method == "POST"
    record = records(appliance, EventName.EGRESS_CALLED)[-1]
    assert record.on_behalf_of == alice.pseudonym
    assert record.resources[:2] == (ResourceRef("destination", "lan"), ResourceRef("conversation", "c1"))
    assert record.facts.pop("duration_ms") >= 0
    assert record.facts == {
        "host": "127.0.0.1",
        "port": server.port,
        "purpose": "inference",
        "bytes_out": 7,
        "bytes_in": 18,
        "status": 200,
    }


def test_a_redirect_is_not_followed(appliance):
    with (
        ScriptedServer(hello).running() as other,
        ScriptedServer(lambda _, answer: answer.redirect(other.address)).running() as server,
        gate(appliance, destination(server.port)).open(call()) as reply,
    ):
        assert reply.status == 302
        assert reply.read() == b""
        assert other.asked == []


def test_proxies_of_the_environment_are_not_used(appliance, monkeypatch):
    with ScriptedServer(hello).running() as proxy, ScriptedServer(hello).running() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        with gate(appliance, destination(server.port)).open(call()) as reply:
            reply.read()
        assert proxy.asked == []
        assert server.paths() == ["/v1/models"]


def test_an_answer_larger_than_asked_for_is_cut_off(appliance):
    def endless(_: Asked, answer: Answer) -> None:
        answer.begin()
        while True:
            answer.send(b"x" * 10_000)

    code, record = failing(appliance, endless, limit_bytes=100_000)
    assert code == "egress.too_large"
    assert record.facts["bytes_in"] < 250_000
    assert (record.outcome, record.facts["reason_code"]) == ("failure", "egress.too_large")


def test_a_server_that_breaks_off_is_reported(appliance):
    def half(_: Asked, answer: Answer) -> None:
        answer.begin()
        answer.send(b"half")
        answer.break_off()

    assert failing(appliance, half)[0] == "egress.died"


def test_a_silent_server_is_given_up(appliance):
    code, record = failing(appliance, lambda _, answer: answer.wait_until_left(), silence_s=0.2)
    assert code == "egress.silent"
    assert record.facts["bytes_in"] == 0


def test_a_deadline_ends_even_a_server_that_never_stops(appliance):
    def trickle(_: Asked, answer: Answer) -> None:
        answer.begin()
        while True:
            answer.send(b"x")
            time.sleep(0.02)

    code, record = failing(appliance, trickle, deadline_s=0.3)
    assert code == record.facts["reason_code"] == "egress.interrupted"
    assert record.outcome == "success"


@pytest.mark.parametrize("talks_first", [False, True])
def test_a_stop_ends_the_connection_at_once(appliance, talks_first):
    cancelled, asked_for = threading.Event(), []

    def quiet(asked: Asked, answer: Answer) -> None:
        asked_for.append(asked)
        if talks_first:
            answer.begin()
            answer.send(b"x")
        answer.wait_until_left()

    threading.Timer(0.3, cancelled.set).start()
    began = time.monotonic()
    assert failing(appliance, quiet, cancelled=cancelled)[0] == "egress.interrupted"
    assert time.monotonic() - began < 1.5
    assert asked_for[0].gone.wait(2)


def test_nobody_there_is_said_so(appliance):
    with pytest.raises(Unavailable) as failed, gate(appliance, destination(1)).open(call()):
        pass
    assert failed.value.stable_code == "egress.unreachable"


def certificate(directory: Path) -> tuple[Path, Path]:
    """Key and certificate of a server at 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, file = directory / "key.pem", directory / "certificate.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    file.write_bytes(built.public_bytes(encoding))
    return key_file, file


def test_a_certificate_is_checked(appliance, tmp_path, monkeypatch):
    key_file, file = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file, key_file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with ScriptedServer(hello, tls).running() as server:
        with pytest.raises(Unavailable), gate(appliance, destination(server.port, tls=True)).open(call()):
            pass
        with pytest.raises(Unavailable), gate(appliance, destination(server.port, tls=True, host="localhost")).open(call()):
            pass
        with pytest.raises(Unavailable) as failed:
            with gate(appliance, destination(server.port, tls=True, ca_file=tmp_path / "none.pem")).open(call()):
                pass
        assert failed.value.stable_code == "egress.certificates"
        assert server.asked == []
        with gate(appliance, destination(server.port, tls=True, ca_file=file)).open(call()) as reply:
            assert reply.status == 200
    assert not (tmp_path / "keys").exists()


def test_what_says_nothing_leaves_for_any_server_and_what_says_something_for_none(appliance):
    """A caller's word for it opens nothing: the gate reads, and lets no model be named that the server has not named."""

    def listing(asked: Asked, answer: Answer) -> None:
        answer.json({"models": [{"model": "qwen3:latest"}]} if asked.path == "/api/tags" else {"about": "it"})

    named, text = b'{"model": "qwen3"}', b'{"model": "Thirty days of leave"}'
    with ScriptedServer(listing).running() as server:
        shut = standing_gate(appliance, destination(server.port), classified={})
        for body in (named, text):  # nothing was listed yet
            with pytest.raises(Unavailable) as refused, shut.open(call(path="/api/show", body=body, classification=OWN_WORDS)):
                pass
            assert refused.value.stable_code == "egress.refused"
        with shut.open(call(path="/api/tags")) as reply:
            reply.read()
        with shut.open(call(path="/api/show", body=named, classification=OWN_WORDS)) as reply:
            assert reply.status == 200
        with pytest.raises(Unavailable), shut.open(call(path="/api/show", body=text, classification=OWN_WORDS)):
            pass
        for classification in ("", "internal"):
            with pytest.raises(Denied), shut.open(call(path="/api/show", body=named, classification=classification)):
                pass
        assert server.paths() == ["/api/tags", "/api/show"]
    assert unrecorded_calls(appliance, shut) == 0


def unrecorded_calls(appliance: Appliance, asked: Gate) -> int:
    with appliance.database.read() as connection:
        return unrecorded(connection, gate_count(asked._place()))
