"""The ground: keys, database, files, the audit log, who may do what, and the door to other machines."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.audit.checkpoints import Checkpoints
from appliance.audit.log import AuditLog
from appliance.egress.seal.layers import Strength
from appliance.egress.seal.reports import own_strength
from appliance.errors import SetupError
from appliance.identity.factors import SecondFactors, required_roles
from appliance.identity.sessions import Sessions
from appliance.policy.access import Access
from appliance.policy.engine import Policies
from appliance.settings import Settings
from appliance.storage.blobs import BlobStore
from appliance.storage.database import Database
from appliance.storage.keys import derive_keys, load_or_create_root_key

if TYPE_CHECKING:
    from appliance.egress.collector.forwarding import Forwarding
    from appliance.egress.gate import Gate

POLICIES_DIR = Path(__file__).resolve().parents[2] / "policies"
_SMALL_CACHE_MB = 16
_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Foundation:
    """What every other part rests on."""

    def __init__(self, settings: Settings, root_key: bytes, page_cache_mb: int) -> None:
        self.settings = settings
        self.gate_place: Callable[[], Path] = lambda: settings.gate_path
        """Where the gate listens; a command without a running box sets another (supervisor/own_gate.py)."""
        self.keys = derive_keys(root_key)
        self.database = Database(settings.database_path, self.keys.database, page_cache_mb=page_cache_mb)
        self.blobs = BlobStore(settings.blobs_dir, self.keys.blobs, self.keys.blob_names)
        self.policies = Policies(POLICIES_DIR)
        self.audit = AuditLog(self.keys.audit_sealing, _boot_id(), self.policies.sha256)
        self.checkpoints = Checkpoints(self.database, self.audit, self.keys.audit_signing)
        self.access = Access(self.policies, self.database, self.audit)
        self.factors = SecondFactors(self.database, self.audit, required_roles(settings.second_factor_roles))
        self.sessions = Sessions(
            self.database, self.audit, self.keys.sessions, idle_min=settings.session_idle_min, max_h=settings.session_max_h
        )

    @cached_property
    def gate(self) -> Gate:
        from appliance.egress.destinations import load_destinations
        from appliance.egress.gate import Gate

        return Gate(load_destinations(POLICIES_DIR / "destinations.toml"), self.gate_place, self.database, self.audit)

    @cached_property
    def forwarding(self) -> Forwarding:
        from appliance.egress.collector.forwarding import Forwarding
        from appliance.egress.destinations import load_destinations, log_collector

        return Forwarding(
            self.database,
            self.audit,
            self.checkpoints.verifier,
            named=lambda: log_collector(load_destinations(POLICIES_DIR / "destinations.toml")),
            gate=lambda: self.gate,
        )

    def seal(self) -> Strength:
        """What keeps this process from reaching others, as the kernel shows it now."""
        return own_strength(self.settings.run_dir)

    def close(self) -> None:
        """Give back what was opened."""
        self.database.close()


def open_foundation(settings: Settings) -> Foundation:
    """For what must look at a box without bringing its database up to date, which everything else counts on.

    Raises `SetupError`: `setup.no_data_directory`, `setup.key_*`, `setup.plaintext`.
    """
    if not settings.database_path.exists():
        raise SetupError(f"There is no box at {settings.data_dir}.", code="setup.no_data_directory")
    foundation = Foundation(settings, load_or_create_root_key(settings.root_key_path, create=False), _SMALL_CACHE_MB)
    foundation.database.assert_encrypted()
    return foundation


def _boot_id() -> str:
    return _KERNEL_BOOT_ID.read_text().strip() if _KERNEL_BOOT_ID.exists() else secrets.token_hex(16)
