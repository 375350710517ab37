"""What an implementation does is found by experiments, in all tiers, or it is said what it depends on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import pytest
from cases import sampled, thinned
from everyday import everyday
from implementations import ours
from strangers import STRANGERS, LimitsOfLr, MemoryOfOnes, OwnNumbers, Stranger

from benchmarks.random_tables import outside_rules, random_table
from rprop_ref._core.dtypes import named as dtype_named
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck import Rule, check, conformance_cases, decompile, mutant
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._cases.randomized import random_cases, random_cases_of_tier
from rprop_ref.crosscheck._cases.tiers import CALLS, HYPERPARAMETERS, NUMBERS, ORDINARY, PRECISION, TIERS, tier_of
from rprop_ref.crosscheck._comparison.divergence import first_divergence
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._experiments.grammars import grammars
from rprop_ref.crosscheck._experiments.laboratory import Laboratory
from rprop_ref.crosscheck._experiments.measure import _single, measured
from rprop_ref.crosscheck._experiments.search import Learned, Search, luby
from rprop_ref.crosscheck._experiments.strands import Nature, strands
from rprop_ref.crosscheck._experiments.traits import beyond_ordinary, depends_on_time, examine
from rprop_ref.crosscheck._experiments.units import Units
from rprop_ref.crosscheck._table.grammar import GLOBALS, Grammar
from rprop_ref.crosscheck._table.machine import Known, advance, begin, same
from rprop_ref.crosscheck._table.table import Table


@pytest.mark.parametrize(
    "stranger",
    sampled(dict.fromkeys([*thinned(STRANGERS, 2), LimitsOfLr]), [OwnNumbers, LimitsOfLr]),
    ids=lambda s: s.__name__,
)
def test_a_stranger_is_understood_in_all_tiers(stranger):
    nearest, sentence = STRANGERS[stranger]
    found = decompile(stranger, dtypes=["float64"])
    assert found.explained, found.headline
    assert found.rule.nearest == nearest
    assert sentence in found.rule.differences
    assert [tier.tier for tier in found.tiers] == [ORDINARY, HYPERPARAMETERS, NUMBERS, CALLS]
    assert all(tier.random > 50 for tier in found.tiers)


@pytest.mark.parametrize(
    "variant", sampled(thinned(["irprop-", "rprop+", "rprop-", "irprop+", "irprop-go"], 2), [])
)
def test_the_five_rules_are_found_and_their_source_runs(variant):
    found = decompile(ours(variant), dtypes=["float64"], without=["save"])
    assert found.explained
    assert (found.rule.nearest, found.rule.differences) == (variant, ())
    report = check(
        found.rule, variant, dtypes=["float64", "float32"], without=["save", "lr per coordinate"], random=30
    )
    assert report.agrees or all("rounds to" in d.case.name for d in report.divergences), str(report)
    source = found.rule.source()
    assert len(source.splitlines()) <= 32
    names = {}
    exec(source, names)
    assert set(names) >= {"start", "step"}


GUIDE = Path(__file__).parents[2] / "docs" / "crosscheck.md"
FOREIGN = Path(__file__).parents[3] / "shared" / "foreign" / "ten_rprops.py"


@pytest.mark.exhaustive
@pytest.mark.parametrize(("number", "name"), [(0, None), (1, "encog_rprop_p"), (2, "optax_0_2_8")])
def test_the_guide_shows_what_is_found(number, name):
    factory = ours("rprop+")
    if name is not None:
        if not FOREIGN.is_file():
            pytest.skip("the class that the guide speaks of is not in this project")
        factory, _ = run_path(str(FOREIGN))["REGISTRY"][name]
    block = re.findall(r"^```text\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)[number]
    found = decompile(factory, dtypes=["float64"], without=["save", "set", "lr per coordinate", "bounds"])
    code = "".join(line for line in found.rule.source().splitlines(keepends=True) if '"""' not in line)
    assert block.strip() in code


