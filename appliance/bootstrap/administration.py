"""What administrators and officers work with."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from appliance.administration.answer_records import AnswerRecords
from appliance.administration.api_keys import ApiKeys
from appliance.administration.audit_review import AuditReview
from appliance.administration.box import BoxReview
from appliance.administration.catalogue_review import CatalogueReview
from appliance.administration.collections import Collections
from appliance.administration.egress_review import EgressReview
from appliance.administration.enrolment import Enrolment
from appliance.administration.erasure import Erasure
from appliance.administration.golden.conditions import Conditions
from appliance.administration.golden.gate import GoldenGate
from appliance.administration.golden.index_gate import IndexGate
from appliance.administration.golden.index_review import IndexReview
from appliance.administration.golden.margin import load_margin
from appliance.administration.golden.service import GoldenSets
from appliance.administration.groups import Groups
from appliance.administration.holds import Holds
from appliance.administration.people import People
from appliance.administration.provider.accounts import ProviderAccounts
from appliance.administration.provider.endpoint import ProviderEndpoint
from appliance.administration.provider.sign_in import ProviderSignIn
from appliance.administration.retention import Retention
from appliance.administration.routing_review import RoutingReview
from appliance.administration.setup import Setup
from appliance.bootstrap.foundation import POLICIES_DIR
from appliance.bootstrap.inference import InferenceParts
from appliance.chat.policy import load_answers_policy
from appliance.egress.seal.layers import Strength
from appliance.identity.provider.policy import load_provider, require_own_address
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.loaded_report import read_loaded
from appliance.retention.clock import RetentionClock
from appliance.retention.terms import Terms
from appliance.settings import Settings

if TYPE_CHECKING:
    from appliance.administration.model_conversion import ModelConversion
    from appliance.administration.model_fetching import ModelFetching
    from appliance.administration.model_importing import ModelImporting
    from appliance.administration.model_measuring import ModelMeasuring
    from appliance.administration.model_optimizing import ModelOptimizing
    from appliance.administration.model_signers import ModelSigners
    from appliance.administration.models import ModelAdministration
    from appliance.administration.ollama_models import OllamaModels


class AdministrationParts(InferenceParts):
    """What administrators and officers do, and what is measured for them."""

    def __init__(self, settings: Settings, root_key: bytes, page_cache_mb: int) -> None:
        super().__init__(settings, root_key, page_cache_mb)
        self.people = People(self.database, self.access, self.audit, self.sessions)
        self.api_keys = ApiKeys(self.database, self.access, self.audit, self.sessions, self.keys.sessions)
        self.enrolment = Enrolment(self.database, self.access, self.audit, self.sessions, self.factors)
        provider = load_provider(POLICIES_DIR / "identity.toml")
        self.provider_accounts = ProviderAccounts(self.database, self.access, self.audit, provided=provider is not None)
        self.provider_sign_in = ProviderSignIn(
            self.database,
            self.audit,
            self.sessions,
            factors=self.factors,
            provider=provider,
            endpoint=ProviderEndpoint(lambda: self.gate, settings.identity_secret_path),
            own_address=require_own_address(settings.own_address, secure=settings.cookie_secure) if provider else "",
            key=self.keys.sessions,
        )
        self.groups = Groups(self.database, self.access, self.audit)
        self.collections = Collections(self.database, self.access, self.audit, self.routing.classifications)
        self.retention_clock = RetentionClock(self.database, self.audit.boot_id)
        self.retention = Retention(self.database, self.access, self.audit, self.retention_clock)
        self.terms = Terms(self.database)
        self.setup = Setup(self.database, self.access, self.audit)
        self.box = BoxReview(database=self.database, access=self.access, audit=self.audit, settings=settings)
        self.audit_review = AuditReview(self.database, self.access, self.audit, self.checkpoints)
        self.holds = Holds(self.database, self.access, self.audit)
        self.erasure = Erasure(self.database, self.access, self.audit, settings.copies_dir)
        self.answer_records = AnswerRecords(self.database, self.access, self.audit)
        self.egress = EgressReview(self.database, self.access, self.audit, settings, POLICIES_DIR / "destinations.toml")
        answers = load_answers_policy(POLICIES_DIR / "answers.toml")
        self.silence, self.measured_silence = answers.silence, answers.measured
        conditions = Conditions(settings, self.silence, self.routing.sha256)
        margin = load_margin(POLICIES_DIR / "evaluation.toml")
        self.golden_gate = GoldenGate(margin, conditions, IndexGate(margin, settings.passages_limit))
        self.golden = GoldenSets(self.database, self.access, self.audit, self.golden_gate)
        self.index_review = IndexReview(self.database, self.access, self.audit)
        self.routing_review = RoutingReview(
            database=self.database,
            access=self.access,
            audit=self.audit,
            policy=self.routing,
            hardware=probe_hardware,
            offers=self.offers,
            seal=self.seal,
            loaded=lambda: read_loaded(settings.run_dir),
        )
        self.catalogue_review = CatalogueReview(
            database=self.database,
            access=self.access,
            audit=self.audit,
            catalogue=self.catalogue,
            policy=self.routing,
            hardware=probe_hardware,
            runtimes=self.runtimes,
        )

    @cached_property
    def model_administration(self) -> ModelAdministration:
        from appliance.administration.models import ModelAdministration

        return ModelAdministration(
            self.database,
            self.access,
            self.audit,
            self.models,
            golden=self.golden_gate,
            marks=self.load_marks,
            failures=self.load_failures,
            may_embed=lambda version: self._require_may_embed(version, Strength.NAMESPACE),
        )

    @cached_property
    def model_importing(self) -> ModelImporting:
        from appliance.administration.model_importing import ModelImporting

        return ModelImporting(
            self.database,
            self.access,
            self.audit,
            self.models,
            self.catalogue,
            failures=self.load_failures,
            ollama_address=self.ollama_address,
        )

    @cached_property
    def model_fetching(self) -> ModelFetching:
        from appliance.administration.model_fetching import ModelFetching

        return ModelFetching(self.database, self.access, self.audit, self.models, self.model_importing)

    @cached_property
    def model_conversion(self) -> ModelConversion:
        from appliance.administration.model_conversion import ModelConversion

        return ModelConversion(self.database, self.access, self.models, self.model_importing)

    @cached_property
    def model_measuring(self) -> ModelMeasuring:
        from appliance.administration.model_measuring import ModelMeasuring

        lock = self.settings.run_dir / "measuring.lock"
        return ModelMeasuring(self.database, self.access, self.audit, self.models, lock)

    @cached_property
    def model_optimizing(self) -> ModelOptimizing:
        from appliance.administration.model_optimizing import ModelOptimizing

        return ModelOptimizing(
            self.access,
            self.models,
            self.model_measuring,
            self.model_importing,
            self.model_administration,
            headroom_mb=self.routing.memory_headroom_mb,
        )

    @cached_property
    def model_signers(self) -> ModelSigners:
        from appliance.administration.model_signers import ModelSigners

        return ModelSigners(self.database, self.access, self.audit)

    @cached_property
    def ollama_models(self) -> OllamaModels:
        from appliance.administration.ollama_models import OllamaModels
        from appliance.egress.windows import load_windows

        file = POLICIES_DIR / "destinations.toml"
        return OllamaModels(
            self.database, self.access, self.audit, address=self.ollama_address, windows=lambda: load_windows(file)
        )
