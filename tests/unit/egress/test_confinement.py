"""What the gate is given of the files, wherever an administrator put the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.egress.seal.confinement import CODE, Confinement
from appliance.egress.seal.landlock import LIST


def reaching(confinement: Confinement, file: Path) -> list[Path]:
    """Rules by which a file can be read, or more."""
    return [path for path, rights in confinement.files() if file.is_relative_to(path.resolve()) and rights & ~LIST]


@pytest.mark.parametrize(
    "data", ["/opt/cloister-data", "/run/cloister", "/var/lib/cloister", "/etc/cloister", str(CODE / "data")]
)
def test_no_rule_of_the_gate_reaches_data_or_keys(data: str) -> None:
    place = Path(data)
    gate = Confinement(place, "", (CODE / "policies",), (), gate=True)
    assert reaching(gate, place / "keys" / "root.key") == []
    assert reaching(gate, place / "cloister.db") == []
    assert reaching(gate, place / "run" / "seal" / "gate.json") == [place / "run" / "seal"]
    assert reaching(gate, CODE / "appliance" / "settings.py") != []
    assert reaching(gate, Path("/mnt/stick/model.gguf")) == []
    # the others, to see that this can be seen
    assert reaching(Confinement(place), place / "keys" / "root.key") != []