#: Tables that are understood in all tiers. Not all are: `make bench` has the figure.
UNDERSTOOD = (
    303, 339, 8018, 9007, 9103, 9147, 9203, 9511, 8010, 21006, 94000, 40010, 50014, 63024, 64235, 65014, 80113,
)  # fmt: skip


@pytest.mark.parametrize("seed", sampled(thinned(UNDERSTOOD, 6), []))
def test_a_table_drawn_at_random_is_found(seed):
    found = decompile(Rule(random_table(seed)), dtypes=["float64"])
    assert found.rule is not None, found.headline
    assert found.explained, found.headline


#: The second shows one step late what its saved state lacks.
@pytest.mark.exhaustive
@pytest.mark.parametrize(("seed", "cases_seed"), thinned([(9122, 777), (61008, 1051008)], 2))
def test_what_only_a_saved_state_before_an_infinite_gradient_meets_is_learned(seed, cases_seed):
    theirs = Rule(random_table(seed))
    found = decompile(theirs, dtypes=["float64"])
    assert found.explained, found.headline
    cases = random_cases_of_tier(CALLS, cases_seed, ("float64",), 300, frozenset())
    pairs = zip(found.rule.on_cases(cases), theirs.on_cases(cases), strict=True)
    assert not [divergence for ours, other in pairs if (divergence := first_divergence(ours, other))]


def test_the_distance_between_walls_is_no_largest_step_size():
    assert measured(Laboratory(Rule(random_table(9103)), "float64")) == {"walls": (1500.0,)}


#: Numbers that show only where step sizes have left their first limit, after two more gradients, or after a NaN.
HIDDEN = {9427: ("factor", 0.7), 9429: ("factor", 0.7), 9409: ("small products", 1e-13)}


@pytest.mark.parametrize("seed", sampled(HIDDEN, [9427, 9409]))
def test_a_number_that_shows_late_is_measured(seed):
    field, value = HIDDEN[seed]
    with np.errstate(all="ignore"):
        assert value in measured(Laboratory(Rule(random_table(seed)), "float64"))[field]


def test_powers_of_a_factor_are_no_numbers_of_their_own():
    assert measured(Laboratory(Rule(random_table(40000)), "float64"))["factor"] == (0.7,)


def test_a_largest_step_size_is_told_from_one_that_was_multiplied():
    assert measured(Laboratory(Rule(random_table(9485)), "float64"))["largest"] == (1000.0,)


def test_of_two_thresholds_each_is_measured():
    assert measured(Laboratory(Rule(random_table(9513)), "float64"))["small products"] == (1e-30, 1e-18)


def test_where_squares_underflow_is_no_threshold_of_its_own():
    with np.errstate(all="ignore"):
        assert measured(Laboratory(Rule(random_table(21030)), "float64")) == {}


def test_hyperparameters_rounded_to_float32_are_told_by_all_that_they_do():
    laboratory = Laboratory(Rule(random_table(9476)), "float64")
    _, grammar = next(grammars(examine(laboratory).nature, Units(laboratory, {})))
    assert grammar.answers("constants") == ("float32",)


#: The last needs a NaN and four more gradients.
@pytest.mark.parametrize(
    ("seed", "nature"),
    [(9258, Nature(True, True)), (9153, Nature(False, False)), (80113, Nature(True, True))],
)
def test_what_matters_only_in_an_outer_tier_is_seen(seed, nature):
    laboratory = Laboratory(Rule(random_table(seed)), "float64")
    ordinary = examine(laboratory).nature
    assert ordinary == Nature(True, False)
    assert beyond_ordinary(laboratory, ordinary, frozenset()) == nature


@pytest.fixture(scope="module")
def many_cases():
    fixed = [case for case in conformance_cases(["float64", "float32"]) if case.bounds is None]
    return fixed + random_cases(5, ["float64", "float32", "float16", "complex64"], 60, lambda feature: True)


