"""The benchmark at tiny sizes: on a machine with a GPU it has to work at the first attempt."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
import types

import numpy as np
import pytest

from cuda_kernels import _cuda
from rprop_ref import Parameter, Rprop, bench, rules
from rprop_ref._bench import parts, sizes
from rprop_ref.bits import same_bits


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setattr(bench, "_torch", lambda: None)


def test_without_torch_the_other_parts_are_measured(no_torch, capsys, tmp_path):
    assert bench.main(bench.TINY, str(tmp_path / "table.json")) == 0
    printed = capsys.readouterr().out
    assert "torch with CUDA is not installed" in printed
    table = json.loads((tmp_path / "table.json").read_text())
    bits, copy, starts, *_ = table["rows"]
    assert (bits["what"], bits["goal"], bits["met"]) == ("runs with the same bits as NumPy, of all runs", 1, True)
    assert bits["ours"] == bits["theirs"] == str(2 * len(rules.RULES) * len(parts.all_dtypes()))
    assert "1e+02 float32" in copy["what"]
    assert "4 starts of Rosenbrock, n = 2" in starts["what"]
    assert all(row["what"] in printed for row in table["rows"])
    assert not table["failed"]


def test_a_part_that_fails_does_not_stop_the_others(no_torch, monkeypatch, capsys, tmp_path):
    def no_memory(table, timer, n):
        raise MemoryError("16 GiB are not free\nthis line is not shown")

    monkeypatch.setattr(parts, "bits", lambda table, sizes: table.row("a row", "1", "2", 0.5, 1))
    monkeypatch.setattr(parts, "bandwidth", no_memory)
    monkeypatch.setattr(parts, "rosenbrock", lambda table, sizes: 1 / 0)
    tiny = dataclasses.replace(bench.TINY, bandwidth=(3, 4))
    assert bench.main(tiny, str(tmp_path / "table.json")) == 1
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["met"] for row in table["rows"]] == [False]
    assert [f["part"] for f in table["failed"]] == ["3e+00 float32", "4e+00 float32", "Rosenbrock"]
    assert table["failed"][0]["why"] == "MemoryError: 16 GiB are not free"
    assert table["failed"][2]["why"] == "ZeroDivisionError: division by zero"
    printed = capsys.readouterr().out
    assert ">= 1  missed" in printed
    assert "3e+00 float32: MemoryError: 16 GiB are not free\n" in printed
    assert bench.main(tiny, only="bits") == 0


def test_the_time_limit_is_kept(no_torch, monkeypatch, capsys):
    def endless(table, sizes):
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(parts, "rosenbrock", endless)
    assert bench.main(dataclasses.replace(bench.TINY, time_limit=0.0), only="bits") == 1
    assert "bits: not started: no time left" in capsys.readouterr().out
    assert bench.main(dataclasses.replace(bench.TINY, time_limit=1.0), only="Rosenbrock") == 1
    assert "Rosenbrock: stopped after 1 s: no time left" in capsys.readouterr().out


@pytest.fixture
def torch_on_the_host(monkeypatch):
    """torch's CPU tensors and steps, reached through the names of torch.cuda."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not _cuda.SIMULATED and "cuda_driver" not in sys.modules:
        pytest.skip("with a GPU, torch's own CUDA is measured")

    def interface(tensor):
        strides = tuple(s * tensor.element_size() for s in tensor.stride())
        array = tensor.detach().numpy()
        return {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (tensor.data_ptr(), False),
            "strides": strides,
        }

    class Stream:
        cuda_stream = 0

        def wait_stream(self, other):
            pass

    class Graph:
        def replay(self):
            pass

    monkeypatch.setattr(torch.Tensor, "__cuda_array_interface__", property(interface))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: Stream())
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    host = types.SimpleNamespace(**vars(torch))
    host.randn = lambda *shape, device, generator: torch.randn(*shape)
    host.Generator = lambda device: torch.Generator()
    host.compile = lambda step, fullgraph: step
    # On the host, torch's steps cannot be capturable.
    host.optim = types.SimpleNamespace(Rprop=lambda params, foreach, capturable=False: torch.optim.Rprop(params))
    monkeypatch.setattr(bench, "_torch", lambda: host)
    return torch


def test_with_torch_all_rows_are_printed(torch_on_the_host, capsys):
    assert bench.main(bench.TINY) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    for name in ("5e+01", "GPT-2 small", "10,000 x 64"):
        assert f"{name}: times faster than torch foreach" in printed
        assert f"{name}: the same, both replayed from CUDA graphs" in printed
    assert "5e+01: times faster than torch.compile" in printed


def test_a_torch_tensor_is_stepped_in_place(torch_on_the_host, rng):
    start, g = rng.standard_normal((2, 4, 6)).astype("f4")
    t = torch_on_the_host.from_numpy(start.copy())
    p, q = Parameter(t.T), Parameter(start.T.copy())
    p.grad, q.grad = torch_on_the_host.from_numpy(g).T, g.T
    assert p.data is not t
    for x in (p, q):
        Rprop([x]).step()
    assert same_bits(t.numpy().T, q.data)


def test_gpt2_small_has_148_parameters():
    assert len(sizes.GPT2) == 148
    assert sum(int(np.prod(s)) for s in sizes.GPT2) == 124_439_808
