"""Machines made of files: what a probe finds, and that one failing look never hides the others."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.inference.cores import available_cores
from appliance.inference.devices import DeviceKind
from appliance.inference.hardware import graphics, probe
from appliance.inference.hardware.control_groups import MemoryLimit, cpu_quota, memory_limit
from appliance.inference.hardware.graphics import amd, apple, intel, nvidia
from appliance.inference.hardware.memory import memory
from appliance.inference.hardware.models import Accelerator, Hardware
from appliance.inference.hardware.neural import neural_processors
from appliance.inference.hardware.probe import probe_hardware
from appliance.inference.hardware.processor import processor, usable_cores

INTEL = "processor\t: 0\nmodel name\t: A server processor\nflags\t\t: fpu avx2 avx512f lahf_lm avx512vbmi avx512_vnni amx_int8\n\nprocessor\t: 1\nflags\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nHardware\t: A board\n"
V2 = "30 1 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n"
V1 = (
    "31 1 0:29 /pod7 /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "32 1 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
)
GB = 1_000_000_000


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def box(root: Path, **more: str) -> Path:
    return tree(
        root,
        {
            "proc/cpuinfo": INTEL,
            "proc/meminfo": "MemTotal:  16000000 kB\nMemFree: 1000000 kB\nMemAvailable: 8000000 kB\nHugePages_Total: 0\n",
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2,
            **more,
        },
    )


def test_of_an_empty_machine_everything_is_told_as_unknown(tmp_path):
    found = probe_hardware(tmp_path)
    assert (found.memory_total_mb, found.accelerators, found.cpu_quota) == (0, (), None)
    assert found.cores >= 1
    told = " ".join(found.remarks)
    assert all(word in told for word in ("The processor could", "The memory could", "quota", "limit"))


def test_a_plain_box(tmp_path):
    found = probe_hardware(box(tmp_path))
    assert found.processor == "A server processor"
    assert found.features == ("avx2", "avx512f", "avx512vbmi", "avx512_vnni", "amx_int8")
    assert (found.memory_total_mb, found.memory_available_mb, found.memory_limit_mb) == (16_384, 8_192, None)
    assert found.remarks == ()


def test_an_arm_board_calls_its_features_otherwise(tmp_path):
    found = processor(tree(tmp_path, {"proc/cpuinfo": ARM}))
    assert (found.name, found.features) == ("A board", ("asimd", "asimddp", "i8mm"))


def test_cores_end_at_the_quota_and_never_below_one():
    bound = usable_cores(None)
    assert usable_cores(0.2) == 1
    assert usable_cores(1.5) == min(2, bound)
    assert usable_cores(1_000) == bound
    assert 1 <= available_cores() <= bound


@pytest.mark.parametrize(("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("400000 100000", 4)])
def test_quota_of_version_2(tmp_path, text, quota):
    files = {"proc/self/cgroup": "0::/box\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/box/cpu.max": text}
    assert cpu_quota(tree(tmp_path, files)) == quota


def test_the_tightest_group_on_the_way_up_decides(tmp_path):
    groups = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "0::/slice/box\n",
        "proc/self/mountinfo": V2,
        f"{groups}/slice/box/cpu.max": "800000 100000",
        f"{groups}/slice/cpu.max": "200000 100000",
        f"{groups}/slice/box/memory.max": str(8 * GB),
        f"{groups}/slice/box/memory.current": str(1 * GB),
        f"{groups}/slice/memory.max": str(6 * GB),
        f"{groups}/slice/memory.current": str(4 * GB),
        f"{groups}/slice/memory.stat": f"anon 5\ninactive_file {GB}\n",
    }
    root = tree(tmp_path, files)
    assert cpu_quota(root) == 2
    assert memory_limit(root) == MemoryLimit(6 * GB, 3 * GB)


def test_version_1_with_its_own_mounts(tmp_path):
    groups = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "4:memory:/pod7/box\n3:cpu,cpuacct:/pod7\n",
        "proc/self/mountinfo": V1,
        f"{groups}/memory/box/memory.limit_in_bytes": str(2 * GB),
        f"{groups}/memory/box/memory.usage_in_bytes": str(GB),
        f"{groups}/memory/memory.limit_in_bytes": "9223372036854771712",
        f"{groups}/memory/memory.usage_in_bytes": "0",
        f"{groups}/cpu,cpuacct/pod7/cpu.cfs_quota_us": "50000",
        f"{groups}/cpu,cpuacct/pod7/cpu.cfs_period_us": "100000",
        f"{groups}/cpu,cpuacct/cpu.cfs_quota_us": "-1",
    }
    root = tree(tmp_path, files)
    assert cpu_quota(root) == 0.5
    assert memory_limit(root) == MemoryLimit(2 * GB, GB)


def test_a_group_that_is_not_mounted_here_is_the_mount_itself(tmp_path):
    files = {
        "proc/self/cgroup": "0::/outside/of/the/container\n",
        "proc/self/mountinfo": V2,
        "sys/fs/cgroup/cpu.max": "100000 100000",
    }
    assert cpu_quota(tree(tmp_path, files)) == 1


def test_a_limit_makes_the_box_smaller(tmp_path):
    root = box(tmp_path, **{"sys/fs/cgroup/memory.max": str(4 * GB), "sys/fs/cgroup/memory.current": str(3 * GB)})
    found = probe_hardware(root)
    assert (found.memory_total_mb, found.memory_available_mb, found.memory_limit_mb) == (4_000, 1_000, 4_000)


def test_a_damaged_file_is_told_and_the_rest_is_found(tmp_path):
    found = probe_hardware(box(tmp_path, **{"proc/meminfo": "MemTotal: many kB\n", "sys/fs/cgroup/cpu.max": "nonsense"}))
    assert found.memory_total_mb == 0
    assert found.processor == "A server processor"
    assert [remark.partition(" could")[0] for remark in found.remarks] == ["The processor quota", "The memory"]


def test_memory_without_the_estimate_of_the_kernel(tmp_path):
    root = tree(tmp_path, {"proc/meminfo": "MemTotal: 1000 kB\nMemFree: 10 kB\n"})
    assert memory(root) == (1_024_000, 10_240)


def test_cards_of_amd_and_intel_by_what_the_kernel_shows(tmp_path):
    drm = "sys/class/drm"
    files = {
        f"{drm}/card0/device/vendor": "0x8086\n",
        f"{drm}/card0/device/device": "0x46a6\n",
        f"{drm}/card0/device/uevent": "DRIVER=i915\nPCI_SLOT_NAME=0000:00:02.0\n",
        f"{drm}/card0-HDMI-A-1/device/vendor": "0x1002\n",
        f"{drm}/card1/device/vendor": "0x1002\n",
        f"{drm}/card1/device/device": "0x744c\n",
        f"{drm}/card1/device/mem_info_vram_total": str(24 * GB),
        f"{drm}/card1/device/mem_info_vram_used": str(GB),
        f"{drm}/card2/device/vendor": "0x8086\n",
        f"{drm}/card2/device/device": "0x56a0\n",
        f"{drm}/card2/device/uevent": "DRIVER=i915\nPCI_SLOT_NAME=0000:03:00.0\n",
    }
    root = tree(tmp_path, files)
    assert amd(root) == [Accelerator("rocm:0", "AMD graphics 0x744c", 24_000, 23_000)]
    assert [(found.device, found.shares_memory) for found in intel(root)] == [("xpu:0", True), ("xpu:1", False)]
    assert nvidia(root) == []


class CardError(Exception):
    """As `NVMLError` of nvidia-ml-py."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


