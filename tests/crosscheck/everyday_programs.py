"""The mistakes of every day in C and JavaScript: the clients in `examples/crosscheck`, with another step.

The mistake is what the environment variable MISTAKE says, in the words of `everyday.MISTAKES`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

CLIENTS = Path(__file__).parents[2] / "examples" / "crosscheck"

_C_STEP = """\
static int has(const char *mistake)
{
    return strcmp(getenv("MISTAKE"), mistake) == 0;
}

static double pending[MAX_SIZE];

static double adapted(double product, double old)
{
    double down = etas[has("etas swapped")], up = etas[!has("etas swapped")];
    if (has("a limit per branch, >="))
        return product >= 0 ? fmin(old * up, limits[1]) : fmax(old * down, limits[0]);
    if (has("a limit per branch, >"))
        return product > 0 ? fmin(old * up, limits[1]) : fmax(old * down, limits[0]);
    return fmin(fmax(old * (product > 0 ? up : product < 0 ? down : 1), limits[0]), limits[1]);
}

static void step(void)
{
    for (int i = 0; i < n; i++) {
        double gi = direction * g[i], product = gi * prev[i], old = size[i], sign;
        size[i] = adapted(product, old);
        prev[i] = product < 0 && !has("memory not zeroed") ? 0 : gi;
        sign = (gi > 0) - (gi < 0);
        if (has("sign of zero"))
            sign = gi >= 0 ? 1 : -1;
        if (product < 0)
            sign = 0;
        double move = -sign * (has("adapts after the move") ? old : size[i]);
        if (has("one step late")) {
            double now = move;
            move = pending[i];
            pending[i] = now;
        }
        x[i] += move;
    }
}

"""

_JS_CLASS = """\
const { MISTAKE } = process.env; // read once, because it takes long
const has = (mistake) => MISTAKE === mistake;

class Rprop {
  constructor({ x0, lr, etas, step_sizes: limits, maximize }) {
    Object.assign(this, { etas, limits, direction: maximize ? -1 : 1 });
    this.x = x0;
    this.prev = x0.map(() => (has("memory begins at one") ? 1 : 0));
    this.size = x0.map(() => (has("lr ignored") ? 0.0125 : lr));
    this.pending = x0.map(() => 0);
  }

  set({ etas = this.etas, step_sizes: limits = this.limits }) {
    Object.assign(this, { etas, limits });
  }

  adapted(product, old) {
    const [down, up] = has("etas swapped") ? [this.etas[1], this.etas[0]] : this.etas;
    const [low, high] = this.limits;
    if (has("a limit per branch, >=")) return product >= 0 ? Math.min(old * up, high) : Math.max(old * down, low);
    if (has("a limit per branch, >")) return product > 0 ? Math.min(old * up, high) : Math.max(old * down, low);
    return Math.min(Math.max(old * (product > 0 ? up : product < 0 ? down : 1), low), high);
  }

  step(grad) {
    grad.forEach((value, i) => {
      const g = this.direction * value, product = g * this.prev[i], old = this.size[i];
      this.size[i] = this.adapted(product, old);
      this.prev[i] = product < 0 && !has("memory not zeroed") ? 0 : g;
      let sign = has("sign of zero") ? (g >= 0 ? 1 : -1) : (g > 0) - (g < 0);
      if (product < 0) sign = 0;
      let move = -sign * (has("adapts after the move") ? old : this.size[i]);
      if (has("one step late")) [move, this.pending[i]] = [this.pending[i], move];
      this.x[i] += move;
    });
  }
}

"""


def in_c(folder: Path, compiler: str) -> list[str]:
    """Compile the program in C; the command that runs it."""
    source = (CLIENTS / "rprop.c").read_text()
    source = _replaced(source, "static void step(void)", "/* The value that follows", _C_STEP)
    source = _once(source, "prev[i] = 0;\n                size[i] = lr;", (
        'prev[i] = has("memory begins at one");\n                pending[i] = 0;\n'
        '                size[i] = has("lr ignored") ? 0.0125 : lr;'
    ))  # fmt: skip
    (folder / "everyday.c").write_text(source)
    # Contraction would be one more mistake.
    options = ["-O2", "-Wall", "-Werror", "-ffp-contract=off"]
    subprocess.run([compiler, *options, "-o", folder / "everyday", folder / "everyday.c", "-lm"], check=True)
    return [str(folder / "everyday")]


def in_javascript(folder: Path) -> list[str]:
    """Write the program in JavaScript; the command that runs it."""
    source = (CLIENTS / "rprop.js").read_text()
    source = _replaced(source, "class Rprop {", "const words = ", _JS_CLASS)
    # The saved state would lack the pending move.
    source = _once(source, 'has: ["none", "set", "save"]', 'has: ["none", "set"]')
    (folder / "everyday.js").write_text(source)
    return ["node", str(folder / "everyday.js")]


def _replaced(source: str, first: str, end: str, new: str) -> str:
    """The source with everything from `first` to `end` replaced."""
    before, _, rest = source.partition(first)
    _, mark, after = rest.partition(end)
    assert mark
    return before + new + mark + after


def _once(source: str, old: str, new: str) -> str:
    assert source.count(old) == 1
    return source.replace(old, new)
