"""How a function was made, as data: its graphs after each pass, what rules did, its buffers, and what belongs to which
line. Nodes and lines of the user's are numbered, so that the parts refer to one another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class PlaceRecord:
    """A line of the user's program."""

    file: str
    line: int
    function: str = ""


@dataclass
class NodeRecord:
    """A variable of an expression, or a node of the compile graph.

    kind: "op", "input", "shared", "constant", or what the compile graph calls its leaves. text: a formula of it, cut.
    inputs: numbers of nodes. places: of the user's lines. phases: those that compute it, in generated code. becomes:
    the number of the node that a variable is in the last graph, -1 where it is none.
    """

    kind: str
    op: str
    type: str
    text: str
    name: str = ""
    inputs: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    becomes: int = -1


@dataclass
class RootRecord:
    """What a graph is for: "output" or "update", of which name, and its node."""

    role: str
    name: str
    node: int


@dataclass
class GraphRecord:
    """The graph after a pass. why: what the pass does. nodes: operands before users."""

    name: str
    why: str
    nodes: list[int] = field(default_factory=list)
    roots: list[RootRecord] = field(default_factory=list)


@dataclass
class RewriteRecord:
    """What one rule did. graph: the number of the graph that has its result. rule: its pattern, or the op that was
    written out. before, after: as text; old, new: numbers of nodes."""

    graph: int
    rule: str
    why: str
    before: str
    after: str
    old: int
    new: int


@dataclass
class BufferRecord:
    """Memory of an array.

    place: as `schedule.buffers.Buffer` has it. nbytes: with windows at full length, None where a length is known only
    at the call. offset: bytes into the arena of its stage, or into the memory of a chunk, where it is a number. first,
    last: numbers of the phases between which it is in use, -1 for before and after them all. over: the array in whose
    memory it is.
    """

    name: str
    type: str
    place: str
    node: int
    nbytes: int | None = None
    offset: int | None = None
    stage: int = 0
    first: int = -1
    last: int = -1
    over: str = ""


@dataclass
class LinkRecord:
    """What a line of generated source belongs to. function: the one it is in. exact: whether its own statement says
    so, rather than the statements around it."""

    function: str = ""
    places: list[int] = field(default_factory=list)
    node: int = -1
    exact: bool = True


@dataclass
class Making:
    """How a function was made.

    places: lines of the user's. files: the texts in which they are. graphs: in order. links: one for each line of the
    source.
    """

    places: list[PlaceRecord] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    nodes: list[NodeRecord] = field(default_factory=list)
    graphs: list[GraphRecord] = field(default_factory=list)
    rewrites: list[RewriteRecord] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    buffers: list[BufferRecord] = field(default_factory=list)
    links: list[LinkRecord] = field(default_factory=list)

    @classmethod
    def from_plain(cls, **plain: Any) -> Making:
        """What `dataclasses.asdict` made of one."""
        lists = {
            "places": PlaceRecord,
            "nodes": NodeRecord,
            "rewrites": RewriteRecord,
            "buffers": BufferRecord,
            "links": LinkRecord,
        }
        for name, kind in lists.items():
            plain[name] = [kind(**part) for part in plain[name]]
        plain["graphs"] = [
            GraphRecord(**{**graph, "roots": [RootRecord(**root) for root in graph["roots"]]})
            for graph in plain["graphs"]
        ]
        return cls(**plain)
