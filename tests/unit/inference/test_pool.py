"""Which runtimes are loaded while versions change; what they say is not the subject."""

from __future__ import annotations

import threading

import pytest

from appliance.errors import SetupError, Unavailable
from appliance.inference.pool import RuntimeKey, RuntimePool, Told
from appliance.inference.stub import StubRuntime

OLD, NEW = RuntimeKey("stub", "model@1"), RuntimeKey("stub", "model@2")
pytestmark = pytest.mark.filterwarnings("ignore::appliance.inference.stub.InsecureStubWarning")


class Loader:
    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.closed: list[str] = []
        self.failing = False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, key: RuntimeKey, told: Told) -> StubRuntime:
        self.loaded.append(key.model_id)
        told(0.4)
        assert self.gate.wait(5)
        if self.failing:
            raise SetupError("The file is damaged.", code="setup.model_digest")
        runtime = StubRuntime(["yes"])
        runtime.close = lambda: self.closed.append(key.model_id)
        return runtime


@pytest.fixture
def loader() -> Loader:
    return Loader()


def test_what_cannot_be_loaded_is_refused_and_tried_again(loader):
    pool = RuntimePool(loader)
    loader.failing = True
    with pytest.raises(SetupError), pool.use(OLD):
        pass
    loader.failing = False
    with pool.use(OLD) as runtime:
        assert runtime.model.id == "stub"
    assert loader.loaded == ["model@1", "model@1"]


def test_a_closed_pool_loads_nothing(loader):
    pool = RuntimePool(loader)
    pool.close()
    with pytest.raises(Unavailable), pool.use(OLD):
        pass
    assert loader.loaded == []


def test_a_runtime_is_loaded_once_and_stays(loader):
    pool = RuntimePool(loader)
    for _ in range(3):
        with pool.use(OLD):
            pass
    assert (loader.loaded, loader.closed) == (["model@1"], [])
    pool.close()
    assert loader.closed == ["model@1"]


def test_all_who_ask_while_it_loads_wait_for_the_same_one(loader):
    pool = RuntimePool(loader)
    loader.gate.clear()
    got: list[object] = []

    def ask() -> None:
        with pool.use(OLD) as runtime:
            got.append(runtime)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    loader.gate.set()
    for asker in askers:
        asker.join(5)
    assert len(got) == 4
    assert len(set(map(id, got))) == 1
    assert loader.loaded == ["model@1"]


def test_a_new_version_interrupts_no_answer(loader):
    pool = RuntimePool(loader)
    with pool.use(OLD):
        with pool.use(NEW):
            assert set(pool.loaded()) == {OLD, NEW}
        assert loader.closed == []
    assert loader.closed == ["model@1"]
    assert set(pool.loaded()) == {NEW}


def test_one_that_is_dropped_ends_with_its_last_answer_and_is_loaded_anew(loader):
    pool = RuntimePool(loader)
    pool.drop(OLD)
    with pool.use(OLD):
        pool.drop(OLD)
        assert (pool.loaded(), loader.closed) == ({}, [])
        with pool.use(OLD):
            assert loader.loaded == ["model@1", "model@1"]
        assert loader.closed == []
    assert loader.closed == ["model@1"]
    pool.drop(OLD)
    assert loader.closed == ["model@1", "model@1"]
    assert pool.loaded() == {}


def test_an_idle_version_makes_room_before_the_next_is_loaded(loader):
    pool = RuntimePool(loader)
    with pool.use(OLD):
        pass
    loader.gate.clear()
    asking = threading.Thread(target=lambda: pool.use(NEW).__enter__())
    asking.start()
    while loader.loaded != ["model@1", "model@2"]:
        pass
    assert loader.closed == ["model@1"]
    loader.gate.set()
    asking.join(5)


def test_whoever_waits_is_told_how_far_it_is_whoever_has_it_loaded(loader):
    pool = RuntimePool(loader)
    loader.gate.clear()
    heard: dict[str, list[float]] = {"first": [], "second": []}
    second_heard = threading.Event()

    def ask(name: str) -> None:
        def told(share: float) -> None:
            heard[name].append(share)
            if name == "second":
                second_heard.set()

        with pool.use(NEW, told):
            pass

    threads = []
    for name in heard:
        threads.append(threading.Thread(target=ask, args=(name,)))
        threads[-1].start()
        while not loader.loaded:
            pass
    assert second_heard.wait(5)
    loader.gate.set()
    for thread in threads:
        thread.join(5)
    assert loader.loaded == ["model@2"]
    assert heard["first"] == [0.4]
    assert set(heard["second"]) == {0.4}
