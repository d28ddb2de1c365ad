"""`theano.config`: the settings that mean something here, and all the others, which are kept and have no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from numgraph.config import config as settings
from numgraph.config import theano_flags

# Settings of Theano that are settings here; read and written where they are, at each use.
SHARED = ("floatX", "on_unused_input", "profile")
# What programs read, and its value until they set it.
_DEFAULTS: dict[str, Any] = {
    "device": "cpu", "force_device": False, "init_gpu_device": "", "mode": "Mode", "optimizer": "fast_run",
    "linker": "cvm", "profile_memory": False, "profile_optimizer": False, "compute_test_value": "off",
    "compute_test_value_opt": "off", "exception_verbosity": "low", "allow_gc": True, "openmp": False,
    "cast_policy": "custom", "int_division": "int", "base_compiledir": "", "compiledir": "", "cxx": "",
    "warn_float64": "ignore", "print_active_device": True, "optimizer_verbose": False, "optimizer_excluding": "",
    "optimizer_including": "", "deterministic": "default", "reoptimize_unpickled_function": False,
    "unpickle_function": True, "nocleanup": False, "ignore_bug_before": "0.9",
    "experimental.unpickle_gpu_on_cpu": False,
    "lib.cnmem": 0.0, "gcc.cxxflags": "", "blas.ldflags": "", "nvcc.fastmath": False, "nvcc.flags": "",
    "dnn.enabled": "False", "scan.allow_gc": False, "scan.allow_output_prealloc": True, "gpuarray.preallocate": -1.0,
    "traceback.limit": 8, "tensor.cmp_sloppy": 0, "numpy.seterr_all": "ignore", "DebugMode.check_py": True,
    "NanGuardMode.nan_is_error": True, "NanGuardMode.inf_is_error": True, "NanGuardMode.big_is_error": True,
    "cuda.root": "", "conv.assert_shape": False, "warn.subtensor_merge_bug": False, "warn.ignore_bug_before": "0.9",
    "cmodule.mac_framework_link": False, "metaopt.verbose": 0,
}  # fmt: skip
_GROUPS = frozenset(name.partition(".")[0] for name in _DEFAULTS if "." in name)


class Flags:
    """Theano's settings as attributes, in groups such as `config.warn`.

    floatX, on_unused_input and profile are numgraph's. Every other one may be set to anything, and has no effect.
    Reading one that nobody has set and that has no usual value is an AttributeError; those of `warn` are False.
    """

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self.__dict__.update(_values=values, _prefix=prefix)

    def __getattr__(self, name: str) -> Any:
        full = self._prefix + name
        if full in SHARED:
            return getattr(settings, full)
        if full in self._values:
            return self._values[full]
        if full in _GROUPS or any(key.startswith(full + ".") for key in self._values):
            return Flags(self._values, full + ".")
        if full.startswith("warn."):
            # each names a bug of an older version, of which nobody is to be warned
            return False
        raise AttributeError(f"theano.config.{full} is not set, and numgraph does not know it")

    def __setattr__(self, name: str, value: Any) -> None:
        full = self._prefix + name
        if full in SHARED:
            setattr(settings, full, _meant(full, value))
        else:
            self._values[full] = value

    def __repr__(self) -> str:
        """The settings, one per line."""
        mine = {name: getattr(settings, name) for name in SHARED} if not self._prefix else {}
        shown = mine | {k: v for k, v in self._values.items() if k.startswith(self._prefix)}
        return "\n".join(f"{name} = {value!r}" for name, value in sorted(shown.items()))

    @contextmanager
    def change_flags(
        self, _flags: dict[str, Any] | Iterable[tuple[str, Any]] | None = None, **flags: Any
    ) -> Iterator[None]:
        """Other values within a `with` block or a decorated function; `change_flags({"warn.x": False}, floatX=...)`,
        or with a list of pairs."""
        wanted = {**dict(_flags or {}), **flags}
        absent = object()
        old = {name: getattr(settings, name) if name in SHARED else self._values.get(name, absent) for name in wanted}
        try:
            for name, value in wanted.items():
                _set(self, name, value)
            yield
        finally:
            for name, value in old.items():
                if value is absent:
                    self._values.pop(name, None)
                else:
                    _set(self, name, value)


def _set(flags: Flags, name: str, value: Any) -> None:
    """Set `warn.x` or `x`."""
    if name in SHARED:
        setattr(settings, name, _meant(name, value))
        return
    flags._values[name] = value
    if name == "compute_test_value":
        settings.test_values = str(value) != "off"


def _meant(name: str, value: Any) -> Any:
    """A setting's value as numgraph has it: Theano's truths are also 1 and "1"."""
    return str(value).lower() in ("1", "true") if name == "profile" else value


def parsed(text: str) -> dict[str, str]:
    """`floatX=float32,device=gpu` as a dict; ValueError for what is no list of assignments."""
    found = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"THEANO_FLAGS: expected name=value, got {part!r}")
        found[name.strip()] = value.strip()
    return found


_VALUES: dict[str, Callable[[str], Any]] = {
    "True": lambda _: True, "true": lambda _: True, "False": lambda _: False, "false": lambda _: False,
}  # fmt: skip


def from_environment() -> Flags:
    """Theano's settings with what the environment variable THEANO_FLAGS says."""
    flags = Flags(dict(_DEFAULTS))
    for name, text in parsed(theano_flags()).items():
        _set(flags, name, _VALUES.get(text, str)(text))
    return flags


config = from_environment()
