from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from appliance.errors import SetupError
from appliance.settings import Settings, default_data_dir, load_settings

ROOT = Path(__file__).resolve().parents[2]


def test_an_unknown_key_is_refused(tmp_path):
    (tmp_path / "settings.toml").write_text("prot = 9000\n")
    with pytest.raises(SetupError, match="prot"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize(
    "text", ["port = 'many'", "port = 8080.5", "port = true", "cookie_secure = 'perhaps'", "cookie_secure = 1", "host = 1"]
)
def test_a_value_of_the_wrong_type_is_refused(tmp_path, text):
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SetupError, match="must be"):
        load_settings(tmp_path, {})


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "settings.toml").write_text("port = \n")
    with pytest.raises(SetupError, match="not valid TOML"):
        load_settings(tmp_path, {})


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path):
    (tmp_path / "settings.toml").write_text("port = 1\nhost = '::1'\nupload_limit_mb = 3\n")
    settings = load_settings(tmp_path, {"CLOISTER_PORT": "2", "CLOISTER_UPLOAD_LIMIT_MB": "4"}, port=5, host=None)
    assert (settings.port, settings.upload_limit_mb, settings.host) == (5, 4, "::1")


def test_redis_url_is_known_by_its_common_name(tmp_path):
    assert load_settings(tmp_path, {"REDIS_URL": "redis://localhost"}).redis_url == "redis://localhost"
    assert load_settings(tmp_path, {"REDIS_URL": "redis://one", "CLOISTER_REDIS_URL": "redis://two"}).redis_url == "redis://two"
    (tmp_path / "settings.toml").write_text("redis_url = 'redis://file'\n")
    assert load_settings(tmp_path, {"REDIS_URL": "redis://one"}).redis_url == "redis://one"


def test_the_data_directory_can_be_named():
    assert default_data_dir({"CLOISTER_DATA": "/srv/cloister"}) == Path("/srv/cloister")
    assert default_data_dir({"XDG_DATA_HOME": "/x"}) == Path("/x/cloister")


def test_every_setting_stands_in_the_operations_page():
    page = (ROOT / "docs" / "operations.md").read_text()
    for setting in fields(Settings):
        if setting.name != "data_dir":
            assert f"| `{setting.name}` | {setting.default!r} | {setting.metadata['explanation']} |" in page
