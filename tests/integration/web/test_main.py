"""The web process itself: the inherited socket, a busy port, an orderly end."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import httpx
import pytest


def start(settings, *arguments, **options):
    command = [sys.executable, "-m", "web.main", "--data", str(settings.data_dir), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def test_a_busy_port_is_one_sentence(appliance, settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(settings, "--host", "127.0.0.1", "--port", str(port))
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert told.splitlines()[-1] == f"Port {port} on 127.0.0.1 cannot be used (Address already in use)."
    assert "Traceback" not in told


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_on_an_inherited_socket_and_leaves_when_told(appliance, settings, ending):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = start(settings, "--fd", str(listener.fileno()), pass_fds=[listener.fileno()])
    try:
        # the kernel holds the connection until the process is ready to take it
        assert httpx.get(f"{address}/health", timeout=60).json() == {"status": "ok"}
        started = time.monotonic()
        process.send_signal(ending)
        assert process.wait(20) == 0
        assert time.monotonic() - started < 8
    finally:
        process.kill()
        process.stderr.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health", timeout=5)


def test_half_a_request_said_more_often_than_there_are_descriptors_shuts_nobody_out(appliance, settings):
    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1_024))

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, ExitStack() as stack:
        address = listener.getsockname()
        arguments = ("--fd", str(listener.fileno()))
        process = start(settings, *arguments, pass_fds=[listener.fileno()], preexec_fn=few_descriptors)
        try:
            assert httpx.get(f"http://127.0.0.1:{address[1]}/health", timeout=60).status_code == 200
            for _ in range(150):
                stack.enter_context(socket.create_connection(address, timeout=10)).sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
            assert httpx.get(f"http://127.0.0.1:{address[1]}/health", timeout=5).status_code == 200
        finally:
            process.kill()
            process.communicate()


def test_no_model_library_is_loaded(appliance):
    script = (
        "import sys, web.main, appliance.chat.service, appliance.documents.service, appliance.retrieval.search\n"
        "print(sorted({'llama_cpp', 'onnxruntime', 'tokenizers', 'pypdfium2', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_neither_a_client_of_servers_nor_what_it_brings_along_is_loaded(appliance):
    """With all that the pages ask: which runtimes there are, and what they offer. Given that the libraries are installed."""
    script = (
        "import sys, importlib.util, pathlib\n"
        "from appliance.bootstrap import open_appliance\n"
        "from appliance.settings import Settings\n"
        "from web.app import create_app\n"
        "opened = open_appliance(Settings(pathlib.Path(sys.argv[1])))\n"
        "create_app(opened), opened.offers(), opened.model_administration, opened.model_importing, opened.ollama_models\n"
        "wanted = {'ollama', 'pydantic', 'httpx', 'onnxruntime_genai', 'foundry_local', 'llama_cpp'}\n"
        "print(importlib.util.find_spec('pydantic') is not None, sorted(wanted & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(appliance.settings.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True []"
