"""Arrays and state dicts of other libraries."""

from __future__ import annotations

import array
import copy

import cases
import numpy as np
import pytest
from tensors import from_torch, to_torch

from rprop_ref import Parameter, Rprop, interop, rprop
from rprop_ref.bits import same_bits

NUMBERS = {"step_size_min": 1e-6, "step_size_max": 50, "etaminus": 0.5, "etaplus": 1.2}


def test_arrays_of_the_standard_library():
    x, g, prev, size = (array.array("d", v) for v in ([1, 2], [1, -1], [0, 0], [0.5, 0.5]))
    rprop([x], [g], [prev], [size], [np.zeros((), "f4")], **NUMBERS)
    assert list(x) == [0.5, 2.5]
    assert list(prev) == [1, -1]


@pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, None, "ab"])
def test_objects_without_a_buffer_are_refused(value):
    with pytest.raises(TypeError, match="it has neither DLPack nor the buffer protocol"):
        interop.as_array(value)


def test_a_numpy_array_is_returned_itself():
    a = np.ones(2)
    assert interop.as_array(a) is a


def test_a_rule_that_torch_lacks_is_not_exported():
    o = Rprop([Parameter(np.ones(1))], variant="rprop+")
    with pytest.raises(ValueError, match=r"torch has only the rule 'irprop-'.*'rprop\+'"):
        interop.state_dict_to_torch(o.state_dict())


@pytest.mark.peers
class TestTorch:
    @pytest.fixture
    def torch(self):
        import torch

        return torch

    @pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
    def test_tensors_are_stepped_in_place(self, torch, dtype, rng):
        dtype = np.dtype(dtype)
        arrays = [cases.mixed(rng, dtype, 12).reshape(3, 4) for _ in range(4)]
        tensors = [torch.from_numpy(a.copy()) for a in arrays]
        counters = np.zeros((), "f4"), torch.zeros(())
        for x, count in ((arrays, counters[0]), (tensors, counters[1])):
            rprop(*([a] for a in x), [count], **NUMBERS)
        for mine, other in zip(arrays, tensors):
            assert same_bits(mine, other.numpy())
        assert counters[1].item() == 1

    def test_strided_tensors_are_stepped_in_place(self, torch):
        x = torch.zeros(4, 3)
        rprop([x.T], [torch.ones(3, 4)], [torch.zeros(3, 4)], [torch.ones(3, 4)], [torch.zeros(())], **NUMBERS)
        assert torch.equal(x, -torch.ones(4, 3))

    def test_a_negative_bit_is_refused(self, torch):
        negative = torch.complex(torch.zeros(3), torch.ones(3)).conj().imag
        with pytest.raises(TypeError, match=r"negative bit is set; pass tensor.resolve_neg\(\)"):
            interop.as_array(negative)
        np.testing.assert_array_equal(interop.as_array(negative.resolve_neg()), -np.ones(3))

    def test_tensors_that_cannot_be_viewed_are_refused_with_advice(self, torch):
        for tensor in (
            torch.ones(2, requires_grad=True),
            torch.ones(2, dtype=torch.bfloat16),
            torch.ones(2).to_sparse(),
            torch.ones(2, device="meta"),
        ):
            with pytest.raises(
                TypeError, match=r"cannot view a torch.Tensor as a NumPy array: .*tensor.detach\(\)"
            ):
                interop.as_array(tensor)

    @pytest.mark.parametrize("dtype", ["bfloat16", *cases.DTYPES])
    @pytest.mark.parametrize("direction", ["from torch", "to torch"])
    def test_a_run_continues_in_the_other_library_with_the_same_bits(self, torch, dtype, direction, rng):
        dtype = cases.dtype_named(dtype)
        starts = [cases.mixed(rng, dtype, n).reshape(s) for n, s in ((6, (2, 3)), (1, ()), (5, (5,)))]
        mine = [Parameter(s.copy()) for s in starts]
        theirs = [torch.nn.Parameter(to_torch(s)) for s in starts]
        options = {"lr": 0.1, "etas": (0.6, 1.3), "step_sizes": (1e-4, 2.0)}
        groups = [slice(0, 2), slice(2, 3)]
        ours = Rprop([{"params": mine[g]} for g in groups], **options)
        other = torch.optim.Rprop([{"params": theirs[g]} for g in groups], **options)

        def steps(first, second, count):
            for _ in range(count):
                for i, start in enumerate(starts):
                    grad = cases.mixed(rng, dtype, start.size).reshape(start.shape)
                    mine[i].grad, theirs[i].grad = grad, to_torch(grad)
                first.step()
                if second is not None:
                    second.step()

        if direction == "from torch":
            steps(other, None, 7)
            saved = copy.deepcopy(other.state_dict())
            ours.load_state_dict(interop.state_dict_from_torch(saved))
            for p, q in zip(mine, theirs):
                p.data[...] = from_torch(q)
        else:
            steps(ours, None, 7)
            other.load_state_dict(interop.state_dict_to_torch(ours.state_dict()))
            with torch.no_grad():
                for p, q in zip(mine, theirs):
                    q.copy_(to_torch(p.data))
        steps(ours, other, 20)
        for p, q in zip(mine, theirs):
            assert same_bits(p.data, from_torch(q))
            for key in ("step", "prev", "step_size"):
                assert same_bits(ours.state[p][key], from_torch(other.state[q][key]))
        back = interop.state_dict_from_torch(other.state_dict())
        assert repr(back["param_groups"]) == repr(ours.state_dict()["param_groups"])

    def test_a_group_that_names_torchs_own_rule_is_exported(self):
        o = Rprop([{"params": [Parameter(np.ones(1))], "variant": "irprop-"}], variant="rprop+")
        (group,) = interop.state_dict_to_torch(o.state_dict())["param_groups"]
        assert "variant" not in group

    def test_a_tensor_learning_rate_becomes_a_number(self, torch):
        other = torch.optim.Rprop([torch.nn.Parameter(torch.ones(1))], lr=torch.tensor(0.5))
        assert interop.state_dict_from_torch(other.state_dict())["param_groups"][0]["lr"] == 0.5
