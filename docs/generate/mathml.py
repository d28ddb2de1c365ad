"""Formulas as MathML, which browsers typeset themselves: no script and no font has to be loaded."""

from __future__ import annotations

import ast
import html
import math

# How strongly a kind of expression binds; a part that binds less than what is around it gets parentheses.
CHOICE, OR, COMPARED, SHIFTED, SUM, PRODUCT, SIGN, POWER, ATOM = range(9)

OPEN, CLOSE = '<mo stretchy="false">(</mo>', '<mo stretchy="false">)</mo>'
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "pi": "π", "rcond": "ε"}
# What scalar forms call and mathematics writes otherwise.
CALLED = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arsinh", "acosh": "arcosh",
    "atanh": "artanh", "arcsinh": "arsinh", "arccosh": "arcosh", "arctanh": "artanh", "maximum": "max",
    "minimum": "min", "log": "ln", "tgamma": "Γ", "hurwitz": "ζ", "rint": "round", "power": "pow",
}  # fmt: skip
AROUND = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}
BINARY: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: ("+", SUM), ast.Sub: ("−", SUM), ast.Mult: ("·", PRODUCT), ast.Mod: ("mod", PRODUCT),
    ast.LShift: ("≪", SHIFTED), ast.RShift: ("≫", SHIFTED), ast.BitAnd: ("∧", OR), ast.BitOr: ("∨", OR),
    ast.BitXor: ("⊕", OR), ast.MatMult: ("·", PRODUCT),
}  # fmt: skip
COMPARISONS: dict[type[ast.AST], str] = {
    ast.Lt: "&lt;", ast.LtE: "≤", ast.Gt: "&gt;", ast.GtE: "≥", ast.Eq: "=", ast.NotEq: "≠",
}  # fmt: skip
# Numbers that are better known by name.
KNOWN = {
    math.pi: "<mi>π</mi>",
    math.log(2): "<mi>ln</mi><mn>2</mn>",
    1 / math.log(2): "<mfrac><mn>1</mn><mrow><mi>ln</mi><mn>2</mn></mrow></mfrac>",
    math.pi / 180: "<mfrac><mi>π</mi><mn>180</mn></mfrac>",
    180 / math.pi: "<mfrac><mn>180</mn><mi>π</mi></mfrac>",
    math.sqrt(0.5): "<mfrac><mn>1</mn><msqrt><mn>2</mn></msqrt></mfrac>",
}


def equation(name: str, tree: ast.expr) -> str:
    """`name = formula`, on a line of its own."""
    return f'<math display="block"><mrow>{variable(name)}<mo>=</mo>{text(tree)}</mrow></math>'


def text(tree: ast.expr, around: int = CHOICE) -> str:
    """The formula of a syntax tree, in parentheses where it binds less than `around`."""
    made, binds = _made(tree)
    return f"<mrow><mo>(</mo>{made}<mo>)</mo></mrow>" if binds < around else made


def variable(name: str) -> str:
    """A name, Greek letters as such; what stands behind `_` as an index."""
    head, _, tail = name.partition("_")
    first = f"<mi>{html.escape(GREEK.get(head, head))}</mi>"
    return f"<msub>{first}<mi>{html.escape(tail)}</mi></msub>" if tail else first


def _made(tree: ast.expr) -> tuple[str, int]:
    match tree:
        case ast.Constant(value=value):
            return _number(value), ATOM
        case ast.Name(id=name):
            return variable(name), ATOM
        case ast.BinOp():
            return _binary(tree)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"<mrow><mo>−</mo>{text(operand, SIGN)}</mrow>", SUM
        case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=operand):
            return f"<mrow><mo>¬</mo>{text(operand, SIGN)}</mrow>", SIGN
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            sign = COMPARISONS[type(op)]
            return f"<mrow>{text(left, SHIFTED)}<mo>{sign}</mo>{text(right, SHIFTED)}</mrow>", COMPARED
        case ast.BoolOp(op=op, values=values):
            sign = "∧" if isinstance(op, ast.And) else "∨"
            return f"<mrow>{f'<mo>{sign}</mo>'.join(text(v, COMPARED) for v in values)}</mrow>", OR
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return _choice([(body, test)], otherwise), CHOICE
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _call(name, args)
    raise ValueError(f"no formula for {ast.unparse(tree)}")


