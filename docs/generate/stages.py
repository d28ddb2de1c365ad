"""The drawings of docs/architecture.md, one for each stage. `python -m docs.generate drawings` writes them."""

from __future__ import annotations

from docs.generate.drawing import Drawing


def overview() -> Drawing:
    """The stages in order, and what each hands on."""
    d = Drawing(640, 230)
    reference = d.box(405, 26, 'target="reference"')
    top = [d.box(x, 88, t) for x, t in ((70, "expression"), (190, "givens"), (290, "grad"), (405, "stable forms"))]
    rewrite = d.box(555, 88, "rewrite")
    row = [d.box(x, 148, t) for x, t in ((555, "schedule"), (430, "loops"), (330, "emit"))]
    lower = d.box(190, 148, "lower (Numba)")
    compiled = d.box(70, 148, "compile")
    d.chain(*top, rewrite, *row, lower, compiled)
    call = d.box(70, 198, "call")
    d.arrow(compiled, call)
    d.arrow(top[-1], reference, back=True)
    d.text(18, 76, "an expression graph", "title")
    d.text(505, 76, "a compile graph", "title")
    d.text(115, 215, "arguments in, results out", "dim")
    d.text(490, 43, "NumPy, op by op", "dim")
    return d


def expression() -> Drawing:
    """cost = mean((m @ w - 1) ** 2): variables, and what a shared one owns."""
    d = Drawing(640, 290)
    m, w = d.box(90, 12, "m: float64[?,?]"), d.box(270, 12, "w: float64[?]")
    dot = d.box(180, 62, "dot")
    one = d.box(290, 62, "1.0")
    sub = d.box(180, 112, "sub")
    power = d.box(180, 162, "pow 2.0")
    mean = d.box(180, 212, "mean")
    d.arrow(m, dot)
    d.arrow(w, dot)
    d.arrow(one, sub)
    d.chain(dot, sub, power, mean)
    d.text(120, 262, "cost: float64, made on", "dim")
    d.text(120, 279, "line 12 of your program", "dim")
    d.frame(400, 32, 220, 170, "what the shared variable w owns")
    descriptor = d.box(510, 52, "descriptor\naddress, lengths", "data")
    array = d.box(510, 140, "array\n[0.0, 0.0]", "data")
    d.arrow(descriptor, array, "may change")
    d.arrow(w, descriptor)
    d.text(402, 220, "code knows the descriptor,", "dim")
    d.text(402, 237, "which never moves", "dim")
    return d


def givens() -> Drawing:
    """A minibatch: the slice of a shared array takes the place of m."""
    d = Drawing(640, 250)
    d.frame(10, 30, 190, 205, "as written")
    m, w, dot = d.box(60, 50, "m"), d.box(150, 50, "w"), d.box(105, 110, "dot")
    d.arrow(m, dot)
    d.arrow(w, dot)
    rest = d.box(105, 170, "... cost")
    d.arrow(dot, rest)
    d.text(209, 120, "givens={m: data[", "dim")
    d.text(209, 137, " 2*i : 2*(i+1)]}", "dim")
    d.frame(345, 30, 285, 205, "what is built")
    data, index = d.box(400, 50, "data", "new"), d.box(480, 50, "i", "new")
    part = d.box(430, 105, "data[2*i : 2*(i+1)]", "new")
    w2, dot2 = d.box(585, 105, "w"), d.box(500, 155, "dot")
    d.arrow(data, part)
    d.arrow(index, part)
    d.arrow(part, dot2)
    d.arrow(w2, dot2)
    d.arrow(dot2, d.box(500, 200, "... cost"))
    return d


def grad() -> Drawing:
    """The sweep back: each op's record says what arrives at its operands."""
    d = Drawing(640, 270)
    names = (("w", "g_w = m.T @ g"), ("dot(m, w)", "g = g"), ("sub 1.0", "g = g * 2 * (..)"), ("pow 2.0", "g = g / n"),
             ("mean", "g = 1.0"))  # fmt: skip
    forward = [d.box(110, 24 + 50 * k, name) for k, (name, _) in enumerate(names)]
    back = [d.box(330, 24 + 50 * k, text, "new") for k, (_, text) in enumerate(names)]
    d.chain(*forward)
    for first, second in zip(reversed(back), list(reversed(back))[1:], strict=False):
        d.arrow(first, second, back=True)
    d.text(60, 14, "expression", "title")
    d.text(265, 14, "its gradient, an expression", "title")
    d.text(440, 45, "what arrives is added up", "dim")
    d.text(440, 145, "op pow: its record's", "dim")
    d.text(440, 162, "grad(g, out, x, y)", "dim")
    d.text(440, 245, "the cost's own", "dim")
    return d


