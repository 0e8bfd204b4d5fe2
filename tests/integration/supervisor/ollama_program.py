"""A stand-in for the program of Ollama: started as it is, it answers in its documented wire format and tries what it must not.

What it tried lies below `/tried` of its API, so that a test sees it with the program's own eyes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ABOUT = {
    "general.architecture": "qwen3",
    "general.parameter_count": 751_632_384,
    "general.license": "apache-2.0",
    "qwen3.context_length": 2048,
    "qwen3.block_count": 28,
    "qwen3.attention.head_count_kv": 8,
    "qwen3.attention.key_length": 128,
    "qwen3.attention.value_length": 128,
}


def tried(data_dir: Path) -> dict[str, Any]:
    def outcome(act: Any) -> str:
        try:
            act()
        except OSError as error:
            return type(error).__name__ if error.errno is None else os.strerror(error.errno)
        return "done"

    def route() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("203.0.113.1", 9))

    def queue() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(data_dir / "run" / "redis.sock"))
            probe.sendall(b"PING\r\n")
            if probe.recv(7) == b"+PONG\r\n":
                return
            raise OSError

    return {
        "arguments": sys.argv[1:],
        "queue": outcome(queue),
        "environment": dict(os.environ),
        "network": outcome(route),
        "interfaces": [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]],
        "key": outcome(lambda: (data_dir / "keys" / "root.key").read_bytes()),
        "database": outcome(lambda: (data_dir / "settings.toml").read_bytes()),
        "elsewhere": outcome(lambda: (data_dir / "blobs-of-ollama").write_text("x")),
        "own": outcome(lambda: (Path(os.environ["OLLAMA_MODELS"]) / "blob").write_text("x")),
        "netlink": outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
    }


class Ollama(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    context = 0

    def do_GET(self) -> None:
        details = {"parameter_size": "751.63M", "quantization_level": "Q4_K_M"}
        model = {"model": "qwen3:0.6b", "digest": "d" * 64, "size": 522_000_000, "details": details}
        running = {"model": "qwen3:0.6b", "size": 100, "size_vram": 0, "context_length": type(self).context}
        answers = {
            "/api/version": {"version": "0.33.3"},
            "/api/tags": {"models": [model]},
            "/api/ps": {"models": [running]},
            "/tried": tried(Path(os.environ["OLLAMA_MODELS"]).parent),
        }
        self._answer(answers[self.path])

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/api/chat":
            type(self).context = asked["options"]["num_ctx"]
            tokens = sum(len(message["content"].split()) + 6 for message in asked["messages"])
            done = {"done": True, "done_reason": "stop", "prompt_eval_count": tokens, "eval_count": 2}
            pieces = [{"message": {"role": "assistant", "content": word}, "done": False} for word in ("Thirty ", "days.")]
            self._answer(*pieces, {"message": {"role": "assistant", "content": ""}, **done})
        else:
            self._answer({"model_info": ABOUT} if self.path == "/api/show" else {"done": True})

    def _answer(self, *values: Any) -> None:
        body = b"".join(json.dumps(value).encode() + b"\n" for value in values)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def main() -> None:
    host, _, port = os.environ["OLLAMA_HOST"].partition(":")
    ThreadingHTTPServer((host, int(port)), Ollama).serve_forever()


if __name__ == "__main__":
    main()