def _number(value: object) -> str:
    for known, markup in KNOWN.items():
        if isinstance(value, float) and math.isclose(value, known, rel_tol=1e-15):
            return f"<mrow>{markup}</mrow>"
        if isinstance(value, float) and math.isclose(value, -known, rel_tol=1e-15):
            return f"<mrow><mo>−</mo>{markup}</mrow>"
    if isinstance(value, float):
        return "<mi>∞</mi>" if math.isinf(value) else f"<mn>{value:.12g}</mn>"
    return f"<mn>{html.escape(str(value))}</mn>"


def _binary(tree: ast.BinOp) -> tuple[str, int]:
    if isinstance(tree.op, ast.Div):
        return f"<mfrac>{text(tree.left)}{text(tree.right)}</mfrac>", PRODUCT
    if isinstance(tree.op, ast.Pow):
        return _power(tree.left, tree.right), POWER
    if isinstance(tree.op, ast.Mult) and ast.dump(tree.left) == ast.dump(tree.right):
        return _power(tree.left, ast.Constant(2)), POWER
    sign, binds = BINARY[type(tree.op)]
    # a - (b - c) keeps its parentheses
    return f"<mrow>{text(tree.left, binds)}<mo>{sign}</mo>{text(tree.right, binds + 1)}</mrow>", binds


def _power(base: ast.expr, exponent: ast.expr) -> str:
    return f"<msup>{text(base, ATOM)}<mrow>{text(exponent)}</mrow></msup>"


def _call(name: str, args: list[ast.expr]) -> tuple[str, int]:
    if name == "exp":
        return f"<msup><mi>e</mi><mrow>{text(args[0])}</mrow></msup>", POWER
    if name == "exp2":
        return _power(ast.Constant(2), args[0]), POWER
    if name == "power":
        return _power(*args), POWER
    if name == "sqrt":
        return f"<msqrt>{text(args[0])}</msqrt>", ATOM
    if name in ("where", "masked"):
        pairs, otherwise = _cases(args[0], args[1], args[2] if len(args) > 2 else ast.Constant(0))
        return _choice(pairs, otherwise), CHOICE
    if name == "floordiv":
        left, right = AROUND["floor"]
        return f"<mrow><mo>{left}</mo><mfrac>{text(args[0])}{text(args[1])}</mfrac><mo>{right}</mo></mrow>", ATOM
    if name == "mod":
        return f"<mrow>{text(args[0], PRODUCT)}<mo>mod</mo>{text(args[1], SIGN)}</mrow>", PRODUCT
    if name in AROUND:
        left, right = AROUND[name]
        return f"<mrow><mo>{left}</mo>{text(args[0])}<mo>{right}</mo></mrow>", ATOM
    inside = "<mo>,</mo>".join(text(a) for a in args)
    return f"<mrow><mi>{html.escape(CALLED.get(name, name))}</mi>{OPEN}{inside}{CLOSE}</mrow>", ATOM


def _cases(test: ast.expr, then: ast.expr, otherwise: ast.expr) -> tuple[list[tuple[ast.expr, ast.expr]], ast.expr]:
    """Choices one in the other as one list of (value, condition), and what is left."""
    pairs = [(then, test)]
    while isinstance(otherwise, ast.Call) and isinstance(otherwise.func, ast.Name) and otherwise.func.id == "where":
        test, then, otherwise = otherwise.args
        pairs.append((then, test))
    return pairs, otherwise


def _choice(pairs: list[tuple[ast.expr, ast.expr]], otherwise: ast.expr) -> str:
    rows = [
        f"<mtr><mtd>{text(value)}</mtd><mtd><mtext>if&nbsp;</mtext>{text(test)}</mtd></mtr>" for value, test in pairs
    ]
    rows.append(f"<mtr><mtd>{text(otherwise)}</mtd><mtd><mtext>otherwise</mtext></mtd></mtr>")
    return f'<mrow><mo>{{</mo><mtable columnalign="left left">{"".join(rows)}</mtable></mrow>'
