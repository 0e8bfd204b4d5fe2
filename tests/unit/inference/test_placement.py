"""Where a model computes, judged against where it was put and what the box has."""

from __future__ import annotations

import os

import pytest

from appliance.inference.devices import SPEED, DeviceKind
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.loaded_report import read_loaded, report_loaded
from appliance.inference.models import Health
from appliance.inference.placement import LoadedRuntime, Placement, Verdict

# chosen, used, best of the box; the verdict and what its sentence names
TABLE = [
    ("cpu", "cpu", "cpu", Verdict.AS_CHOSEN, "computes on cpu, as chosen"),
    ("cuda:0", "cuda:0", "cuda:0", Verdict.AS_CHOSEN, "computes on cuda:0, as chosen"),
    ("cuda:0", "cpu", "cuda:0", Verdict.ELSEWHERE, "put on cuda:0 and computes on cpu"),
    ("cuda:0", "cpu+cuda:0", "cuda:0", Verdict.ELSEWHERE, "computes on cpu and cuda:0"),
    ("cuda:0", "cuda:1", "cuda:0", Verdict.ELSEWHERE, "computes on cuda:1"),
    ("cpu", "gpu", "cpu", Verdict.ELSEWHERE, "computes on a graphics processor"),
    ("cpu", "cpu+gpu", "cpu", Verdict.ELSEWHERE, "computes on cpu and a graphics processor"),
    ("cpu", "cpu", "rocm:0", Verdict.BELOW_BEST, "although this box has rocm:0"),
    ("xpu:0", "xpu:0", "cuda:0", Verdict.BELOW_BEST, "although this box has cuda:0"),
    ("intel_npu:0", "", "intel_npu:0", Verdict.UNTOLD, "does not say where"),
]


@pytest.mark.parametrize(("chosen", "used", "best", "verdict", "said"), TABLE)
def test_each_pair(chosen, used, best, verdict, said):
    placement = Placement("llamacpp", "smol@1", chosen, used, best)
    assert placement.verdict is verdict
    assert said in placement.sentence
    assert placement.differs == (verdict in {Verdict.ELSEWHERE, Verdict.BELOW_BEST})


CARDS = Accelerator("cuda:0", "small", 8_000), Accelerator("cuda:1", "large", 24_000)
NPU = Accelerator("intel_npu:0", "neural", shares_memory=True)


@pytest.mark.parametrize(
    ("there", "kinds", "best"),
    [
        ((), SPEED, "cpu"),
        ((NPU,), SPEED, "intel_npu:0"),
        ((NPU, *CARDS), SPEED, "cuda:1"),
        ((NPU, *CARDS), (DeviceKind.INTEL_NPU, DeviceKind.CUDA, DeviceKind.CPU), "intel_npu:0"),
        ((NPU, *CARDS), (DeviceKind.CPU,), "cpu"),
        ((NPU, *CARDS), (DeviceKind.CPU, DeviceKind.CUDA), "cpu"),
        ((Accelerator("other_npu:0", "odd"),), (DeviceKind.CUDA, DeviceKind.CPU), "cpu"),
    ],
)
def test_the_best_device_is_the_policys_first_that_there_is(there, kinds, best):
    assert Hardware(accelerators=there).best(kinds) == best


def test_a_report_is_read_as_it_was_left_and_not_after_its_process(tmp_path, monkeypatch):
    placement = Placement("llamacpp", "smol@1", "cuda:0", "cpu", "cuda:0")
    here = LoadedRuntime("llamacpp", "smol@1", "", Health(ready=True, running=2), placement)
    far = LoadedRuntime("openai_http", "big@1", "lan", Health(ready=True, device=""))
    report_loaded(tmp_path, "worker-answers", [here, far], ("CPUExecutionProvider",))
    (report,) = read_loaded(tmp_path)
    assert (report.process, report.pid, report.runtimes) == ("worker-answers", os.getpid(), [here, far])
    assert report.providers == ["CPUExecutionProvider"]
    (tmp_path / "loaded" / "worker-broken.json").write_text("{")
    assert len(read_loaded(tmp_path)) == 1
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # above the largest there can be
    report_loaded(tmp_path, "worker-answers", [here], ())
    assert read_loaded(tmp_path) == []