def stable() -> Drawing:
    """A rule: pattern, replacement, why."""
    d = Drawing(640, 150)
    soft = d.box(100, 30, "softmax(x)")
    log = d.box(100, 90, "log(.)")
    d.arrow(soft, log)
    to = d.box(500, 60, "log_softmax(x)", "new")
    rule = d.box(300, 52, "log(softmax(x))\n-> log_softmax(x)", "data")
    d.arrow(log, rule)
    d.arrow(rule, to, back=True)
    d.text(60, 16, "as written", "title")
    d.text(235, 40, "a rule of the table", "title")
    d.text(450, 48, "before grad, too", "title")
    d.text(215, 124, "why: exp overflows, and log(0) is -inf", "dim")
    return d


def rewrite() -> Drawing:
    """Equal nodes are one node; lengths are nodes."""
    d = Drawing(640, 250)
    d.frame(10, 30, 250, 205, "expression graph")
    x = d.box(130, 45, "x")
    one, two = d.box(75, 95, "exp(x)"), d.box(190, 95, "exp(x)")
    add, zero = d.box(120, 150, "add"), d.box(215, 150, "mul 1.0")
    d.arrow(x, one)
    d.arrow(x, two)
    d.arrow(one, add)
    d.arrow(two, zero)
    d.arrow(zero, add)
    d.arrow(add, d.box(120, 200, "sum"))
    d.text(275, 140, "equal ones once,", "dim")
    d.text(275, 157, "x * 1 is x", "dim")
    d.frame(400, 30, 230, 205, "compile graph")
    x, exp = d.box(460, 45, "x"), d.box(460, 95, "exp", "new")
    double = d.box(460, 145, "mul 2.0", "new")
    total = d.box(460, 195, "sum", "new")
    d.chain(x, exp, double, total)
    length = d.box(570, 95, "n = len(x)", "data")
    d.arrow(x, length)
    d.text(520, 150, "lengths are", "dim")
    d.text(520, 167, "nodes, too", "dim")
    return d


def schedule() -> Drawing:
    """What fuses becomes one loop nest; what is stored between them is a buffer."""
    d = Drawing(640, 290)
    d.frame(10, 30, 390, 60, "phase_0: loops over 600 rows")
    x = d.box(60, 47, "x[i, j]")
    product, shift = d.box(160, 47, "dot"), d.box(235, 47, "sub")
    d.chain(x, product, shift, d.box(330, 47, "pow, sum"))
    d.frame(10, 200, 390, 60, "phase_1: the update")
    xt, g, w = d.box(60, 217, "x.T"), d.box(180, 217, "@ dz"), d.box(310, 217, "w := w - r * .")
    d.chain(xt, g, w)
    dz = d.box(235, 130, "dz: 600 floats", "data")
    d.arrow(shift, dz)
    d.arrow(dz, g)
    table = d.box(60, 122, "train_x\n25 MB", "data")
    d.arrow(table, x)
    d.text(420, 56, "a slice of train_x is an", "dim")
    d.text(420, 73, "offset in its address", "dim")
    d.text(420, 130, "elementwise ops and", "dim")
    d.text(420, 147, "views are stored", "dim")
    d.text(420, 164, "only where they must", "dim")
    d.text(420, 225, "written over the", "dim")
    d.text(420, 242, "old value of w", "dim")
    return d


def loops() -> Drawing:
    """Typed statements, made once for every target, transformed, and printed."""
    d = Drawing(640, 250)
    made = d.box(
        15, 32, "For i in 0..n0\n  t0: float32 = x[i]\n  t1: float32 = t0 * t0\n  Store y[i], t1", "box", False
    )
    inlined = d.box(15, 150, "For i in 0..n0\n  Store y[i], x[i] * x[i]", "new", False)
    d.arrow(made, inlined, "alike, inline", back=True)
    cpu = d.box(352, 110, "def phase_0(address, chunk, chunks):\n    for i in range(begin, end):", "box", False)
    grid = d.box(352, 182, "def kernel_0(x, y, n0):\n    i = thread()", "box", False)
    d.arrow(inlined, cpu)
    d.arrow(inlined, grid)
    d.text(15, 20, "the loop program", "title")
    d.text(352, 98, "a loop divided among threads", "title")
    d.text(352, 171, "a grid of threads", "title")
    d.text(225, 48, "statements with dtypes: data, not text;", "dim")
    d.text(225, 65, "a verifier checks names and dtypes", "dim")
    return d


