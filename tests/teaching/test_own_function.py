"""Functions typed into the explorer: the grammar and its derivatives in node, against Python and autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_explorer import javascript, needs_node

from rprop_ref.autograd import value_and_grad

PARSE = """
const read = (text) => {
  try { return parse(text); }
  catch (error) { if (!(error instanceof TextError)) throw error; return { error: error.message, at: error.position }; }
};
"""

#: What the names of the grammar mean in Python.
MEANING = {
    "abs": np.abs, "sign": np.sign, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "tanh": np.tanh, "min": np.minimum, "max": np.maximum, "pi": math.pi, "e": math.e,
}  # fmt: skip

CASES = [
    "(1-a)^2 + 100*(b-a^2)^2",
    "a**2 + 10000*b**2",
    "-a^2 + 2^-a",
    "2^3^a * 1e-3",
    "a^b + b^2.5",
    "-(-a) - +b * -3",
    "a/b/2 - a*b/2",
    "a - b - 1 + (a - (b - 1))",
    "sqrt(a^2 + b^2) + exp(-a) * log(b)",
    "sin(a) * cos(b) + tan(a / 3) - tanh(b * pi)",
    "min(a, b)^2 + max(a, 2*b) + e^a",
    "abs(a - b) + sign(a) * b",
    ".5*a + 2.*b + 1.5E-2",
    "x^4 - 3*x^3 + y",
    "abs(x) + 0.1 * x^2",
    "a^-2 + (1 + b)^7",
]


def oracle(text, point):
    names = sorted(
        set("abxy") & set(text.replace("exp", "").replace("max", "").replace("tan", "").replace("abs", ""))
    )

    def fun(v):
        variables = {name: v[i] for i, name in enumerate(names)}
        return eval(text.replace("^", "**"), {"__builtins__": {}}, {**MEANING, **variables})

    value, gradient = value_and_grad(fun)(np.array(point[: len(names)]))
    return [float(value), *gradient.tolist(), *([0.0] * (2 - len(names)))]


@needs_node
class TestValues:
    def test_values_and_derivatives_are_those_of_autograd(self, tmp_path):
        points = [(0.7, 1.9), (1.3, 0.4), (2.1, 2.2)]
        code = (
            PARSE
            + """
            return data.texts.map((text) => data.points.map(([a, b]) => {
              const f = read(text);
              return [f.value(a, b), f.da(a, b), f.db(a, b)];
            }));
        """
        )
        found = javascript(tmp_path, ["grammar.js"], code, {"texts": CASES, "points": points})
        for text, rows in zip(CASES, found):
            for point, row in zip(points, rows):
                np.testing.assert_allclose(row, oracle(text, point), rtol=1e-12, atol=1e-13, err_msg=text)

    def test_polynomials_have_the_bits_of_python(self, tmp_path, rng):
        text = "(1-a)*(1-a) + 100*(b-a*a)^2 - a/3 + b^3"
        points = rng.normal(size=(50, 2)).tolist()
        code = "const f = parse(data.text); return data.points.map(([a, b]) => String(f.value(a, b)));"
        found = javascript(tmp_path, ["grammar.js"], code, {"text": text, "points": points})
        for (a, b), v in zip(points, found):
            square, cube = (b - a * a) * (b - a * a), b * b * b
            assert float(v) == (1 - a) * (1 - a) + 100 * square - a / 3 + cube

    def test_nothing_changes_where_a_derivative_is_infinite_but_not_used(self, tmp_path):
        code = "const f = parse('sqrt(a) + b^2 + (0-2)^b'); return [f.da(4, 1), f.db(0, 3)].map(String);"
        # (-2)^b has no derivative by b; sqrt has none at 0, but b does not go through it.
        assert javascript(tmp_path, ["grammar.js"], code) == ["0.25", "NaN"]
        code = "const f = parse('sqrt(a) + b^2'); return f.db(0, 3);"
        assert javascript(tmp_path, ["grammar.js"], code) == 6


@needs_node
class TestErrors:
    @pytest.mark.parametrize(
        ("text", "at", "message"),
        [
            ("", 0, "expected a number, a variable"),
            ("   ", 0, "expected a number, a variable"),
            ("(1-a)^2 +* b", 9, "expected a number, a variable"),
            ("2a", 1, "expected an operator"),
            ("a b", 2, "expected an operator"),
            ("(a + b", 6, 'expected ")"'),
            ("a + b)", 5, "expected an operator"),
            ("foo(a)", 0, '"foo" is unknown'),
            ("a.constructor", 1, '"." has no meaning here'),
            ("constructor(a)", 0, '"constructor" is unknown'),
            ("toString + a", 0, '"toString" is unknown'),
            ("a; alert(1)", 1, '";" has no meaning'),
            ("a = 1", 2, '"=" has no meaning'),
            ("sin a", 4, 'expected "("'),
            ("min(a)", 5, 'expected ","'),
            ("min(a, b, a)", 8, 'expected ")"'),
            ("a + x", 4, "the variables must be a and b, or x and y"),
            ("1 + 2", 5, "the function needs a variable"),
            ("a + \U0001f600", 4, "has no meaning here"),
            ("(" * 100 + "a" + ")" * 100, 60, "nested too deeply"),
            ("a" + "+a" * 300, 500, "a function may have 500 characters"),
        ],
    )
    def test_an_error_is_at_its_character(self, tmp_path, text, at, message):
        found = javascript(tmp_path, ["grammar.js"], PARSE + "return read(data);", text)
        assert message in found["error"]
        assert found["at"] == at

    def test_any_text_is_a_function_or_an_error(self, tmp_path, rng):
        """And nothing of it is executed: no global name appears, and no call has an effect."""
        parts = [
            *"ab xy+-*/^(),.;=[]{}'`\\$\n", "**", "1", "2.5", "1e9", "sin", "min", "(a)", "(a,b)", "process.exit(1)", "=>",
            "globalThis.hit=1", "constructor", "__proto__", "${globalThis.hit=1}", "eval", "\u00e9", "\ud83d",
        ]  # fmt: skip
        texts = ["".join(rng.choice(parts, rng.integers(1, 15))) for _ in range(10_000)]
        code = (
            PARSE
            + """
            const before = Object.keys(globalThis).join();
            const found = data.map((text) => {
              const f = read(text);
              if (f.error !== undefined) return Number.isInteger(f.at) && f.at >= 0 && f.at <= text.length ? "error" : text;
              const all = [f.value(1.5, -2), f.da(1.5, -2), f.db(1.5, -2)];
              return all.every((v) => typeof v === "number") ? "function" : text;
            });
            if (Object.keys(globalThis).join() !== before) return "something was executed";
            return found;
        """
        )
        found = javascript(tmp_path, ["grammar.js"], code, texts)
        assert set(found) == {"error", "function"}
        assert found.count("function") > 100