@pytest.mark.parametrize("seed", sampled(thinned(range(40), 3), [0]))
def test_a_rule_on_many_cases_at_once_does_what_it_does_on_each(seed, many_cases):
    rule = Rule(random_table(seed))
    for together in rule.on_cases(many_cases):
        alone = observe(rule, together.case, frozenset(("prev", "step_size")))
        assert alone.error is None
        assert first_divergence(together, alone) is None


#: A sign change told by a factor that is not eta-; a limit of its own, with the others in float32; and gradients that
#: are too small to move x back and forth.
RARE = (8018, 9133, 61026)


@pytest.mark.parametrize("seed", sampled([*thinned(range(60), 3), *RARE], [0, 9133, 61026]))
def test_the_search_and_the_code_of_a_table_agree(seed, many_cases):
    assert_code_and_search_agree(random_table(seed), many_cases)


#: A late table that restores x at NaN, and may move back and forth at a sign change; NaN in the caller's own array.
@pytest.mark.parametrize(
    ("seed", "more"),
    [
        (9418, {}), (9418, {"flip: move": "back and forth"}), (30127, {}),
        (30127, {"move by": "lr times size", "lr set": "used"}),
        (9418, {"move by": "lr times size", "own limits": "times lr", "largest": 2.0, "step sizes": "float32"}),
    ],
)  # fmt: skip
def test_the_search_and_the_code_of_a_rare_table_agree(seed, more, many_cases):
    table = random_table(seed)
    rare = Table({**table.entries, **more}, table.symmetric, table.uses_loss)
    assert_code_and_search_agree(rare, many_cases)


def test_losses_may_be_python_floats():
    rule = Rule(Table({**random_table(30412).entries, "loss test": "rose"}, uses_loss=True))
    g = np.random.default_rng(1).choice([1.0, -1.0, 0.0], (12, 40))
    alone = Laboratory(rule, "float64").run(g, lr=100.0, loss=(1.0, 3, 3, 2, 1, 3, 1, 1, 2, 5, 1, 2))
    (together,) = rule.on_cases([alone.case])
    assert "~rose" in rule.source()
    assert first_divergence(together, alone) is None


def assert_code_and_search_agree(table, cases):
    grammar = Grammar(table.symmetric, wide=True)
    plain = {name: next(iter(answers)) for name, answers in GLOBALS.items()}
    known = Known({**plain, **table.entries}, grammar)
    nature = Nature(table.symmetric, table.uses_loss)
    scripts = [case for case in cases if case.dtype == "float64" and case.objective is None]
    with np.errstate(all="ignore"):
        for trajectory in Rule(table).on_cases(scripts):
            for strand in strands(trajectory, nature):
                state = begin(known, strand.x0, strand.settings)
                for call, x, gradient in zip(strand.calls, strand.x, strand.gradient, strict=False):
                    state = advance(known, state, call, strand.settings)
                    assert same(state.x, x), str(trajectory.case)
                    assert same(state.touched, gradient), str(trajectory.case)


def test_answers_that_cannot_all_be_right_are_found_again():
    learned = Learned()
    groups = {"a": frozenset(("x", "y")), "b": frozenset(("z",))}
    learned.add(groups)
    assert learned.complete({"a": "y", "b": "z", "c": "w"}) == groups
    assert learned.complete({"a": "w", "b": "z"}) is None
    assert learned.complete({"a": "y"}) is None
    assert learned.against("b", {"a": "x"})("z") == groups
    assert learned.against("b", {"a": "x"})("w") is None
    assert learned.against("b", {})("z") is None
    learned.cut(0)
    assert learned.complete({"a": "y", "b": "z"}) is None


def test_most_moves_tell_the_direction_and_not_the_first():
    laboratory = Laboratory(Rule(random_table(20019)), "float64")
    found = [grammar.answers("direction") for _, grammar in grammars(Nature(True, True), Units(laboratory, {}))]
    assert found[:2] == [("down",), ("up",)]


