"""One vocabulary of devices: whatever a runtime may be built with meets whatever the probe may find, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.inference import foundry, genai, llamacpp, ollama
from appliance.inference.devices import LIBRARIES, DeviceKind, drives, kind_of, library_for, unknown_libraries
from appliance.inference.hardware import graphics
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.selection.decide import select
from appliance.inference.selection.models import Offer, Reason
from appliance.inference.selection.policy import load_policy
from appliance.inference.selection.records import read_record, record_of, write_record
from tests.unit.inference.selection.offers import ask

SHIPPED = load_policy(Path(__file__).resolve().parents[4] / "policies" / "routing.toml")
OFFERED = {
    "llamacpp": llamacpp.LIBRARIES,
    "genai": tuple(genai.PROVIDERS),
    "foundry": tuple(foundry.PROVIDERS),
    "ollama": ollama.LIBRARIES,
}
UNDRIVEN = {DeviceKind.OTHER_NPU}
PAIRS = [(runtime, library, kind) for runtime, libraries in OFFERED.items() for library in libraries for kind in DeviceKind]


def box(*accelerators: Accelerator) -> Hardware:
    return Hardware(cores=8, memory_total_mb=64_000, memory_available_mb=60_000, accelerators=accelerators)


def device(kind: str, number: int = 0, free_mb: int = 20_000) -> Accelerator:
    return Accelerator(f"{kind}:{number}", f"a {kind}", 24_000, free_mb)


def built(*libraries: str, runtime: str = "llamacpp", memory_mb: int = 3_000) -> Offer:
    return Offer(runtime, "qwen@1", "qwen", memory_mb=memory_mb, context_tokens=8_192, libraries=libraries)


@pytest.mark.parametrize("name", ["", "gpu", "npu", "vulkan", "hip", "openvino", "CUDA", "cuda0", "abacus:0"])
def test_a_name_that_is_no_device_is_refused(name):
    with pytest.raises(ValueError, match="is not a valid DeviceKind"):
        kind_of(name)
    with pytest.raises(ValueError, match="is not a valid DeviceKind"):
        Accelerator(name, "a card")
    assert not drives("cuda", name)


@pytest.mark.parametrize("library", ["abacus", "rocm", "xpu", "npu", "gpu", "CUDA", ""])
def test_a_runtime_that_computes_through_something_unknown_is_not_used(library):
    selection = select(box(device("cuda")), [built("cpu", library)], SHIPPED, ask())
    assert selection.winner is None
    assert selection.candidates[0].reason is Reason.UNUSABLE
    assert unknown_libraries(["cpu", library]) == [library]
    assert not drives(library, "cuda:0")


@pytest.mark.parametrize(("runtime", "library", "kind"), PAIRS)
def test_every_library_of_every_runtime_meets_every_kind_that_it_drives_and_no_other(runtime, library, kind):
    hardware = box() if kind is DeviceKind.CPU else box(device(kind))
    winner = select(hardware, [built("cpu", library, runtime=runtime)], SHIPPED, ask()).require()
    if kind in LIBRARIES[library]:
        assert (kind_of(winner.device), winner.library) == (kind, library)
    else:
        assert (winner.device, winner.library) == ("cpu", "cpu")


def test_nothing_is_left_unmatched():
    offered = {library for libraries in OFFERED.values() for library in libraries} | {"cpu"}
    assert offered == set(LIBRARIES)
    for kind in set(DeviceKind) - UNDRIVEN:
        assert library_for(kind, offered), kind
    assert {kind: library_for(kind, LIBRARIES) for kind in UNDRIVEN} == dict.fromkeys(UNDRIVEN)
    assert set(SHIPPED.devices) == set(DeviceKind) - UNDRIVEN


def test_the_probe_yields_every_kind_and_no_other(tmp_path, monkeypatch):
    files = {
        "sys/class/drm/card0/device/vendor": "0x1002\n",
        "sys/class/drm/card1/device/vendor": "0x8086\n",
        "sys/class/drm/card2/device/vendor": "0x10de\n",
        "sys/class/accel/accel0/device/uevent": "DRIVER=intel_vpu\n",
        "sys/class/accel/accel1/device/uevent": "DRIVER=amdxdna\n",
        "sys/class/accel/accel2/device/uevent": "DRIVER=rknpu\n",
        "sys/class/accel/accel3/device/uevent": "DRIVER=unheard_of\n",
        "dev/fastrpc-cdsp": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(graphics.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(graphics.platform, "machine", lambda: "arm64")
    found = {one.kind for one in probe_hardware(tmp_path).accelerators} | {DeviceKind.CPU}
    assert found == set(DeviceKind) - {DeviceKind.CUDA}  # those are asked of their own library: test_probe.py


# what is there, what the runtime was built with, where it runs, through what, and what was passed over
CHOICES = [
    ([device("rocm")], ("cpu", "hip"), "rocm:0", "hip", {}),
    ([device("rocm")], ("cpu", "vulkan"), "rocm:0", "vulkan", {}),
    ([device("rocm")], ("vulkan", "hip", "cpu"), "rocm:0", "hip", {}),
    ([device("rocm")], ("cpu",), "cpu", "cpu", {"rocm:0": "no_library"}),
    ([device("rocm"), device("intel_npu")], ("cpu", "cuda"), "cpu", "cpu", {"rocm:0": "no_library", "intel_npu:0": "no_library"}),
    ([device("xpu"), device("intel_npu")], ("cpu", "openvino"), "xpu:0", "openvino", {}),
    ([device("amd_npu")], ("cpu", "openvino"), "cpu", "cpu", {"amd_npu:0": "no_library"}),
    ([device("other_npu")], ("cpu", "openvino"), "cpu", "cpu", {"other_npu:0": "device_forbidden"}),
    ([device("cuda", free_mb=3_000)], ("cpu", "cuda"), "cpu", "cpu", {"cuda:0": "memory_short"}),
    ([device("cuda", free_mb=3_000), device("cuda", 1)], ("cpu", "cuda"), "cuda:1", "cuda", {"cuda:0": "memory_short"}),
    ([Accelerator("xpu:0", "a card")], ("cpu", "sycl"), "cpu", "cpu", {"xpu:0": "memory_unknown"}),
    ([device("cuda"), device("rocm")], ("cpu", "hip"), "rocm:0", "hip", {"cuda:0": "no_library"}),
    ([device("cuda"), device("rocm")], ("cpu", "cuda"), "cuda:0", "cuda", {}),
]


@pytest.mark.parametrize(("there", "libraries", "chosen", "library", "passed_over"), CHOICES)
def test_what_is_chosen_and_which_faster_device_is_passed_over(there, libraries, chosen, library, passed_over):
    selection = select(box(*there), [built(*libraries)], SHIPPED, ask())
    winner = selection.require()
    assert (winner.device, winner.library) == (chosen, library)
    assert {one.device: one.reason for one in winner.passed_over} == passed_over
    for one in winner.passed_over:
        assert f"{one.device} (a " in one.sentence
        assert one.sentence.endswith(".")
    record = record_of(selection)
    assert (record.device, record.library, record.passed_over) == (chosen, library, passed_over)
    assert read_record(write_record(record)) == record


def test_a_device_that_the_policy_puts_behind_or_leaves_out_is_not_used():
    behind = replace(SHIPPED, devices=(DeviceKind.CPU, DeviceKind.CUDA))
    assert select(box(device("cuda")), [built("cpu", "cuda")], behind, ask()).require().passed_over == ()
    without = replace(SHIPPED, devices=(DeviceKind.CPU,))
    (passed,) = select(box(device("cuda")), [built("cpu", "cuda")], without, ask()).require().passed_over
    assert (passed.device, passed.reason) == ("cuda:0", Reason.DEVICE_FORBIDDEN)
