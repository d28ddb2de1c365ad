"""Hints about loops as LLVM's metadata, which is made when all blocks of a function are there."""

from llvmlite import ir


def note_interleaving(builder, count):
    """Note on the function that is being built what `interleave` says of the loop whose body begins at this place."""
    builder.function.__dict__.setdefault("interleaved", {})[builder.block.name] = count


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


def with_loop_hints(module):
    """The module (llvmlite.ir), in which loops that `interleave` was said in, or that `note` is about, now have LLVM's
    metadata for it."""
    for function in module.functions:
        blocks = {block.name: block for block in function.blocks}
        hints = {}
        for branch, hint, *numbers in getattr(function, "hints", []):
            made = _hint(module, f"llvm.loop.{hint}", *map(ir.IntType(32), numbers))
            hints.setdefault(branch, []).append(made)
        for name, count in getattr(function, "interleaved", {}).items():
            ends = [block.terminator for block in latches(function, blocks[name])]
            unrolling = next((hints.pop(branch) for branch in ends if branch in hints), [])
            _mark(module, ends, [_hint(module, "llvm.loop.interleave.count", ir.IntType(32)(count)), *unrolling])
        for branch, wanted in hints.items():
            _mark(module, [branch], wanted)
    return module


def _hint(module, name, *values):
    return module.add_metadata([ir.MetaDataString(module, name), *values])


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
    loop = _unique(module, *hints)
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
