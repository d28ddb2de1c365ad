"""`save` and `load`: what comes back, and that a failure changes neither files nor variables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import NumgraphError
from numgraph.types import COMPLEX, DTYPES

FORMATS = [".npz", ".safetensors"]
needs = pytest.mark.parametrize("suffix", FORMATS)


@pytest.fixture(autouse=True)
def packages(request: pytest.FixtureRequest) -> None:
    if ".safetensors" in request.node.name:
        pytest.importorskip("safetensors")


def values(suffix: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = {
        f"of {d}": (rng.normal(size=(2, 3)) * 100).astype(d) for d in DTYPES if suffix == ".npz" or d not in COMPLEX
    }
    found |= {"a scalar": np.float32(1.5), "empty": np.zeros((0, 4)), "one": np.ones((1,), "float32")}
    found |= {
        "file": np.array([np.nan, np.inf, -np.inf, -0.0]),
        "self": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    return found | {"W/0.weight ü": np.array([1.0])}


@needs
def test_values_come_back(suffix: str, tmp_path: Path, target: str) -> None:
    saved = {name: ng.shared(v, name=name) for name, v in values(suffix).items()}
    path = tmp_path / f"model{suffix}"
    ng.save(path, saved)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    other = {name: ng.shared(np.zeros_like(v)) for name, v in values(suffix).items()}
    total = ng.function([], ng.sum(other["file"][3:] + other["one"][0]))
    ng.load(str(path), other)
    for name, v in values(suffix).items():
        got = other[name].get_value()
        assert got.dtype == v.dtype and got.tobytes() == np.ascontiguousarray(v).tobytes(), name
    # a function that was made before sees them
    assert total() == 1.0


def test_other_programs_read_and_write_the_files(tmp_path: Path) -> None:
    w = ng.shared(np.arange(3.0), name="w")
    ng.save(tmp_path / "a.npz", [w])
    with np.load(tmp_path / "a.npz") as found:
        assert found.files == ["w"] and found["w"].tolist() == [0, 1, 2]
    np.savez_compressed(tmp_path / "b.npz", w=np.array([5, 6, 7], "int32"), other=np.zeros(2))
    # int32 fits float64; what is not asked for stays there
    ng.load(tmp_path / "b.npz", w)
    assert w.get_value().tolist() == [5, 6, 7]
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"w": np.array([8.0, 9.0, 10.0])}, tmp_path / "c.safetensors")
    ng.load(tmp_path / "c.safetensors", {"w": w})
    assert w.get_value().tolist() == [8, 9, 10]
    ng.save(tmp_path / "d.safetensors", w)
    assert numpy.load_file(tmp_path / "d.safetensors")["w"].tolist() == [8, 9, 10]


@needs
def test_training_goes_on_where_it_was(suffix: str, tmp_path: Path) -> None:
    """Parameters and states of a method are saved as the updates of a function."""

    def trained() -> tuple[Any, Any, Any]:
        w = ng.shared(np.ones(4), name="w")
        updates = ng.optim.adam(ng.sum(ng.tanh(w) ** 2), w, ng.optim.cosine_decay(0.1, 20))
        return w, updates, ng.function([], updates=updates)

    w, updates, step = trained()
    for _ in range(5):
        step()
    ng.save(tmp_path / f"x{suffix}", updates)
    step()
    again, other, resumed = trained()
    ng.load(tmp_path / f"x{suffix}", dict(other))
    resumed()
    np.testing.assert_array_equal(again.get_value(), w.get_value())


def test_complex_numbers_are_in_npz_alone(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(ng.DtypeError, match=r"z has dtype complex128(.|\n)*fix: write .npz"):
        ng.save(tmp_path / "z.safetensors", {"z": ng.shared(np.ones(2, complex))})


BAD = {
    "another shape": ({"b": np.zeros(3)}, ng.ShapeError, r"b has shape \(3,\) in .*, and b has \(2,\)\n  b: float64"),
    "a loss": ({"b": np.zeros(2, "complex64")}, ng.DtypeError, "b: "),
    "too wide": ({"a": np.zeros((2, 2))}, ng.DtypeError, "dtype float64 .* dtype float32 without loss"),
    "a name": ({"c": np.zeros(2), "b": None}, ng.FileError, "has no b\n  it has: a, c"),
    "near": ({"bb": np.zeros(2), "b": None}, ng.FileError, "has no b\n  fix: did you mean bb"),
}


@needs
@pytest.mark.parametrize("case", BAD)
def test_a_failed_load_changes_nothing(suffix: str, case: str, tmp_path: Path) -> None:
    changed, kind, said = BAD[case]
    if case == "a loss" and suffix != ".npz":
        pytest.skip("the format has no such dtype here")
    arrays = {"a": np.full((2, 2), 7, "float32"), "b": np.full(2, 7.0)} | changed
    path = tmp_path / f"bad{suffix}"
    written = {k: v for k, v in arrays.items() if v is not None}
    if suffix == ".npz":
        np.savez(path, **written)
    else:
        pytest.importorskip("safetensors.numpy").save_file(written, path)
    a, b = ng.shared(np.ones((2, 2), "float32"), name="a"), ng.shared(np.ones(2), name="b")
    with pytest.raises(kind, match=said):
        ng.load(path, [a, b])
    assert (a.get_value() == 1).all() and (b.get_value() == 1).all()


@needs
def test_damaged_files(suffix: str, tmp_path: Path) -> None:
    w = ng.shared(np.arange(1000.0), name="w")
    path = tmp_path / f"x{suffix}"
    ng.save(path, w)
    whole = path.read_bytes()
    for text in (b"", b"not a file", whole[:100], whole[:-200], whole[200:]):
        path.write_bytes(text)
        with pytest.raises(ng.FileError, match=f"cannot be read as {suffix}"):
            ng.load(path, w)
    with pytest.raises(FileNotFoundError):
        ng.load(tmp_path / f"y{suffix}", w)
    np.testing.assert_array_equal(w.get_value(), np.arange(1000.0))


@needs
def test_changed_bytes(suffix: str, tmp_path: Path) -> None:
    # each byte of what describes the file: methods and versions of archives that no program has, passwords, places
    w = ng.shared(np.arange(3.0), name="w")
    path = tmp_path / f"x{suffix}"
    ng.save(path, w)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for change in (0x01, 0x40, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
            try:
                ng.load(path, w)
            except NumgraphError:
                np.testing.assert_array_equal(w.get_value(), np.arange(3.0))
            w.set_value(np.arange(3.0))


def test_names_that_end_as_members_of_an_archive(tmp_path: Path) -> None:
    a, b = ng.shared(np.arange(2.0), name="x"), ng.shared(np.arange(2.0, 4.0), name="x.npy")
    ng.save(tmp_path / "x.npz", [a, b])
    a.set_value(np.zeros(2))
    b.set_value(np.zeros(2))
    ng.load(tmp_path / "x.npz", [a, b])
    np.testing.assert_array_equal(a.get_value(), [0.0, 1.0])
    np.testing.assert_array_equal(b.get_value(), [2.0, 3.0])


def test_a_dtype_that_numpy_has_not(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    header = b'{"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}'
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ng.FileError, match="bfloat16"):
        ng.load(tmp_path / "x.safetensors", ng.shared(np.zeros(2), name="w"))


def test_what_is_no_archive_of_arrays(tmp_path: Path) -> None:
    w = ng.shared(np.arange(2.0), name="w")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros(2))
    with pytest.raises(ng.FileError, match="is one array, without a name"):
        ng.load(tmp_path / "one.npz", w)
    np.savez(tmp_path / "objects.npz", w=np.array([object()]))
    with pytest.raises(ng.FileError, match=r"cannot be read as \.npz"):
        ng.load(tmp_path / "objects.npz", w)


@needs
def test_a_failed_save_leaves_the_file(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w, path = ng.shared(np.arange(3.0), name="w"), tmp_path / f"x{suffix}"
    ng.save(path, w)
    before = path.read_bytes()

    def fail(*args: Any, **named: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    if suffix == ".safetensors":
        monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        ng.save(path, w)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "sub" / "real.npz")
    ng.save(tmp_path / "link.npz", ng.shared(1.0, name="w"))
    assert (tmp_path / "link.npz").is_symlink() and (tmp_path / "sub" / "real.npz").is_file()


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w, plain = ng.shared(np.zeros(2), name="w"), ng.shared(1.0)
    twin, path = ng.shared(np.zeros(3), name="w"), tmp_path / "x.npz"
    for work in (ng.save, ng.load):
        for given, kind, said in [
            ([plain], ng.InputError, "a variable has no name\n.*\n  fix: name it, ng.shared"),
            ([w, twin], ng.InputError, r"two variables are named w\n  w: float64\[\?\]"),
            ([ng.vector("x")], ng.InputError, "shared variables are needed, got\n  x: float64"),
            ({"w": 3.0}, ng.InputError, "shared variables are needed, got 3.0"),
            ({3: w}, ng.InputError, "a variable has no name"),
        ]:
            with pytest.raises(kind, match=said):
                work(path, given)
        with pytest.raises(ng.OptionError, match=r"x\.pkl must end with one of \.npz, \.safetensors"):
            work(tmp_path / "x.pkl", w)
        monkeypatch.setitem(sys.modules, "safetensors", None)
        with pytest.raises(ImportError, match="take the package safetensors\n  fix: pip install safetensors"):
            work(tmp_path / "x.safetensors", w)
    with pytest.raises(FileNotFoundError, match=r"there is no such folder.*missing'$"):
        ng.save(tmp_path / "missing" / "x.npz", w)
    assert not list(tmp_path.iterdir())
