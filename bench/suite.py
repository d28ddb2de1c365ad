"""Run the cases: check each peer, time those that are right in turn, and put the report together."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import fresh, limits, machine, problems
from bench.cases import SWEPT, Case, Start
from bench.peers import PEERS, named
from bench.pool import Pool
from bench.problems import KINDS

FORMAT = 1
Results = dict[str, dict[str, Any]]
# Seconds after which fresh processes of a peer are not repeated; and a case is not, after half of it.
PATIENCE = 20.0


@dataclass(frozen=True)
class Settings:
    """How to run.

    peers: names of peers. threads: of every peer. repeats: measurements of each peer and case, of at least `least`
    seconds each, or of a sweep of `swept` steps; no round is begun after `patience` seconds, except for the first
    three. limit: seconds after which a peer is given up in a case. full: no case leaves peers out.
    """

    peers: tuple[str, ...] = tuple(PEERS)
    threads: int = 1
    repeats: int = 12
    least: float = 0.03
    limit: float = 120.0
    full: bool = False
    measure_limits: bool = True
    swept: int = SWEPT
    patience: float = PATIENCE / 2


Said = Callable[[str], None]


def run(cases: Sequence[Case], starts: Sequence[Start], settings: Settings, said: Said = lambda text: None) -> Any:
    """The report, as plain data. said: is told what is being done."""
    suite = Suite(settings, said)
    return suite.report(cases, starts)


class Suite:
    """One run. Pools of workers are kept for as long as the number of threads stays the same."""

    def __init__(self, settings: Settings, said: Said) -> None:
        self.settings, self.said = settings, said
        self.peers: dict[str, dict[str, Any]] = {}
        self.limits: dict[str, Any] | None = None

    def report(self, cases: Sequence[Case], starts: Sequence[Start]) -> dict[str, Any]:
        """Run everything; after Ctrl-C, the report has what was measured until then."""
        began, load = datetime.datetime.now().astimezone(), machine.load()
        order = {case.name: k for k, case in enumerate(cases)}
        made: list[dict[str, Any]] = []
        complete = True
        try:
            self._measure(cases, starts, made)
        except KeyboardInterrupt:
            complete = False
        for case in made:
            self._compare_with_limit(case)
        return {
            "format": FORMAT,
            "complete": complete,
            "machine": machine.facts(),
            "unset": machine.unset(),
            "settings": asdict(self.settings),
            "began": began.isoformat(timespec="seconds"),
            "minutes": round((datetime.datetime.now().astimezone() - began).total_seconds() / 60, 1),
            "load": {"before": load, "after": machine.load()},
            "limits": self.limits,
            "peers": self.peers,
            "cases": sorted(made, key=lambda case: order.get(case["name"], len(order))),
        }

    def _measure(self, cases: Sequence[Case], starts: Sequence[Start], made: list[dict[str, Any]]) -> None:
        """Add to `made`, case by case."""
        self._know_limits()
        # cases by number of threads, since that is a property of the processes
        for threads in dict.fromkeys(case.threads or self.settings.threads for case in cases):
            with Pool(list(self.settings.peers), threads, self.settings.limit) as pool:
                self._ask_versions(pool)
                for case in cases:
                    if (case.threads or self.settings.threads) == threads:
                        made.append(self._case(case, pool))
        self._know_limits()
        for start in starts:
            made.extend(self._start(start))
        self._know_limits()

    def _know_limits(self) -> None:
        """Measure what the machine can do, again and again: the best counts, as others may disturb it for a while."""
        if self.settings.measure_limits:
            self.said("the machine's limits")
            found = limits.measure(self.settings.threads)
            self.limits = limits.better(self.limits, found) if self.limits else found

    def _ask_versions(self, pool: Pool) -> None:
        """Find out once which peers are there."""
        if self.peers:
            return
        for name, (status, content) in pool.all(list(self.settings.peers), "hello").items():
            found = {"versions": content} if status == "ok" else {"why": content}
            self.peers[name] = {"label": named(name).label, "status": status, **found}

    def _asked(self, chosen: tuple[str, ...] | None) -> tuple[list[str], Results]:
        """The peers to ask, and what to say of those that cannot be asked."""
        wanted = [n for n in self.settings.peers if chosen is None or self.settings.full or n in chosen]
        absent = {
            n: {"status": self.peers[n]["status"], "why": self.peers[n]["why"]}
            for n in wanted
            if self.peers[n]["status"] != "ok"
        }
        return [n for n in wanted if n not in absent], absent

    def _case(self, case: Case, pool: Pool) -> dict[str, Any]:
        self.said(f"{case.name}: building and checking")
        asked, results = self._asked(case.peers)
        sizes = case.full_sizes()
        command = ("build", case.kind, sizes, case.way, case.checked, min(self.settings.swept, case.available))
        built = pool.all(asked, *command)
        want = problems.expected(case.kind, sizes, case.checked)
        machine.wait_until_asleep()
        right: list[str] = []
        for name, (status, content) in built.items():
            if status == "ok":
                how, values = content
                wrong = problems.difference(case.kind, values, want)
                results[name] = {"status": "wrong", "why": wrong, "how": how} if wrong else {"how": how}
                right += [] if wrong else [name]
            else:
                results[name] = {"status": status, "why": content}
        self.said(f"{case.name}: timing {', '.join(right)}")
        took = pool.in_turn(right, self.settings.least, self.settings.repeats, self.settings.patience)
        for name, got in took.items():
            done = {"status": "timed", "values": got} if isinstance(got, list) else {"status": got[0], "why": got[1]}
            results[name] |= done
        pool.all(asked, "drop")
        return self._described(case, sizes, results)

    def _described(self, case: Case, sizes: problems.Sizes, results: Results) -> dict[str, Any]:
        kind = KINDS[case.kind]
        work = {name: kind.work(getattr(kind, name), sizes) for name in ("flops", "bytes", "footprint")}
        formulas = {name: getattr(kind, name) for name in ("flops", "bytes")}
        return {
            **{name: getattr(case, name) for name in ("name", "group", "kind", "way", "series", "at")},
            "text": kind.text,
            "sizes": sizes,
            "threads": case.threads or self.settings.threads,
            "unit": "s",
            **work,
            "traffic": kind.traffic,
            "formulas": formulas,
            "tolerance": {"relative": kind.rtol, "absolute": kind.atol},
            "results": {n: results[n] for n in self.settings.peers if n in results},
        }

    def _compare_with_limit(self, case: dict[str, Any]) -> None:
        """The least time that the machine needs for the case, where that says anything."""
        known = self.limits is not None and str(case.get("threads")) in self.limits["flops"]
        if known and case["way"]:
            work = (case[name] for name in ("flops", "bytes", "footprint", "traffic", "threads"))
            case["limit"], case["limited_by"] = limits.least_seconds(self.limits or {}, *work, case["way"] == "call")

    def _start(self, start: Start) -> list[dict[str, Any]]:
        """The cases that fresh processes of one program give; peers take turns."""
        if not self.peers:
            with Pool(list(self.settings.peers), self.settings.threads, self.settings.limit) as pool:
                self._ask_versions(pool)
        asked, absent = self._asked(start.peers)
        tried = {name: Tries(start, name, self.settings) for name in asked}
        with tempfile.TemporaryDirectory(prefix="numgraph-bench-") as folder:
            for k in range(start.cold + start.warm):
                for name, tries in tried.items():
                    self.said(f"{start.title}: fresh process {k + 1} of {named(name).label}")
                    tries.go_on(k, folder)
        return [self._shown(start, what, tried, absent) for what in shown(start)]

    def _shown(self, start: Start, what: tuple[str, str, bool], tried: dict[str, Tries], absent: Results) -> Any:
        name, key, cold = what
        results = dict(absent)
        for peer, tries in tried.items():
            if key == "compile" and not named(peer).compiles:
                results[peer] = {"status": "not offered", "why": "compiles nothing"}
            else:
                results[peer] = tries.result(key, cold)
        kind = KINDS[start.kind]
        return {
            "name": name,
            "group": {"first": "start-up", "compile": "compilation", "memory": "memory"}[key],
            "kind": start.kind,
            "way": "",
            "text": kind.text,
            "sizes": kind.sizes | start.sizes,
            "threads": self.settings.threads,
            "unit": "B" if key == "memory" else "s",
            "tolerance": {"relative": kind.rtol, "absolute": kind.atol},
            "results": {n: results[n] for n in self.settings.peers if n in results},
        }


def shown(start: Start) -> list[tuple[str, str, bool]]:
    """The cases of a program in fresh processes: name, figure, whether the cache was empty."""
    made = []
    if "first" in start.shows:
        made = [(f"first result, empty cache ({start.title})", "first", True)]
        made += [(f"first result, warm cache ({start.title})", "first", False)] if start.warm else []
    made += [(f"compile, {start.title}", "compile", True)] if "compile" in start.shows else []
    made += [(f"compile, warm cache ({start.title})", "compile", False)] if "compile again" in start.shows else []
    made += [(f"peak memory, {start.title} step", "memory", True)] if "memory" in start.shows else []
    return made


class Tries:
    """The fresh processes of one peer and program."""

    def __init__(self, start: Start, name: str, settings: Settings) -> None:
        self.start, self.peer, self.settings = start, named(name), settings
        self.sizes = KINDS[start.kind].sizes | start.sizes
        self.got: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        self.failure: dict[str, Any] = {}
        self.taken = 0.0
        self.folder = ""

    def go_on(self, k: int, folder: str) -> None:
        """Run process k: the first `cold` ones have an empty cache, the others the one that the last of these left."""
        cold = k < self.start.cold
        if self.failure or (cold and k and self.taken > PATIENCE):
            return
        if cold:
            self.folder = tempfile.mkdtemp(dir=folder)
        kind, calls = self.start.kind, Case("", "", self.start.kind, self.sizes).checked
        status, content = fresh.run(
            self.peer, self.settings.threads, kind, self.sizes, calls, self.folder, self.settings.limit
        )
        if status != "ok":
            self.failure = {"status": status, "why": content}
            return
        wrong = problems.difference(kind, content.pop("values"), problems.expected(kind, self.sizes, calls))
        if wrong:
            self.failure = {"status": "wrong", "why": wrong}
        self.taken += content["first"] if cold else 0
        self.got[cold].append(content)

    def result(self, key: str, cold: bool) -> dict[str, Any]:
        """What to report of "first", "compile" or "memory"."""
        values = [one[key] for one in self.got[cold] if one[key] is not None]
        if self.failure or not values:
            return self.failure or {"status": "failed", "why": "no figure"}
        without = "" if self.peer.caches else "has no cache of compiled code"
        return {"status": "timed", "values": values, "how": without if key == "first" and not cold else ""}
