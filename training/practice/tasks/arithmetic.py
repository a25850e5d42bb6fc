"""Functions whose names say what they compute, and small sums with them."""

from __future__ import annotations

from collections.abc import Callable

from ..vocabulary import Names

Function = Callable[..., int]
ARITHMETIC: dict[str, tuple[Function, str, int]] = {
    "add": (lambda a, b: a + b, "{a} + {b}", 2),
    "sum": (lambda a, b: a + b, "{a} + {b}", 2),
    "plus": (lambda a, b: a + b, "{a} + {b}", 2),
    "total": (lambda a, b: a + b, "{a} + {b}", 2),
    "sub": (lambda a, b: a - b, "{a} - {b}", 2),
    "subtract": (lambda a, b: a - b, "{a} - {b}", 2),
    "minus": (lambda a, b: a - b, "{a} - {b}", 2),
    "diff": (lambda a, b: a - b, "{a} - {b}", 2),
    "mul": (lambda a, b: a * b, "{a} * {b}", 2),
    "multiply": (lambda a, b: a * b, "{a} * {b}", 2),
    "times": (lambda a, b: a * b, "{a} * {b}", 2),
    "product": (lambda a, b: a * b, "{a} * {b}", 2),
    "double": (lambda a: 2 * a, "2 * {a}", 1),
    "square": (lambda a: a * a, "{a} * {a}", 1),
}
WEIGHTS = [4 if name in ("add", "sub", "mul", "double", "square") else 1 for name in ARITHMETIC]


def some_functions(names: Names, count: int) -> list[str]:
    """Up to this many different functions."""
    return list(dict.fromkeys(names.rng.choices(list(ARITHMETIC), WEIGHTS, k=count)))


def expression(names: Names, function: str) -> tuple[str, int]:
    """An application of a function to small numbers, and its value."""
    compute, _, arity = ARITHMETIC[function]
    size = 5 if names.chance(0.6) else 10
    numbers = [names.rng.randint(0, size) for _ in range(arity)]
    if arity == 2 and function in ("sub", "subtract", "minus", "diff") and names.chance(0.85):
        numbers.sort(reverse=True)
    return ", ".join(map(str, numbers)), compute(*numbers)


def wrong_number(names: Names, right: int) -> int:
    """Another number, often a close one."""
    steps = (1, 1, -1, 2, -2, 3, 10, -right or 4, names.rng.randint(1, 50))
    wrong = right + names.rng.choice(steps)
    return wrong if wrong != right else right + 1


def drawn_term(names: Names) -> tuple[str, int]:
    """A function applied to small numbers, and its value."""
    (function,) = some_functions(names, 1)
    arguments, value = expression(names, function)
    return f"{function}({arguments})", value
