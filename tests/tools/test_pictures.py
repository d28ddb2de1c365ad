"""The pictures that programs leave."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from numgraph.demo import pictures


def test_tiles_stand_in_rows_with_lines_between_them() -> None:
    images = np.arange(5 * 6, dtype="float32").reshape(5, 6)
    whole = pictures.tiles(images, 2, shape=(2, 3), alike=True)
    assert whole.shape == (3 * 3 - 1, 2 * 4 - 1)
    np.testing.assert_array_equal(whole[3:5, 4:7], images[3].reshape(2, 3))
    assert (whole[2] == 0.5).all() and (whole[:, 3] == 0.5).all()
    assert (whole[6:8, 4:7] == 0.5).all()  # there is no sixth image


def test_tiles_are_stretched_each_by_itself() -> None:
    whole = pictures.tiles([[3.0, 5.0], [-1.0, -1.0]], 1, shape=(1, 2))
    np.testing.assert_array_equal(whole, [[0, 1], [0.5, 0.5], [0, 0]])


def test_a_picture_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "drawn.png"
    assert pictures.save(file, {"tiles": pictures.image(np.eye(4)), "line": pictures.curve([3, 2, 1])}, [1.0, 2.0])
    assert file.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"picture: {file}\n"


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert not pictures.save(tmp_path / "none" / "drawn.png", {"line": pictures.curve([1])})
    assert "drawn.png is not written: " in capsys.readouterr().out


def test_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not pictures.save(tmp_path / "drawn.png", {"line": pictures.curve([1])})
    assert "drawn.png is not drawn: that takes matplotlib" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
