"""The record of a compiled function: everything that the inspector shows, as plain data.

The compiler fills one `FunctionRecord`; the terminal and every later face read it and nothing else, so that they cannot
disagree. What is costly to make (LLVM IR, assembly, the explanation) is given as a callable and made when first read.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numgraph.inspector.machinecode import CodeRecord, annotated
from numgraph.inspector.making import Making

if TYPE_CHECKING:
    from numgraph.explain.explanation import Explanation

# The stages in the order in which a function passes through them.
STAGES = ("graph", "givens", "schedule", "explain", "loops", "source", "listing", "llvm", "asm", "ptx", "sass")
# The language of a stage's text, as a syntax highlighter names it.
LANGUAGES = {"source": "python", "listing": "python", "llvm": "llvm", "asm": "gas"}
# Written into the JSON; a reader refuses another number.
FORMAT = 5
# The name of a function that was given none.
UNNAMED = "function"

Text = str | Callable[[], str]


class Stages(MutableMapping[str, str]):
    """Stage name -> text. A callable given as a text is called once, when the text is first read.

    The names are those of `STAGES`, and iteration follows their order; KeyError for another name.
    """

    def __init__(self, texts: dict[str, Text] | None = None) -> None:
        self._texts: dict[str, Text] = {}
        for name, text in (texts or {}).items():
            self[name] = text

    def __setitem__(self, name: str, text: Text) -> None:
        if name not in STAGES:
            raise KeyError(f"{name!r} is not a stage; the stages are {', '.join(STAGES)}")
        self._texts[name] = text

    def __getitem__(self, name: str) -> str:
        text = self._texts[name]
        if not isinstance(text, str):
            text = self._texts[name] = text()
        return text

    def __delitem__(self, name: str) -> None:
        del self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in STAGES if name in self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        made = [name if isinstance(self._texts[name], str) else f"({name})" for name in self]
        return f"<stages {' '.join(made)}>"


@dataclass
class ValueRecord:
    """An argument, a result or a resident array.

    type: dtype and lengths, `float32[?,784]`. line: where the user made it, `train.py:34 in loss`, or empty.
    nbytes: size in bytes at compile time; None where a length is known only at the call.
    """

    name: str
    type: str
    line: str = ""
    nbytes: int | None = None


@dataclass
class PairRecord:
    """A pair of `givens` or `updates`: what is replaced or updated, and the expression, each as text; or what a
    gradient is that these are made of."""

    target: str
    expression: str
    type: str = ""
    line: str = ""


@dataclass
class PassRecord:
    """One pass of the compiler, over all its runs for a function: a build that ends in a contradiction is made again.

    made: what the last run made, in numbers ("nodes", "loops", "lines", ...).
    """

    name: str
    seconds: float = 0.0
    runs: int = 0
    made: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> str:
        """`33 nodes, 3 rounds`."""
        return ", ".join(f"{count} {what}" for what, count in self.made.items())

    def __str__(self) -> str:
        again = f", {self.runs} times" if self.runs > 1 else ""
        return f"{self.name:<18} {1e3 * self.seconds:9.3f} ms{again}  {self.counts}".rstrip()


@dataclass
class PhaseRecord:
    """One step of the schedule.

    kind: what it is ("scalars", "loops", "product", "kernel", ...). loops: lengths of its loop nest, outermost first,
    as they stand in the source. flops, bytes: work and memory traffic of one call, estimated with windows at full
    length; None where a length has no bound. reads, writes: names of the buffers.
    """

    name: str
    kind: str
    loops: list[str] = field(default_factory=list)
    statements: int = 0
    flops: int | None = None
    bytes: int | None = None
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)


@dataclass
class FunctionRecord:
    """What is known about one compiled function.

    name: as given to `function`, or where it was called. line: the user's line. target: where it runs. resident: the
    shared and constant arrays that it reads or writes. passes: of the compiler, in order, those that made the variant
    in use. dtypes: number of graph nodes of each dtype. cache_path: the generated file ("" when there is none).
    versions: of numgraph, Python, NumPy, and what compiled the code; "processor" is the one that it is for.
    compile_seconds: time to compile it, or where `cached` to load machine code. explanation: what a call costs, or
    what makes that when `explained` first asks; None where nothing is compiled. making: how it was made, or what
    makes that when `made` first asks. code: by stage, machine code and LLVM IR, with the line of the source for each
    of their lines, or what makes that when `coded` first asks. profile: what `f.profile` last found, as plain data;
    None before.
    """

    name: str
    line: str = ""
    target: str = ""
    inputs: list[ValueRecord] = field(default_factory=list)
    outputs: list[ValueRecord] = field(default_factory=list)
    resident: list[ValueRecord] = field(default_factory=list)
    updates: list[PairRecord] = field(default_factory=list)
    gradients: list[PairRecord] = field(default_factory=list)
    givens: list[PairRecord] = field(default_factory=list)
    passes: list[PassRecord] = field(default_factory=list)
    phases: list[PhaseRecord] = field(default_factory=list)
    explanation: Explanation | Callable[[], Explanation] | None = None
    making: Making | Callable[[], Making] | None = None
    code: dict[str, CodeRecord | Callable[[], CodeRecord]] = field(default_factory=dict)
    profile: dict[str, Any] | None = None
    stages: Stages = field(default_factory=Stages)
    dtypes: dict[str, int] = field(default_factory=dict)
    cache_path: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    compile_seconds: float = 0.0
    cached: bool = False

    @property
    def resident_bytes(self) -> int:
        """Bytes of the resident arrays together."""
        return sum(v.nbytes or 0 for v in self.resident)

    @property
    def flops(self) -> int | None:
        """Arithmetic of one call; None where a phase does not know its own."""
        return _total([p.flops for p in self.phases])

    @property
    def bytes(self) -> int | None:
        """Memory traffic of one call in bytes; None where a phase does not know its own."""
        return _total([p.bytes for p in self.phases])

    def explained(self) -> Explanation | None:
        """What a call costs, as data."""
        if callable(self.explanation):
            self.explanation = self.explanation()
        return self.explanation

    def made(self) -> Making | None:
        """How the function was made, as data."""
        if callable(self.making):
            self.making = self.making()
        return self.making

    def coded(self, stage: str) -> CodeRecord | None:
        """The code of a stage, line by line; None for a stage that has none."""
        code = self.code.get(stage)
        if callable(code):
            code = self.code[stage] = code()
        return code

    def annotated(self, stage: str, comment: str) -> str:
        """The code of a stage, with lines of the source among it. comment: what comments begin with."""
        code = self.coded(stage)
        assert code is not None
        return annotated(code, self.stages["source"].split("\n"), comment)

    def to_json(self, stages: tuple[str, ...] = STAGES) -> str:
        """The record as JSON, with the texts and the code of `stages` (each is made if it was not read yet), how the
        function was made, and the explanation where "explain" is among them."""
        import json

        return json.dumps({"format": FORMAT, **self.to_plain(stages)}, indent=1)

    def to_plain(self, stages: tuple[str, ...] = STAGES) -> dict[str, Any]:
        """What `to_json` writes, as dicts and lists."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, (_, many) in _PARTS.items():
            plain[name] = [asdict(part) for part in plain[name]] if many else plain[name]
        found = self.explained() if "explain" in stages else None
        plain["explanation"] = None if found is None else asdict(found)
        making = self.made()
        plain["making"] = None if making is None else asdict(making)
        codes = {stage: self.coded(stage) for stage in self.code if stage in stages}
        plain["code"] = {stage: asdict(code) for stage, code in codes.items() if code is not None}
        plain["stages"] = {name: self.stages[name] for name in self.stages if name in stages}
        return plain

    @classmethod
    def from_json(cls, text: str) -> FunctionRecord:
        """The record that `to_json` wrote; ValueError for another format."""
        import json

        plain = json.loads(text)
        written = plain.pop("format", None)
        if written != FORMAT:
            raise ValueError(f"a record of format {written!r}; this version of numgraph reads format {FORMAT}")
        for name, (part, many) in _PARTS.items():
            plain[name] = [part(**p) for p in plain[name]] if many else part(plain[name])
        if plain["making"] is not None:
            plain["making"] = Making.from_plain(**plain["making"])
        plain["code"] = {stage: CodeRecord(**code) for stage, code in plain["code"].items()}
        if plain.get("explanation") is not None:
            from numgraph.explain.explanation import Explanation

            plain["explanation"] = Explanation.from_plain(**plain["explanation"])
        return cls(**plain)


