"""The benchmark, tried at tiny sizes: on a machine with a GPU it has to work at the first attempt."""

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
from rprop_ref import Parameter, Rprop, bench
from rprop_ref.bits import same_bits


def test_without_torch(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench, "_torch", lambda: None)
    assert bench.main(bench.TINY, str(tmp_path / "table.json")) == 0
    printed = capsys.readouterr().out
    assert "torch with CUDA is not installed" in printed
    table = json.loads((tmp_path / "table.json").read_text())
    bits, copy, starts, *_ = table["rows"]
    assert (bits["what"], bits["goal"], bits["met"]) == ("runs that have NumPy's bits, of those made", 1, True)
    assert bits["ours"] == bits["theirs"] == str(10 * (5 + len(bench._bfloat16())))
    assert "1e+02 float32" in copy["what"]
    assert "4 starts of Rosenbrock, n = 2" in starts["what"]
    assert all(row["what"] in printed for row in table["rows"])
    assert not table["failed"]


def test_a_part_that_fails_loses_only_itself(monkeypatch, capsys, tmp_path):
    """For want of memory, or because it is refused, or never comes to an end."""

    def no_memory(self, n):
        raise MemoryError("16 GiB are not free\nand more is not said")

    def endless(self):
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(bench, "_torch", lambda: None)
    monkeypatch.setattr(bench.Bench, "_bandwidth", no_memory)
    monkeypatch.setattr(bench.Bench, "_bits", lambda self: self._row("a row", "1", "2", 0.5, 1))
    monkeypatch.setattr(bench.Bench, "_rosenbrock", lambda self: 1 / 0)
    sizes = dataclasses.replace(bench.TINY, arrays=(3, 4))
    assert bench.main(sizes, str(tmp_path / "table.json")) == 1
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["met"] for row in table["rows"]] == [False]
    assert [f["part"] for f in table["failed"]] == ["3e+00 float32", "4e+00 float32", "Rosenbrock"]
    assert table["failed"][0]["why"] == "MemoryError: 16 GiB are not free"
    assert table["failed"][2]["why"] == "ZeroDivisionError: division by zero"
    printed = capsys.readouterr().out
    assert ">= 1  missed" in printed
    assert "3e+00 float32: MemoryError: 16 GiB are not free\n" in printed
    assert bench.main(sizes, only="bits") == 0
    assert bench.main(dataclasses.replace(sizes, limit=0.0), only="bits") == 1
    assert "bits: not begun, for want of time" in capsys.readouterr().out
    monkeypatch.setattr(bench.Bench, "_rosenbrock", endless)
    assert bench.main(dataclasses.replace(sizes, limit=1.0), only="Rosenbrock") == 1
    assert "Rosenbrock: stopped after 1 s, for want of time" in capsys.readouterr().out


@pytest.fixture
def torch_there(monkeypatch):
    """torch of the CPU with the names of its CUDA, where the memory of the GPU is that of the host."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not _cuda.SIMULATED and "cuda_driver" not in sys.modules:
        pytest.skip("on a GPU torch's own CUDA is measured")

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
    # Whose steps on the host are not capturable.
    host.optim = types.SimpleNamespace(Rprop=lambda params, foreach, capturable=False: torch.optim.Rprop(params))
    monkeypatch.setattr(bench, "_torch", lambda: host)
    return torch


def test_with_torch(torch_there, capsys):
    assert bench.main(bench.TINY) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    for name in ("5e+01", "GPT-2 small", "10,000 x 64"):
        assert f"{name}: times faster than torch foreach" in printed
        assert f"{name}: the same, both replayed from CUDA graphs" in printed
    assert "5e+01: times faster than torch.compile" in printed


def test_a_tensor_of_torch_is_stepped_where_it_is(torch_there, rng):
    start, g = rng.standard_normal((2, 4, 6)).astype("f4")
    t = torch_there.from_numpy(start.copy())
    p, q = Parameter(t.T), Parameter(start.T.copy())
    p.grad, q.grad = torch_there.from_numpy(g).T, g.T
    assert p.data is not t
    for x in (p, q):
        Rprop([x]).step()
    assert same_bits(t.numpy().T, q.data)


def test_gpt_2_has_148_parameters():
    assert len(bench.GPT2) == 148
    assert sum(int(np.prod(s)) for s in bench.GPT2) == 124_439_808
