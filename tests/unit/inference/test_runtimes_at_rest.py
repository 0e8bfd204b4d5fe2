"""Looking at the runtimes of a box loads none of their libraries: every process of it looks."""

from __future__ import annotations

import json
import subprocess
import sys

LOOK = """
import json, sys
from appliance.inference.registry import runtime_specs
specs = runtime_specs()
for name in ("foundry", "genai", "llamacpp"):
    specs[name].probe()
print(json.dumps(sorted(sys.modules)))
"""
HEAVY = {
    "foundry_local_sdk",
    "httpx",
    "jinja2",
    "llama_cpp",
    "ollama",
    "onnxruntime",
    "onnxruntime_genai",
    "pynvml",
    "tokenizers",
}


def test_looking_at_the_runtimes_loads_none_of_their_libraries():
    ran = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(ran.stdout))