# Fields of a FunctionRecord that are records themselves: class, and whether it is a list of them.
_PARTS: dict[str, tuple[Callable[..., Any], bool]] = {
    "inputs": (ValueRecord, True),
    "outputs": (ValueRecord, True),
    "resident": (ValueRecord, True),
    "updates": (PairRecord, True),
    "gradients": (PairRecord, True),
    "givens": (PairRecord, True),
    "passes": (PassRecord, True),
    "phases": (PhaseRecord, True),
    "stages": (Stages, False),
}


def _total(parts: list[int | None]) -> int | None:
    """The sum; None where a part is unknown or there are none."""
    known = [p for p in parts if p is not None]
    return sum(known) if known and len(known) == len(parts) else None


class WeakList:
    """Objects in the order in which they came, each only as long as something else keeps it."""

    def __init__(self) -> None:
        self._references: list[weakref.ref[Any]] = []
        self._held: list[Any] | None = None
        self._seen: Callable[[Any], None] | None = None

    def append(self, item: Any) -> None:
        """Add `item`, weakly unless within `held`."""
        self._references = [r for r in self._references if r() is not None]
        self._references.append(weakref.ref(item))
        if self._held is not None:
            self._held.append(item)
        if self._seen is not None:
            self._seen(item)

    def __iter__(self) -> Iterator[Any]:
        return iter([item for r in self._references if (item := r()) is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @contextmanager
    def held(self, seen: Callable[[Any], None] | None = None) -> Iterator[list[Any]]:
        """Within the block, what is appended is kept, and `seen` called with it; yields the list of it."""
        outer, self._held, self._seen = (self._held, self._seen), [], seen
        try:
            yield self._held
        finally:
            self._held, self._seen = outer


# The compiled functions of this process. `function` appends each one that it builds; each has a `.record`.
LIVE = WeakList()


def save(record: FunctionRecord, path: str | Path) -> None:
    """Write the record as JSON."""
    Path(path).write_text(record.to_json(), encoding="utf-8")