def fake_nvml(name: str = "A card", fails: bool = False) -> SimpleNamespace:
    """What of nvidia-ml-py is used, with its result types."""
    ended = []

    def init() -> None:
        if fails:
            raise RuntimeError("Driver Not Loaded")

    return SimpleNamespace(
        nvmlInit=init,
        nvmlShutdown=lambda: ended.append(1),
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetName=lambda handle: f"{name} {handle}",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=24 * GB, free=(handle + 1) * GB),
        NVMLError=CardError,
        NVML_ERROR_NOT_SUPPORTED=3,
        ended=ended,
    )


def test_nvidia_cards_by_their_library(tmp_path, monkeypatch):
    nvml = fake_nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(graphics, "find_spec", lambda _: object())
    root = tree(tmp_path, {"proc/driver/nvidia/version": "580"})
    assert nvidia(root) == [
        Accelerator("cuda:0", "A card 0", 24_000, 1_000),
        Accelerator("cuda:1", "A card 1", 24_000, 2_000),
    ]
    assert nvml.ended == [1]


@pytest.mark.parametrize(("value", "told"), [(3, [("cuda:0", True), ("cuda:1", False)]), (999, None)])
def test_a_card_without_memory_of_its_own_shares_the_box_s(tmp_path, monkeypatch, value, told):
    nvml = fake_nvml()

    def memory(handle: int) -> SimpleNamespace:
        if handle == 0:
            raise CardError(value)
        return SimpleNamespace(total=24 * GB, free=GB)

    nvml.nvmlDeviceGetMemoryInfo = memory
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(graphics, "find_spec", lambda _: object())
    found = probe_hardware(box(tmp_path, **{"proc/driver/nvidia/version": "580"}))
    assert ([(card.device, card.shares_memory) for card in found.accelerators] or None) == told
    assert bool(found.remarks) == (told is None)
    assert nvml.ended == [1]


