"""The devices of a machine, and the precisions of each device."""

import pytest
import torch

from passband.learning import devices

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def cpu_has(monkeypatch):
    def have(avx512_bf16: bool, amx: bool) -> None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)

    return have


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_device_is_the_gpu_if_there_is_one(monkeypatch, there, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert devices.device().type == kind


def test_requested_device_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.device("cpu") == CPU


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "expected"),
    [
        (False, False, "float32"),
        (True, False, "bfloat16"),
        (False, True, "bfloat16"),
        (True, True, "bfloat16"),
    ],
)
def test_auto_is_bfloat16_on_processors_that_compute_it_fast(cpu_has, avx512_bf16, amx, expected):
    cpu_has(avx512_bf16, amx)
    assert devices.precision("auto", CPU) == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((6, 1), "float32"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_auto_is_what_the_gpu_computes_fast(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.precision("auto", CUDA) == expected


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_requested_precision_is_used(cpu_has, name):
    cpu_has(name == "float32", name == "float32")
    assert devices.precision(name, CPU) == name


def test_auto_asks_the_real_processor():
    assert devices.precision("auto", CPU) in ("float32", "bfloat16")


def test_description_names_the_kind_of_device(monkeypatch):
    assert devices.describe(CPU) == f"cpu ({torch.backends.cpu.get_cpu_capability()})"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert devices.describe(CUDA) == "NVIDIA H100"


def test_speedup_is_the_ratio_of_timed_steps(monkeypatch):
    """A step takes 3 s in float32 and 2 s otherwise. The first step takes 9 s more."""
    taken = iter([0, 12, 0, 11] + [0, 3, 0, 2] * 2)
    monkeypatch.setattr(devices.time, "perf_counter", lambda: next(taken))
    state = torch.random.get_rng_state()
    assert devices.speedup("bfloat16", CPU, rounds=2) == 1.5
    assert torch.equal(torch.random.get_rng_state(), state)
    assert next(taken, None) is None


def test_a_real_probe_answers():
    assert 0.01 < devices.speedup("bfloat16", CPU, rounds=1) < 100


def test_layout_is_plain_in_float32_on_a_gpu_only():
    assert devices.layout("float32", CUDA) == torch.contiguous_format
    for precision, device in (("bfloat16", CUDA), ("float16", CUDA), ("float32", CPU)):
        assert devices.layout(precision, device) == torch.channels_last


def test_processes_share_the_threads_once():
    """Each network of each image asks for the share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(8)
    devices.share.cache_clear()
    try:
        for _ in range(3):
            devices.share(2)
        assert torch.get_num_threads() == 4
    finally:
        devices.share.cache_clear()
        torch.set_num_threads(threads)