def test_searches_of_other_first_attempts_use_other_orders(monkeypatch):
    orders = []
    monkeypatch.setattr(Search, "_begin_anew", lambda self, attempt, wanted: orders.append(attempt))

    def give_up(self, limit):
        self.exhausted = True
        return False

    monkeypatch.setattr(Search, "_solved", give_up)
    for attempt in (0, 1):
        assert not Search(Grammar(), attempt).require([], 3)
    assert len(set(orders)) == 4


def test_searches_begin_anew_after_steps_of_lubys_sequence():
    assert [luby(n) for n in range(1, 16)] == [1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8]


#: What the results of each are seen to depend on. (One that the search gives up is a case of `check`.)
OUTSIDE = {
    "RandomSteps 0.5": "chance", "MeanSign 0.5": "other coordinates", "Gradient 0.5": "magnitudes",
    "Decaying 0.5": "time", "WeightDecay 0.9": "x itself",
}  # fmt: skip


@pytest.mark.parametrize("name", sampled(OUTSIDE, ["RandomSteps 0.5", "MeanSign 0.5"]))
def test_a_rule_outside_the_grammar_gets_no_table(name):
    found = decompile(dict(outside_rules())[name], dtypes=["float64"])
    assert found.rule is None
    assert any(text.startswith(OUTSIDE[name]) for text in found.outside)
    assert found.headline.startswith("This is not a per-co")


@pytest.mark.exhaustive
def test_check_without_a_claim_compares_with_the_nearest_rule():
    report = check(
        mutant("rprop+", []), dtypes=["float64"], without=["save", "set", "lr per coordinate"], random=10
    )
    assert report.claim == "rprop+"
    assert report.agrees
    assert report.rule.nearest == "rprop+"


@pytest.mark.exhaustive
def test_a_report_tells_what_was_learned_if_no_known_deviation_explains_it():
    class OwnFactor(Stranger):
        def update(self, g, loss):
            q = g * self.prev
            self.size = self.size * np.where(q > 0, self.kind(1.1), np.where(q < 0, self.down, self.kind(1)))
            self.size = np.clip(self.size, self.lo, self.hi)
            self.x, self.prev = self.x - np.where(g == 0, 0, np.sign(g)) * self.size, g

    report = check(OwnFactor, "rprop-", dtypes=["float64"], without=["nan", "inf"], random=0)
    (explanation,) = report.diagnosis.explanations
    assert explanation.learned
    name = "where the gradient keeps its sign, multiplies the step size by 1.1"
    sentence = "Where the gradient keeps its sign: multiplies the step size by 1.1."
    assert explanation.names == (name,)
    assert [a.does for a in explanation.changes] == [sentence]
    assert report.headline == f"This is not rprop-: {name}."
    assert report.to_agree == (
        "As in rprop-: Where the gradient keeps its sign: multiplies the step size by eta+."
    )
    assert sentence in str(report)
    assert report.rule.nearest == "rprop-"
    assert "report.rule.source()" in str(report)
    data = json.loads(report.to_json())
    assert data["diagnosis"]["learned"]
    ((told,),) = data["diagnosis"]["explanations"]
    assert (told["name"], told["does"], told["to_agree"]) == (name, sentence, report.to_agree)
    assert data["points"] == [
        {"text": name, "does": sentence, "to_agree": report.to_agree, "known_in": [], "tier": ORDINARY}
    ]
    assert data["rule"]["differences"] == list(report.rule.differences)
    assert data["tiers"][ORDINARY]["differing"] > 0


