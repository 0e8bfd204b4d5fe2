"""`python -m bench [NAME ...]`: run all benchmarks, or those named, one process each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("embedding", "ingest", "search", "answer", "inference", "crowd", "memory", "injection", "grounding")

if __name__ == "__main__":
    chosen = sys.argv[1:] or NAMES
    unknown = set(chosen) - set(NAMES)
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    root = Path(__file__).resolve().parent.parent
    codes = [subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=root, check=False).returncode for name in chosen]
    sys.exit(max(codes))
