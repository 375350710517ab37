"""Checkpoints: loading restores every bit, and a file that is not a checkpoint does no harm."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
import zipfile

import cases
import numpy as np
import pytest

from rprop_ref import Parameter, Rprop, load_checkpoint, lr_scheduler, save_checkpoint
from rprop_ref._common import npz
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

DTYPES = ("float16", "float32", "float64", "complex64", "complex128")


def make(rng, dtypes=DTYPES, steps=3, **options):
    """An optimizer of two groups that has made some steps, and its parameters."""
    shapes = [(3,), (), (2, 4), (0,), (1, 5)]
    params = [Parameter(cases.mixed(rng, cases.dtype_named(d), int(np.prod(s))).reshape(s))
              for d, s in zip(dtypes, shapes)]  # fmt: skip
    named = [(f"p{i}", p) for i, p in enumerate(params)]
    optimizer = Rprop([{"params": named[:2], "lr": 0.5}, {"params": named[2:], "maximize": True}], **options)
    for i in range(steps):
        step(optimizer, i)
    return optimizer, params


def step(optimizer, seed):
    rng = np.random.default_rng(seed)
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = cases.mixed(rng, p.dtype, p.size).reshape(p.shape)
    optimizer.step(loss=1.0)


def contents(optimizer, scheduler=None):
    """Everything that a checkpoint holds, as bytes and text."""
    params = [p for g in optimizer.param_groups for p in g["params"]]
    arrays = [p.data for p in params] + [optimizer.state[p][k] for p in params for k in optimizer.state.get(p, ())]
    return (
        [(a.dtype, a.shape, a.tobytes()) for a in arrays],
        repr(optimizer.state_dict()["param_groups"]),
        scheduler and repr(scheduler.state_dict()),
    )


class TestRoundTrip:
    @pytest.mark.parametrize("variant", RULES)
    def test_a_run_continues_with_the_same_bits(self, tmp_path, rng, variant):
        optimizer, params = make(rng, variant=variant)
        save_checkpoint(tmp_path / "a.npz", optimizer, extra={"epoch": 3})
        other, others = make(np.random.default_rng(1), steps=1)
        assert load_checkpoint(tmp_path / "a.npz", other) == {"epoch": 3}
        assert contents(other) == contents(optimizer)
        for i in range(5):
            step(optimizer, i)
            step(other, i)
        assert contents(other) == contents(optimizer)
        assert all(p.data is not q.data for p, q in zip(params, others))

    @pytest.mark.peers
    def test_bfloat16_comes_back_unchanged(self, tmp_path, rng):
        optimizer, _ = make(rng, ["bfloat16"] * 5)
        save_checkpoint(tmp_path / "a.npz", optimizer)
        other, _ = make(np.random.default_rng(1), ["bfloat16"] * 5, steps=0)
        load_checkpoint(tmp_path / "a.npz", other)
        assert contents(other) == contents(optimizer)

    def test_parameters_are_written_in_place(self, tmp_path):
        p, wide = Parameter(np.array([1.0, 2.0])), np.zeros((2, 2))
        save_checkpoint(tmp_path / "a.npz", Rprop([p]))
        load_checkpoint(tmp_path / "a.npz", Rprop([Parameter(wide[:, 0])]))
        np.testing.assert_array_equal(wide, [[1, 0], [2, 0]])

    @pytest.mark.parametrize(
        "build",
        [
            lambda o: lr_scheduler.StepLR(o, 2),
            lambda o: lr_scheduler.LambdaLR(o, lambda e: 0.5**e),
            lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.LinearLR(o, 0.1), lr_scheduler.ExponentialLR(o, 0.5)], [2]
            ),
        ],
    )
    def test_schedulers(self, tmp_path, rng, build):
        metric = [1.0] if "Plateau" in build.__code__.co_names[1] else []
        optimizer, _ = make(rng)
        scheduler = build(optimizer)
        for _ in range(3):
            step(optimizer, 0)
            scheduler.step(*metric)
        save_checkpoint(tmp_path / "a.npz", optimizer, scheduler)
        other, _ = make(rng)
        again = build(other)
        load_checkpoint(tmp_path / "a.npz", other, again)
        assert contents(other, again) == contents(optimizer, scheduler)
        for o, s in ((optimizer, scheduler), (other, again)):
            step(o, 0)
            s.step(*metric)
        assert contents(other, again) == contents(optimizer, scheduler)

    def test_every_kind_of_plain_value_comes_back(self, tmp_path):
        values = [
            None,
            True,
            False,
            0,
            -(10**30),
            0.1,
            -0.0,
            float("inf"),
            float("nan"),
            1 - 2j,
            complex("nan+infj"),
        ]
        values += ["", "é\ud800", [], (), {}, (1, [2, (3,)]), {1: 2, "a": (None,), (1, 2): [], None: 0, 1.5: 1}]
        values += [np.float32(0.1), np.int8(-3), np.bool_(True), np.complex64(1j), np.float16("nan")]
        save_checkpoint(tmp_path / "a.npz", Rprop([Parameter(np.ones(1))]), extra=values)
        loaded = load_checkpoint(tmp_path / "a.npz", Rprop([Parameter(np.ones(1))]))
        assert repr(loaded) == repr(values)
        assert list(map(type, loaded)) == list(map(type, values))

    def test_arrays_come_back_writable(self, tmp_path, rng):
        arrays = [
            np.arange(6).reshape(2, 3).T,
            np.zeros((0, 3), "u1"),
            np.array(True),
            np.ones(2, ">f8"),
            rng.random(3),
        ]
        save_checkpoint(tmp_path / "a.npz", Rprop([Parameter(np.ones(1))]), extra=arrays)
        loaded = load_checkpoint(tmp_path / "a.npz", Rprop([Parameter(np.ones(1))]))
        for a, b in zip(arrays, loaded):
            assert a.dtype.name == b.dtype.name
            np.testing.assert_array_equal(a, b)
            b[...] = 0

    def test_numpy_reads_the_arrays(self, tmp_path):
        p = Parameter(np.array([1.0, 2.0]))
        save_checkpoint(tmp_path / "a.npz", Rprop([p]))
        with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
            np.testing.assert_array_equal(archive["param.0"], p.data)

    def test_the_same_state_gives_the_same_file(self, tmp_path, rng):
        optimizer, _ = make(rng)
        for name in "ab":
            save_checkpoint(tmp_path / name, optimizer)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_state_dict_hooks_run(self, tmp_path):
        optimizer, other = (Rprop([Parameter(np.ones(1))]) for _ in "ab")
        optimizer.register_state_dict_post_hook(lambda o, d: {**d, "note": "seen"})
        seen = []
        other.register_load_state_dict_pre_hook(lambda o, d: seen.append(d["note"]))
        save_checkpoint(tmp_path / "a.npz", optimizer)
        load_checkpoint(tmp_path / "a.npz", other)
        assert seen == ["seen"]


class TestSavingThatFails:
    @pytest.mark.parametrize("value", [object(), {1, 2}, len, np.array([None]), np.array(["a"]), b"x", range(3)])
    def test_other_objects_are_refused_and_the_old_file_stays(self, tmp_path, value):
        path = tmp_path / "a.npz"
        optimizer = Rprop([Parameter(np.ones(1))])
        save_checkpoint(path, optimizer)
        before = path.read_bytes()
        with pytest.raises(TypeError, match=r"cannot save extra\.a\.1: it is .* lists, tuples and dicts of these"):
            save_checkpoint(path, optimizer, extra={"a": (1, value)})
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.npz"]

    def test_a_full_disk_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "a.npz"
        optimizer = Rprop([Parameter(np.ones(1))])
        save_checkpoint(path, optimizer)
        before = path.read_bytes()

        def full(fd):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(path, Rprop([Parameter(np.zeros(1))]))
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.npz"]

    def test_a_file_keeps_its_permissions(self, tmp_path):
        path = tmp_path / "a.npz"
        path.touch()
        path.chmod(0o600)
        save_checkpoint(os.fsencode(path), Rprop([Parameter(np.ones(1))]))
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_pipe_is_refused_without_waiting_for_it(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for call in (save_checkpoint, load_checkpoint):
            with pytest.raises(ValueError, match="is not a regular file"):
                call(tmp_path / "pipe", Rprop([Parameter(np.ones(1))]))
        assert not (tmp_path / "pipe").is_file()

    @pytest.mark.peers
    def test_dtypes_that_npy_cannot_hold_are_refused(self, tmp_path):
        import ml_dtypes

        with pytest.raises(TypeError, match="cannot save extra"):
            save_checkpoint(
                tmp_path / "a", Rprop([Parameter(np.ones(1))]), extra=np.ones(2, ml_dtypes.float8_e5m2)
            )

    def test_a_missing_folder_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            save_checkpoint(tmp_path / "none" / "a.npz", Rprop([Parameter(np.ones(1))]))

    def test_a_link_is_followed(self, tmp_path):
        (tmp_path / "link").symlink_to("target")
        save_checkpoint(tmp_path / "link", Rprop([Parameter(np.ones(1))]))
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").is_file()


class TestMisfits:
    @pytest.fixture
    def saved(self, tmp_path):
        optimizer, _ = make(np.random.default_rng(0))
        save_checkpoint(tmp_path / "a.npz", optimizer)
        return tmp_path / "a.npz"

    def refused(self, path, optimizer, match, scheduler=None):
        before = contents(optimizer, scheduler)
        with pytest.raises(ValueError, match=match):
            load_checkpoint(path, optimizer, scheduler)
        assert contents(optimizer, scheduler) == before

    def test_parameters_that_differ_are_refused(self, saved, rng):
        self.refused(saved, Rprop([Parameter(np.ones(1))]), "it has 5 parameters, but the optimizer has 1")
        other, params = make(rng)
        params[1].data = np.ones((), "f8")
        self.refused(saved, other, r"its parameter 1 is float32 \(\), but the optimizer's is float64 \(\)")
        other, params = make(rng)
        params[2].data = np.ones((4, 2))
        self.refused(saved, other, r"its parameter 2 is float64 \(2, 4\), but the optimizer's is float64 \(4, 2\)")
        other, params = make(rng)
        params[4].data.flags.writeable = False
        self.refused(saved, other, "parameter 4 of the optimizer is read-only")

    def test_groups_that_differ_are_refused(self, saved, rng):
        _, params = make(rng)
        self.refused(saved, Rprop(params), "loaded state dict has a different number of parameter groups")

    def test_schedulers(self, saved, tmp_path, rng):
        other, _ = make(rng)
        self.refused(saved, other, "saved with scheduler None, but is being loaded into StepLR",
                     lr_scheduler.StepLR(other, 2))  # fmt: skip
        save_checkpoint(tmp_path / "b.npz", other, lr_scheduler.StepLR(other, 2))
        self.refused(tmp_path / "b.npz", other, "saved with scheduler StepLR, but is being loaded into None")
        chain = [lr_scheduler.StepLR(other, 2), lr_scheduler.ConstantLR(other)]
        save_checkpoint(tmp_path / "c.npz", other, lr_scheduler.ChainedScheduler(chain))
        self.refused(tmp_path / "c.npz", other, "saved with a ChainedScheduler of different parts",
                     lr_scheduler.ChainedScheduler(chain[:1]))  # fmt: skip

    def test_a_path_that_is_no_file_is_refused(self, tmp_path):
        optimizer = Rprop([Parameter(np.ones(1))])
        with pytest.raises(FileNotFoundError):
            load_checkpoint(tmp_path / "none", optimizer)
        with pytest.raises((IsADirectoryError, PermissionError)):
            load_checkpoint(tmp_path, optimizer)
        self.refused(os.devnull, optimizer, "is not a regular file")

    def test_other_kinds_and_later_versions_are_refused(self, tmp_path):
        path, optimizer = tmp_path / "a.npz", Rprop([Parameter(np.ones(1))])
        npz.write(path, "trace", 1, {})
        self.refused(path, optimizer, "is an rprop_ref trace, not a checkpoint")
        npz.write(path, "checkpoint", 2, {})
        self.refused(
            path, optimizer, "has version 2 of the format, but this rprop_ref reads only versions up to 1"
        )
        np.savez(path, a=np.ones(2))
        self.refused(path, optimizer, "has no manifest.json")
        path.write_bytes(b"")
        self.refused(path, optimizer, "is damaged, or is not an rprop_ref checkpoint")

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t.pop("param"),
            lambda t: t.update(param=3),
            lambda t: t.update(param=[1, 2, 3, 4, 5]),
            lambda t: t.update(optimizer=[]),
            lambda t: t["optimizer"].pop("state"),
            lambda t: t["optimizer"].update(state=[1]),
            lambda t: t["optimizer"]["state"].update({0: 3}),
            lambda t: t["optimizer"]["state"][0].pop("step"),
            lambda t: t["optimizer"]["state"][2].update(prev=np.ones((4, 2))),
            lambda t: t["optimizer"]["state"][2].update(step=np.ones(3, "f4")),
            lambda t: t["optimizer"].update(param_groups={}),
            lambda t: t["optimizer"]["param_groups"].pop(),
            lambda t: t["optimizer"]["param_groups"][0].update(params=[0]),
            lambda t: t["optimizer"]["param_groups"][0].update(params=None),
            lambda t: t["optimizer"]["param_groups"][0].update(variant="rprop"),
            lambda t: t.update(scheduler=["StepLR", {}]),
            lambda t: t.update(scheduler=7),
        ],
    )
    def test_wrong_contents_with_the_right_digest_are_refused(self, saved, rng, change):
        """Somebody who knows the format can write any contents; they must fit or be refused."""
        tree = npz.read(saved, "checkpoint", 1)
        change(tree)
        npz.write(saved, "checkpoint", 1, tree)
        self.refused(saved, make(rng)[0], "cannot load ")


class Callable:
    """A factor with a value that is saved."""

    def __init__(self, value):
        self.value = value

    def __call__(self, epoch):
        return self.value**epoch


class TestFailuresWhileLoading:
    def test_a_scheduler_that_refuses_its_state_is_restored(self, tmp_path, rng):
        optimizer, _ = make(rng)
        scheduler = lr_scheduler.LambdaLR(optimizer, Callable(0.5))
        path = tmp_path / "a.npz"
        save_checkpoint(path, optimizer, scheduler)
        tree = npz.read(path, "checkpoint", 1)
        tree["scheduler"][1]["lr_lambdas"] = [{"value": 0.1}, 3]
        npz.write(path, "checkpoint", 1, tree)
        other, _ = make(np.random.default_rng(5), steps=1)
        factors = [Callable(0.7), Callable(0.7)]
        again = lr_scheduler.LambdaLR(other, factors)
        before = contents(other, again)
        with pytest.raises(ValueError, match="cannot load"):
            load_checkpoint(path, other, again)
        assert contents(other, again) == before
        assert factors[0].value == 0.7

    def test_an_optimizer_whose_hook_raises_is_restored(self, tmp_path, rng):
        optimizer, _ = make(rng)
        save_checkpoint(tmp_path / "a.npz", optimizer)
        other, _ = make(np.random.default_rng(5), steps=1)
        other.register_load_state_dict_post_hook(lambda o: 1 / 0)
        before = contents(other)
        with pytest.raises(ZeroDivisionError):
            load_checkpoint(tmp_path / "a.npz", other)
        assert contents(other) == before


class Bomb:
    """Records that it was unpickled."""

    went_off = False

    def __reduce__(self):
        return Bomb._go_off, ()

    @staticmethod
    def _go_off():
        Bomb.went_off = True
        return np.zeros(1)


def zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(m.filename, archive.read(m)) for m in archive.infolist()]


def npy(header, body=b""):
    """An npy file with any header."""
    text = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def truncated(rng, content):
    return content[: rng.integers(len(content))]


def flipped(rng, content):
    flipped = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        flipped[rng.integers(len(flipped))] ^= 1 << rng.integers(8)
    return bytes(flipped)


def flipped_inside(rng, content):
    """A flipped bit in a member of an archive that is otherwise valid."""
    members = members_of(content)
    i = rng.integers(len(members))
    name, inner = members[i]
    members[i] = (name, flipped(rng, inner))
    return zipped(members)


def garbled(rng, content):
    start = rng.integers(len(content))
    noise = rng.integers(0, 256, rng.integers(1, 200)).astype("u1").tobytes()
    return content[:start] + noise + content[start + rng.integers(0, 200) :]


def wrong_shape(rng, content):
    members = members_of(content)
    i = rng.integers(1, len(members))
    array = np.load(io.BytesIO(members[i][1]))
    shape = [(3, 3), (0,), (10**12,), (2**62, 4), (-1,), (array.size + 1,)][rng.integers(6)]
    header = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    members[i] = (members[i][0], npy(header, array.tobytes()))
    return zipped(members)


def odd_header(rng, content):
    members = members_of(content)
    i = rng.integers(1, len(members))
    header = ["(" * 5000, "{}", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "__import__('os')",
              "{'descr': [('a', '<f8', (10**9,))], 'fortran_order': False, 'shape': (), }"][rng.integers(5)]  # fmt: skip
    members[i] = (members[i][0], npy(header, b"\0" * 64))
    return zipped(members)


def pickled(rng, content):
    members = members_of(content)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    i = rng.integers(1, len(members))
    members[i] = (members[i][0], [buffer.getvalue(), pickle.dumps(Bomb())][rng.integers(2)])
    return [zipped(members), pickle.dumps(Bomb()), buffer.getvalue()][rng.integers(3)]


def bomb_of_zeros(rng, content):
    """Kilobytes that unpack to megabytes."""
    members = members_of(content)
    i = rng.integers(len(members))
    return zipped([*members[:i], (members[i][0], bytes(3_000_000)), *members[i + 1 :]], zipfile.ZIP_DEFLATED)


def declared_too_large(rng, content):
    """Sizes in the central directory that differ from those of the members."""
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x05\x06"))
    size = int(rng.choice([2**30, 2**31, 2**32 - 2, len(content) + 1, 10**9])).to_bytes(4, "little")
    old = content[entry + 20 : entry + 28]
    sizes = [size * 2, size + old[4:], old[:4] + size][rng.integers(3)]  # packed, unpacked
    return content[: entry + 20] + sizes + content[entry + 28 :]


def path_tricks(rng, content):
    members = members_of(content)
    i = rng.integers(len(members))
    name = [
        "../../evil.npy",
        "/tmp/evil.npy",
        "C:\\evil.npy",
        "a/../../b",
        members[0][0],
        "",
        "\0.npy",
        "x" * 60000,
    ]
    new = (name[rng.integers(len(name))], members[i][1])
    return zipped([*members, new] if rng.random() < 0.5 else [*members[:i], new, *members[i + 1 :]])


MUTATIONS = [truncated, flipped, flipped_inside, garbled, wrong_shape, odd_header, pickled, bomb_of_zeros,
             declared_too_large, path_tricks]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    "mutate", cases.sampled(MUTATIONS, [truncated, flipped_inside, bomb_of_zeros, path_tricks])
)
def test_mutated_files_are_refused_or_hold_what_was_saved(tmp_path, mutate):
    optimizer, _ = make(np.random.default_rng(0))
    path = tmp_path / "a.npz"
    save_checkpoint(path, optimizer, extra={"epoch": 3})
    content, saved = path.read_bytes(), contents(optimizer)
    other, _ = make(np.random.default_rng(1), steps=1)
    untouched = contents(other)
    rng = np.random.default_rng(7)
    refused = 0
    Bomb.went_off = False
    for i in range(100):
        changed = mutate(rng, content)
        path.write_bytes(changed)
        tracemalloc.start()
        try:
            extra = load_checkpoint(path, other)
        except ValueError as error:
            assert repr(str(path)) in str(error)
            assert contents(other) == untouched, i
            refused += 1
        else:
            assert contents(other) == saved, i
            assert extra == {"epoch": 3}
            other, _ = make(np.random.default_rng(1), steps=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 500_000 + 10 * len(changed), i
        assert os.listdir(tmp_path) == ["a.npz"]
    assert not Bomb.went_off
    assert refused > 80 or mutate is flipped  # many bits of an archive, such as dates, do not matter


def test_the_bomb_goes_off_when_it_is_unpickled():
    pickle.loads(pickle.dumps(Bomb()))
    assert Bomb.went_off


def test_nan_payloads_are_kept(tmp_path):
    x = np.array([0x7FF8DEADBEEF0001], "u8").view("f8")
    save_checkpoint(tmp_path / "a.npz", Rprop([Parameter(x)]))
    y = np.zeros(1)
    load_checkpoint(tmp_path / "a.npz", Rprop([Parameter(y)]))
    assert x.tobytes() == y.tobytes()
    assert same_bits(x, y)
