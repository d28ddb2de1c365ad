"""Hints about loops as LLVM's metadata, which is made when all blocks of a function are there."""

from llvmlite import ir

# Not made into a copy of the body for each round, of which LLVM makes no vectors.
UNROLLED = ("unroll.disable",)
# A loop whose last vector is used in part, with how many rounds it has.
MASKED = "with_masks"
# Bytes of the vectors whose lanes may be left out at no cost, those of AVX-512; and the rounds from which on shorter
# vectors, and some rounds one by one, are better than copies of the body.
WITH_MASKS, MANY_ROUNDS = 64, 16


def note_loop(builder, *hints):
    """Note on the function that is being built what LLVM is to know of the loop whose body begins at this place: names
    of hints, each with its number if it has one."""
    builder.function.__dict__.setdefault("loops", {}).setdefault(builder.block.name, []).extend(hints)


def stay_single(builder):
    """Have the loop around this place not copied, which an instruction that may not stand under other conditions
    prevents; here one that does nothing."""
    nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), ()), "", "", True)
    builder.call(nothing, (), attrs=("convergent", "nounwind", "readnone"))


def note(branch, hint, *number):
    """Note on the function that is being built what LLVM is to know of the loop that ends with this branch, back to its
    top: such as "unroll.disable", or "unroll.runtime.disable" for what would be unrolled with a remainder."""
    branch.parent.parent.__dict__.setdefault("hints", []).append((branch, hint, *number))


def set_apart(module, accesses, alone):
    """Tell LLVM what `apart` says of a loop. accesses: (name of a pointer, load or store), of all that it reads and
    writes by name; alone: the names that are said to be apart."""

    domain = _unique(module)
    scopes = {name: _unique(module, domain) for name in dict.fromkeys(n for n, _ in accesses) if name in alone}
    own = {name: _node(module, scope) for name, scope in scopes.items()}
    others = {name: _node(module, *(s for n, s in scopes.items() if n != name)) for name in (*scopes, None)}
    for name, instruction in accesses:
        if name in own:
            instruction.set_metadata("alias.scope", own[name])
        instruction.set_metadata("noalias", others[name if name in own else None])


def with_loop_hints(module, vector):
    """The module (llvmlite.ir), in which loops that something was said in (`note_loop`), or that `note` is about, now
    have LLVM's metadata for it. vector: the bytes of the processor's longest one."""
    for function in module.functions:
        blocks = {block.name: block for block in function.blocks}
        hints = {}
        for branch, hint, *numbers in getattr(function, "hints", []):
            hints.setdefault(branch, []).append((hint, *map(ir.IntType(32), numbers)))
        for name, said in getattr(function, "loops", {}).items():
            ends = [block.terminator for block in latches(function, blocks[name])]
            noted = next((hints.pop(branch) for branch in ends if branch in hints), [])
            meant = [other for hint in said for other in _for_vectors(hint, vector)]
            _mark(module, ends, [*meant, *noted])
        for branch, wanted in hints.items():
            _mark(module, [branch], wanted)
    return module


def _for_vectors(hint, vector):
    """What a hint means on a processor with such vectors."""
    if hint[0] != MASKED:
        return (hint,)
    if vector >= WITH_MASKS:
        return (UNROLLED, ("vectorize.predicate.enable", ir.IntType(1)(1)))
    return (UNROLLED,) if hint[1] >= MANY_ROUNDS else ()


def _hint(module, name, *values):
    return module.add_metadata([ir.MetaDataString(module, f"llvm.loop.{name}"), *values])


def _node(module, *operands):
    """A metadata node of these; Python would compare nodes that refer to themselves without end (`add_metadata`)."""
    return ir.MDValue(module, operands, name=str(len(module.metadata)))


def _unique(module, *operands):
    """A metadata node that is like no other, since it refers to itself."""
    node = _node(module)
    node.operands = (node, *operands)
    return node


def _mark(module, branches, hints):
    """Put hints on the branches back to the top of a loop."""
    loop = _unique(module, *(_hint(module, *hint) for hint in hints))
    for branch in branches:
        branch.set_metadata("llvm.loop", loop)


def latches(function, first):
    """The blocks of a function that jump back to the top of the loop whose body begins with the block `first`."""
    place = {block.name: k for k, block in enumerate(function.blocks)}
    before = [block for block in function.blocks if first in _following(block)]
    if len(before) > 1:
        # the condition is tested at the loop's end
        return [block for block in before if place[block.name] >= place[first.name]]
    seen, waiting = [], [first]
    while waiting:
        block = waiting.pop()
        if block not in seen and block not in before:
            seen.append(block)
            waiting += _following(block)
    return [block for block in seen if any(top in _following(block) for top in before)]


def _following(block):
    return [v for v in block.terminator.operands if isinstance(v, ir.Block)]