#: How numbers are rounded in other dtypes than float64, and what is in the table of it.
ROUNDING = {
    "etas in double": ("arithmetic", "etas in double"),
    "bfloat16 etas not rounded": ("arithmetic", "bfloat16 etas not rounded"),
    "computed in double": ("arithmetic", "computed in double"),
    "computed in double, constants rounded": ("arithmetic", "computed in double, constants rounded"),
    "16 bits computed in float32": ("arithmetic", "16 bits computed in float32"),
    "16 bits computed in float32, constants rounded": (
        "arithmetic", "16 bits computed in float32, constants rounded"
    ),
    "float16 lr rounded once": ("16-bit constants", "float16 lr at once"),
    "float16 constants rounded once": ("16-bit constants", "bfloat16 through float32"),
    "constants through float32": ("16-bit constants", "through float32"),
    "state in double": ("arithmetic", "state in double"),
    "16 bits kept in float32": ("arithmetic", "16 bits kept in float32"),
    "computed in float32": ("arithmetic", "computed in float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", sampled(thinned(ROUNDING, 3), []))
def test_how_numbers_are_rounded_is_found(name):
    dtypes = ["float64", "float32"] if name == "etas in double" else [*available_reals(), "complex64"]
    without = ["none", "set", "save", "lr per coordinate", "bounds"]
    if "etas" in name:  # the known deviations still take an eta- that rounds to 1 or 0 for these
        without.append("etas")
    found = decompile(mutant("irprop-", [name]), dtypes=dtypes, without=without)
    assert found.explained, found.headline
    key, answer = ROUNDING[name]
    assert found.rule.table[key] == answer


#: Those that are not: x becomes an array of float32 where `np.where` meets bfloat16 and 0, or only float64 is taken.
NOT_IN_BFLOAT16 = ("SwappedLateLimited", "Late", "SinglePrecisionSizes")


@pytest.mark.parametrize(
    "stranger", sampled(thinned([s for s in STRANGERS if s.__name__ not in NOT_IN_BFLOAT16], 4), [MemoryOfOnes])
)
def test_a_stranger_is_understood_in_every_dtype_that_it_takes(stranger):
    """NumPy rounds what an array is filled with to bfloat16 in another way than a number by itself."""
    found = decompile(stranger)
    assert PRECISION in [tier.tier for tier in found.tiers]
    assert found.explained, found.headline


class SizesInDouble(Stranger):
    """Step sizes are in double, whatever x is in, as `np.full` makes them; the memory is kept at a sign change."""

    def start(self):
        self.size = np.full(self.x.shape, float(self.lr))

    def update(self, g, loss):
        q = g * self.prev
        self.size = np.clip(
            self.size * np.where(q > 0, self.up, np.where(q < 0, self.down, 1)), self.lo, self.hi, dtype=float
        )
        self.x -= np.sign(g) * self.size
        self.prev = g


def test_what_one_dtype_leaves_unexplained_does_not_hide_the_rule():
    dtypes = ["float64", "float32"]
    found = decompile(SizesInDouble, dtypes=dtypes)
    assert found.rule.nearest == "rprop-"
    assert [tier.tier for tier in found.tiers if not tier.explained] == [PRECISION]
    report = check(SizesInDouble, "irprop-", dtypes=dtypes)
    assert "memory kept at a flip" in report.headline
    assert report.headline.endswith("Not explained: precision.")


class SameSign(Stranger):
    """Grows where the sign is the last one, and shrinks otherwise; NaN has the sign 0."""

    def start(self):
        self.prev = None

    def update(self, g, loss):
        sign = (g > 0).astype(self.x.dtype) - (g < 0).astype(self.x.dtype)
        if self.prev is not None:
            size = np.where(sign == self.prev, self.size * self.up, self.size * self.down)
            self.size = np.clip(size, self.lo, self.hi)
        self.prev = sign
        self.x = self.x - sign * self.size


@pytest.mark.exhaustive
def test_what_an_outer_tier_leaves_unexplained_is_not_explained_in_part():
    found = decompile(SameSign, dtypes=["float64"], without=["maximize", "lr outside step_sizes"])
    assert [tier.tier for tier in found.tiers if not tier.explained] == [NUMBERS]
    entries = found.rule.table.entries
    assert (entries["start"], entries["first: factor"], entries["rest: factor"]) == ("lr", "1", "up")


#: Tables whose moves are NaN, or are told from numbers only, in some events; and one whose factors are all 1.
NUMBERS_ONLY = (72, 205, 304, 448, 818)


@pytest.mark.parametrize("seed", sampled([*range(30), *NUMBERS_ONLY], [*range(0, 30, 6), *NUMBERS_ONLY]))
def test_the_source_runs_as_it_is_printed(seed):
    table = random_table(seed)
    factory, names = Rule(table), {}
    exec(factory.source(), names)
    numbers = 0.1, 0.5, 1.2, 0.01, 2.0
    for dtype in map(dtype_named, available_reals()):
        rng, state, x0 = np.random.default_rng(seed), SimpleNamespace(), np.zeros(20, dtype)
        names["start"](state, x0, *numbers)
        running, x = factory(x0, lr=0.1, etas=(0.5, 1.2), step_sizes=(0.01, 2.0)), x0
        draws = rng.choice([1.0, -1.0, 2.0, 0.0, np.nan, np.inf], (12, 20), p=[0.35, 0.3, 0.15, 0.1, 0.05, 0.05])
        with np.errstate(all="ignore"):
            for g in draws.astype(dtype):
                loss = float(rng.choice([1.0, 2.0, 3.0]))
                x = names["step"](state, x, g.copy(), *numbers, *((loss,) if table.uses_loss else ()))
                assert same_bits(running.step(g.copy(), loss), x)
                assert {x.dtype, state.prev.dtype, state.size.dtype} == {dtype}


@pytest.mark.exhaustive
def test_the_others_that_are_beside_the_repository_are_explained_in_all_tiers():
    if not FOREIGN.is_file():
        pytest.skip("needs a file beside the repository, with implementations that others wrote")
    lacks = ["save", "set", "lr per coordinate", "bounds"]
    for name, (factory, _) in run_path(str(FOREIGN))["REGISTRY"].items():
        found = decompile(factory, without=lacks)
        if name == "student_shared_step":
            assert found.rule is None
            assert "coordinates are coupled" in found.headline
        else:
            assert found.explained, (name, found.headline)


#: Known deviations, and the entry of a table that says the same.
WITHOUT_NAMES = {
    ("irprop-", "subnormals flushed"): ("subnormals", "all flushed"),
    ("irprop-", "step size never kept"): ("base", "lr"),
    ("irprop-", "step size lost on resume"): ("saved", "no step size"),
    ("irprop-", "first call only stores"): ("first move", "none"),
    ("irprop-", "limits swapped"): ("step_sizes", "swapped"),
    ("irprop-", "zero leaves the memory"): ("nan product 0: memory", "kept"),
    ("irprop-", "adapts after the move"): ("nan product: move", "old"),
    ("rprop+", "one step late"): ("flip: late move", "at once"),
    ("irprop+", "skips NaN gradients"): ("NaN gradient", "skipped, with its loss"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize(("claim", "name"), thinned(WITHOUT_NAMES, 4))
def test_a_known_deviation_is_learned_in_all_tiers(claim, name):
    found = decompile(mutant(claim, [name]), dtypes=["float64"], without=["bounds", "lr per coordinate"])
    assert found.explained, found.headline
    key, answer = WITHOUT_NAMES[claim, name]
    assert found.rule.table.entries[key] == answer


@pytest.mark.exhaustive
def test_what_an_outer_tier_leaves_unexplained_does_not_spoil_the_rule_of_inner_ones():
    lacks = {"none", "set", "save", "lr per coordinate", "bounds"}

    def factory(x0, *, etas, **setting):
        """It rounds 16-bit numbers once, but for the etas."""
        if x0.itemsize == 2:
            etas = tuple(float(np.float32(eta)) for eta in etas)
        return mutant("irprop-", ["constants rounded once"])(x0, etas=etas, **setting)

    found = decompile(factory, dtypes=available_reals(), without=lacks)
    assert [tier.tier for tier in found.tiers if not tier.explained] == [PRECISION]
    assert not found.explained
    cases = [c for c in conformance_cases(available_reals()) if not c.needs & lacks and tier_of(c) != PRECISION]
    for case, made in zip(cases, found.rule.on_cases(cases), strict=True):
        assert first_divergence(made, observe(factory, case, frozenset(("prev", "step_size")))) is None, case


@pytest.mark.exhaustive
@pytest.mark.parametrize("claim", ["irprop-", "rprop+"])
def test_a_nan_gradient_that_is_skipped_is_one_difference_also_at_infinite_steps(claim):
    found = decompile(mutant(claim, ["skips NaN gradients"]), dtypes=["float64"])
    assert found.explained
    assert found.rule.differences == ("A NaN gradient is skipped: x, step size and memory stay as they are.",)
    assert found.rule.summary() == ["skips NaN gradients"]


@pytest.mark.exhaustive
def test_an_implementation_in_doubles_is_not_asked_about_other_dtypes():
    found = decompile(everyday("memory not zeroed"))
    assert {tier.tier for tier in found.tiers} == set(TIERS) - {PRECISION}
    assert not {"arithmetic", "16-bit constants"} & set(found.rule.table.entries)


@pytest.mark.parametrize("seed", sampled(range(12), [3]))
def test_a_rule_computes_in_the_dtype_of_x(seed):
    rule = Rule(random_table(seed))
    for dtype in available_reals():
        run = rule(np.zeros(3, dtype_named(dtype)), lr=0.1)
        for g in ([1, -1, 0], [1, 1, 1], [-1, 2, 0]):
            x = run.step(np.array(g, dtype_named(dtype)), loss=1.0)
            state = {name: value for name, value in vars(run._s).items() if isinstance(value, np.ndarray)}
            assert {a.dtype.name for a in (x, *state.values())} <= {dtype, "bool"}, state


def test_a_corner_does_not_hide_what_ordinary_use_has_shown():
    report = check(mutant("irprop-", ["first step not clamped"]), "irprop-", dtypes=["float64"], random=0)
    assert report.headline == "This is irprop-, except where lr is outside step_sizes: first step not clamped."
    assert report.tiers[ORDINARY].differing == 0 < report.tiers[HYPERPARAMETERS].differing
    assert report.differs_only_in == ("lr outside step_sizes",)
    assert "without=['lr outside step_sizes'], or --without \"lr outside step_sizes\"." in str(report)
    left_out = check(
        mutant("irprop-", ["first step not clamped"]), "irprop-", dtypes=["float64"], random=0,
        without=["lr outside step_sizes"],
    )  # fmt: skip
    assert left_out.agrees


@pytest.mark.exhaustive
def test_an_implementation_of_one_coordinate_is_understood():
    class One(Stranger):
        def __init__(self, x0, **setting):
            if x0.size > 1:
                raise ValueError("one coordinate only")
            super().__init__(x0, **setting)

        def update(self, g, loss):
            q = g * self.prev
            self.size = np.clip(
                self.size * np.where(q > 0, self.up, np.where(q < 0, self.down, 1)), self.lo, self.hi
            )
            self.x, self.prev = self.x - np.sign(g) * self.size, g

    found = decompile(One, dtypes=["float64"], without=["nan", "inf"])
    assert found.rule.nearest == "rprop-"


@pytest.mark.parametrize(
    ("name", "tier"),
    [("basics", ORDINARY), ("a long run", ORDINARY), ("tight limits", ORDINARY), ("crossed limits", HYPERPARAMETERS),
     ("eta- that rounds to 0", HYPERPARAMETERS), ("NaN gradients", NUMBERS), ("magnitudes", NUMBERS),
     ("missing gradients", CALLS), ("one gradient array", CALLS), ("bounds", CALLS)],
)  # fmt: skip
def test_every_case_belongs_to_a_tier(name, tier):
    (case,) = (case for case in conformance_cases(["float64"]) if case.name == name)
    assert tier_of(case) == tier
    assert {tier_of(case) for case in conformance_cases(["float16"])} == {PRECISION}
    assert next(iter(TIERS)) == ORDINARY


def test_rows_that_differ_by_the_sign_only_are_told_as_one():
    entries = {f"{row} {sign}: move": "new" for row in ("same", "fresh") for sign in "+-"}
    entries |= {f"zero {sign}: move": "+new" for sign in "+-"} | {"flip +: move": "+new"}
    assert str(Table(entries, symmetric=False)).splitlines()[1:4] == [
        "  * Where the gradient keeps its sign, and where the memory is 0: moves downhill by the new step size.",
        "  * Where the gradient changes its sign (now positive), and where the gradient is 0 and the memory is not: "
        "moves up by the new step size.",
        "  * Step sizes begin at lr.",
    ]


def test_where_the_sign_is_known_the_code_may_write_it_as_a_number():
    # As FANN does it: up after a sign change and at a zero, whatever the gradient.
    moves = {f"{row} {sign}: move": "new" for row in ("same", "fresh", "nan product") for sign in "+-"}
    up = ("flip +", "zero +", "zero -", "rest", "nan", "nan product +")
    rule = Rule(Table({**moves, "flip -: move": "new", **{f"{row}: move": "+new" for row in up}}, symmetric=False))
    assert "    sign = np.where((q >= 0) & (g > 0), 1, -1).astype(x.dtype)\n" in rule.source()


class Counting(Stranger):
    """iRprop- that may count: steps without adaptation, agreements until growth ends; or with a decay, or rounded x."""

    warm_up, agreements, decay, digits = 0, np.inf, 1.0, None

    def start(self):
        self.steps, self.agreed = 0, np.zeros(self.x.shape)

    def update(self, g, loss):
        q = g * self.prev
        self.agreed = np.where(q > 0, self.agreed + 1, 0)
        factor = np.where((q > 0) & (self.agreed <= self.agreements), self.up, np.where(q < 0, self.down, 1))
        if self.steps >= self.warm_up:
            self.size = np.clip(self.size * self.decay * factor, self.lo, self.hi)
        self.prev = np.where(q < 0, 0, g)
        self.x = self.x - np.sign(self.prev) * self.size
        if self.digits is not None:
            self.x = self.x.round(self.digits)
        self.steps += 1


def counting(**attributes):
    return type("Counting", (Counting,), attributes)


@pytest.mark.parametrize(
    ("attributes", "is_timed"), [({"warm_up": 5}, True), ({"decay": 0.99}, False), ({"agreements": 3}, False)]
)
def test_only_a_rule_that_counts_its_steps_depends_on_time(attributes, is_timed):
    assert depends_on_time(Laboratory(counting(**attributes), "float64")) is is_timed


def test_an_x_that_is_rounded_is_seen():
    assert [text[:8] for text in examine(Laboratory(counting(digits=6), "float64")).outside] == ["x itself"]


def test_what_shows_after_many_agreements_only_is_not_called_identical():
    report = check(
        counting(agreements=20), "irprop-", dtypes=["float64"], without=["prev", "nan"], diagnosis=False
    )
    assert report.verdict == "a different rule"


@pytest.mark.exhaustive
def test_what_shows_after_many_agreements_only_is_not_explained_without_it():
    assert decompile(counting(agreements=20), dtypes=["float64"], without=["nan"]).rule is None


@pytest.mark.parametrize(
    ("values", "factors"),
    [
        ([1.2, 0.5, 1.44, 0.6, 1.728, 0.72, 0.36, 0.3], [0.5, 1.2]),
        ([1.05, 0.7, 0.735, 0.49], [0.7, 1.05, 1.5]),
        ([1.1, 1.21, 1.331, 0.77, 0.847, 0.9317], [1.1, 0.77, 0.7]),
        ([0.6, 0.72, 0.864], [0.6, 1.2]),
    ],
)
def test_factors_are_the_fewest_numbers_that_all_are_products_of(values, factors):
    assert _single(values) == factors
