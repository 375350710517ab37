"""Conformance vectors: they replay, and a published version never changes."""

from __future__ import annotations

import hashlib
import json

import naive
import numpy as np
import pytest

from rprop_ref import crosscheck
from rprop_ref.bits import same_bits

#: The content of version 2. A published version never changes: if this test fails, make a new version.
VERSION_2 = {
    "irprop-.float64.json": "00727f4c57f143839b1a0d54d49a56895461e3a1edad14fa328a12f9e15b9ea8",
    "rprop+.float32.json": "b3999a49223c6bd7cff5d6c641fe8046e71888a26ae42b5903e26eaeffb0e9f0",
    "irprop+.float16.json": "74da1362459aa2c55541e440cc55addc06b90f9e1da4e2bedc403c4c5533df36",
}


def test_the_oracle_reproduces_the_vectors(tmp_path):
    for file in crosscheck.export(tmp_path / "vectors", "rprop+", ["float64", "float32"]):
        content = json.loads(file.read_text())
        kind = np.dtype(content["dtype"])
        assert content["version"] == 2

        def numbers(texts, kind=kind):
            return np.array([float.fromhex(t) for t in texts], kind)

        replayed = 0
        for case in content["cases"]:
            assert case["reason"]
            if set(case["needs"]) & {"set", "lr per coordinate", "bounds"}:
                continue
            grads = [None if s["grad"] is None else numbers(s["grad"]) for s in case["steps"]]
            states = naive.run(
                content["rule"], numbers(case["x0"]), grads, lr=float.fromhex(case["lr"]),
                etas=tuple(numbers(case["etas"], float)), step_sizes=tuple(numbers(case["step_sizes"], float)),
                maximize=case["maximize"],
            )  # fmt: skip
            for (x, prev, size), step in zip(states, case["steps"], strict=True):
                assert same_bits(x, numbers(step["x"]))
                assert same_bits(prev, numbers(step["prev"]))
                assert same_bits(size, numbers(step["step_size"]))
            replayed += 1
        assert replayed > 35


@pytest.mark.parametrize("name", VERSION_2)
def test_a_published_version_never_changes(name, tmp_path):
    claim, dtype, _ = name.rsplit(".", 2)
    (file,) = crosscheck.export(tmp_path, claim, [dtype])
    assert file.name == name
    assert hashlib.sha256(file.read_bytes()).hexdigest() == VERSION_2[name]