def test_the_library_that_is_installed_has_what_is_asked_of_it():
    import pynvml

    assert pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED).value == fake_nvml().NVML_ERROR_NOT_SUPPORTED

    asked = {name for name in vars(fake_nvml()) if name.startswith("nvml")}
    assert all(callable(getattr(pynvml, name)) for name in asked)


def test_a_card_whose_driver_or_library_fails_is_told(tmp_path, monkeypatch):
    root = box(tmp_path, **{"sys/class/drm/card0/device/vendor": "0x10de\n"})
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(fails=True))
    monkeypatch.setattr(graphics, "find_spec", lambda _: object())
    assert probe_hardware(root).remarks == ("NVIDIA cards could not be looked at: Driver Not Loaded.",)
    monkeypatch.setattr(graphics, "find_spec", lambda _: None)
    found = probe_hardware(root)
    assert "nvidia-ml-py is not installed" in found.remarks[0]
    assert found.memory_total_mb > 0


def test_neural_processors_by_their_driver(tmp_path):
    accel = "sys/class/accel"
    root = tree(
        tmp_path, {f"{accel}/accel0/device/uevent": "DRIVER=intel_vpu\n", f"{accel}/accel1/device/uevent": "DRIVER=odd\n"}
    )
    assert [(found.device, found.name) for found in neural_processors(root)] == [
        ("intel_npu:0", "Intel neural processor"),
        ("other_npu:0", "accelerator (odd)"),
    ]


def test_a_device_node_without_a_description_is_told(tmp_path):
    found = probe_hardware(box(tmp_path, **{"dev/accel/accel0": ""}))
    assert found.accelerators == ()
    assert "accel0 is there" in found.remarks[0]


def test_apple_shares_its_memory(monkeypatch):
    monkeypatch.setattr(graphics.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(graphics.platform, "machine", lambda: "arm64")
    assert apple(Path("/"))[0].shares_memory


def test_devices_are_found_by_name_and_by_kind():
    cards = Accelerator("cuda:0", "a"), Accelerator("cuda:1", "b"), Accelerator("intel_npu:0", "c")
    found = Hardware(accelerators=cards)
    assert found.accelerator("cuda:1") == cards[1]
    assert [found.accelerator(name) for name in ("cuda", "gpu", "cpu", "")] == [None] * 4
    assert found.of_kind(DeviceKind.CUDA) == ("cuda:0", "cuda:1")
    assert found.of_kind(DeviceKind.ROCM) == ()
    assert found.of_kind(DeviceKind.CPU) == ("cpu",)


def test_this_machine_can_be_looked_at():
    found = probe_hardware()
    assert found.memory_total_mb >= found.memory_available_mb > 0
    assert found.cores == min(usable_cores(None), math.ceil(found.cpu_quota or 10_000))


def test_libraries_are_asked_only_on_request(monkeypatch, tmp_path):
    monkeypatch.setattr(probe.neural, "execution_providers", lambda: ("CPUExecutionProvider",))
    assert probe_hardware(tmp_path).providers == ()
    assert probe_hardware(tmp_path, ask_libraries=True).providers == ("CPUExecutionProvider",)