def emit() -> Drawing:
    """Two texts with the same lines."""
    d = Drawing(640, 205)
    d.frame(10, 30, 300, 110, "source: compiled, and the cache's key")
    d.frame(330, 30, 300, 110, "listing: for you")
    for k, line in enumerate(("for i in range(n0):", "    t0 = m_1[i] - 1.0", "    acc0 = add_up(acc0, t0 * t0)")):
        d.text(22, 56 + 26 * k, line)
        d.text(342, 56 + 26 * k, line)
    for k, (ours, yours) in enumerate((("# len(m)", "# train.py:12"), ("# sub", "# train.py:12"), ("", ""))):
        d.text(205, 56 + 26 * k, ours, "dim")
        d.text(525, 56 + 26 * k, yours, "dim")
    d.text(12, 165, "a function of the graph alone: a line that", "dim")
    d.text(12, 182, "moves in your program compiles nothing", "dim")
    d.text(332, 165, "errors and tracebacks name", "dim")
    d.text(332, 182, "the same line numbers", "dim")
    return d


def lower() -> Drawing:
    """One pass to LLVM IR; Numba's own passes stand behind it."""
    d = Drawing(640, 215)
    source = d.box(80, 84, "k_x.py\nsource")
    one = d.box(260, 36, "numgraph's pass:\none walk, Numba\nresolves each call", "new")
    own = d.box(260, 112, "Numba's passes:\ntype inference,\nlowering")
    llvm = d.box(430, 90, "LLVM IR")
    code = d.box(555, 90, "machine code", "data")
    d.arrow(source, one)
    d.arrow(source, own)
    d.arrow(one, llvm)
    d.arrow(own, llvm)
    d.arrow(llvm, code)
    d.text(190, 26, "milliseconds", "title")
    d.text(190, 192, "what that does not know", "title")
    d.text(490, 138, "kept in the cache", "dim")
    d.text(490, 155, "for this processor", "dim")
    return d


def call() -> Drawing:
    """A call: one table, a plan, phases on threads."""
    d = Drawing(640, 260)
    python = d.box(70, 40, "f(index)")
    enter = d.box(190, 40, "enter", "new")
    table = d.box(190, 120, "table of int64\nindex | addresses\n| lengths", "data")
    plan = d.box(330, 40, "plan_0")
    d.chain(python, enter, plan)
    d.arrow(enter, table)
    d.arrow(plan, table)
    phases = [d.box(470, 40 + 60 * k, f"phase_0, chunk {k}") for k in range(3)]
    for phase in phases:
        d.arrow(plan, phase)
    join = d.box(590, 100, "join_0")
    for phase in phases:
        d.arrow(phase, join)
    d.text(262, 28, "checks, addresses", "dim")
    d.text(400, 28, "threads claim chunks", "dim")
    d.text(556, 172, "in a fixed", "dim")
    d.text(556, 189, "order", "dim")
    d.text(20, 222, "sweep: the loop over calls is inside of enter, too, and arguments are rows of a table", "dim")
    d.text(20, 241, "a condition that fails: an error with your lines, or another variant is compiled", "dim")
    return d


def device() -> Drawing:
    """A GPU: the host plans, a recorded graph is replayed."""
    d = Drawing(640, 190)
    host = d.box(90, 40, "train(i)\nplan_0 in Python")
    slots = d.box(290, 48, "slots: i (8 bytes)", "data")
    graph = d.box(290, 120, "CUDA graph\nof launches", "new")
    kernels = [d.box(470, 30 + 50 * k, f"kernel_{k}") for k in range(3)]
    memory = d.box(580, 80, "W, train_x", "data")
    d.arrow(host, slots)
    d.arrow(host, graph)
    for kernel in kernels:
        d.arrow(graph, kernel)
    d.arrow(kernels[1], memory)
    d.text(20, 20, "host", "title")
    d.text(420, 20, "device", "title")
    d.text(330, 180, "recorded once, replayed by each call", "dim")
    return d


DRAWINGS = (overview, expression, givens, grad, stable, rewrite, schedule, loops, emit, lower, call, device)


def files() -> dict[str, str]:
    """SVG by file of docs/drawings."""
    return {f"{draw.__name__}.svg": draw().svg() for draw in DRAWINGS}
