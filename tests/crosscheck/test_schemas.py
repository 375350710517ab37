"""The JSON Schemas of the vectors, the protocol and the report: they describe what is written, and what is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases import thinned
from clients import client

from rprop_ref import crosscheck
from rprop_ref.crosscheck import CouldNotRun, Program, check, mutant

jsonschema = pytest.importorskip("jsonschema", reason="needs the extra 'test'")

CONFORMANCE = Path(__file__).parents[2] / "conformance"
SCHEMAS = {
    name: json.loads((CONFORMANCE / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    for name in ("vectors", "protocol", "report")
}


VALIDATORS = {name: jsonschema.Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


def errors(schema, data):
    return [
        f"{list(error.absolute_path)}: {error.message}"[:300] for error in VALIDATORS[schema].iter_errors(data)
    ]


#: One file of three, or all: each has the same form.
VECTORS = thinned(sorted((CONFORMANCE / "vectors").glob("*.json")), 3)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_schemas_are_schemas(schema):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[schema])


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            file, id=file.name, marks=() if file.name == "irprop+.float64.json" else pytest.mark.exhaustive
        )
        for file in VECTORS
    ],
)
def test_the_released_vectors_are_described(file):
    assert errors("vectors", json.loads(file.read_text(encoding="utf-8"))) == []


def test_vectors_that_nobody_wrote_are_refused():
    good = json.loads((CONFORMANCE / "vectors" / "irprop-.float64.json").read_text(encoding="utf-8"))
    good["cases"] = good["cases"][1:2]
    assert errors("vectors", good) == []
    for spoil in (
        lambda data: data.update(version=2),
        lambda data: data.update(dtype="double"),
        lambda data: data["cases"][0].pop("lr_hex"),
        lambda data: data["cases"][0].update(id="one coordinate"),
        lambda data: data["cases"][0].update(needs=["luck"]),
        lambda data: data["cases"][0].update(etas=[0.5]),
        lambda data: data["cases"][0]["steps"][0].update(x=None),
        lambda data: data["cases"][0]["steps"][0].update(x=["NaN"]),
        lambda data: data["cases"][0]["steps"][0].update(x_hex=["0.1"]),
        lambda data: data["cases"][0]["steps"][0].update(set={"etas": [0.5, 1.2]}),
        lambda data: data["cases"][0]["steps"][0].update(momentum=0.9),
    ):
        data = json.loads(json.dumps(good))
        spoil(data)
        assert errors("vectors", data)


class Recorded(Program):
    """A program whose exchanges are kept."""

    def __init__(self, command):
        self.exchanges, self.questions = [], []
        super().__init__(command)

    def _send(self, text):
        self.questions += [json.loads(line) for line in text.splitlines()]
        super()._send(text)

    def _parsed(self, line, op):
        answer = super()._parsed(line, op)
        self.exchanges.append({"question": self.questions.pop(0), "answer": answer})
        return answer


@pytest.mark.exhaustive
def test_what_the_referee_and_a_program_say_is_described(tmp_path):
    has = ["set", "save"]
    with Recorded(client(tmp_path, has=has)) as program:
        check(program, "irprop-", dtypes=["float64"], random=5)
    said = program.exchanges
    assert {exchange["question"]["op"] for exchange in said} == {"hello", "new", "step", "set", "save", "load"}
    gradients = [g for exchange in said for g in exchange["question"].get("grad", [])]
    assert {"nan", "inf", "-inf"} <= {g for g in gradients if isinstance(g, str)}
    few_steps = [e for i, e in enumerate(said) if e["question"]["op"] != "step" or i % 7 == 0 or "nan" in str(e)]
    assert [text for exchange in few_steps for text in errors("protocol", exchange)] == []
    assert errors("protocol", {"question": {"op": "bye"}}) == []


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ("{'x': [1] * len(x)}", True),
        ("{'x': ['-0.0'] * len(x)}", True),
        ("{'x': ['1E+2'] * len(x)}", True),
        ("{'x': ['nan', '-Infinity'] * (len(x) // 2)}", True),
        ("{'x_hex': ['0X1.8P-3'] * len(x)}", True),
        ("{'x_hex': ['0x2'] * len(x), 'prev': None}", True),
        ("{'x': [1] * len(x), 'note': 'nothing'}", True),
        ("{'error': 'no idea'}", True),
        ("{}", False),
        ("{'x': None}", False),
        ("{'x': 1}", False),
        ("{'x': ['high'] * len(x)}", False),
        ("{'x': [True] * len(x)}", False),
        ("{'x': ['1_0'] * len(x)}", False),
        ("{'x': [None] * len(x)}", False),
        ("{'x_hex': ['0.1'] * len(x)}", False),
        ("{'x_hex': [1] * len(x)}", False),
        ("{'x': [1] * len(x), 'prev': 'none'}", False),
        ("{'x': [1] * len(x), 'step_size_hex': ['x'] * len(x)}", False),
        ("{'x': [1] * len(x), 'id': 'seven'}", False),
    ],
)
def test_the_schema_refuses_the_answers_that_the_referee_refuses(answer, good, tmp_path):
    case = crosscheck.conformance_cases(["float64"])[0]
    with Recorded(client(tmp_path, f"a = {answer}")) as program:
        run = program(case.x0, lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False)
        run.step(case.g[0])
        run.step(case.g[1])
        refused = None
        try:
            run.step(case.g[2])
            assert run.step_size is None or len(run.step_size) == case.size
            assert run.prev is None or len(run.prev) == case.size
        except CouldNotRun as error:
            refused = str(error)
        exchange = program.exchanges[-1]
    assert (refused is None or refused == "the program says: no idea") == good
    assert (errors("protocol", exchange) == []) == good


@pytest.mark.parametrize(
    "hello", [{"dtypes": "float64"}, {"dtypes": ["double"]}, {"has": ["sets"]}, {"lacks": ["all"]}]
)
def test_the_schema_refuses_the_first_answers_that_the_referee_refuses(hello):
    question = {"op": "hello", "id": 1, "protocol": 1}
    assert errors("protocol", {"question": question, "answer": {"protocol": 1}}) == []
    assert errors("protocol", {"question": question, "answer": {"protocol": 1, **hello}})


def unstable(x0, **setting):
    raise RuntimeError("no licence")


class Sum:
    """No Rprop: its moves depend on magnitudes."""

    def __init__(self, x0, **setting):
        self.x, self.total = x0, 0

    def step(self, grad, loss=None):
        self.total = self.total + grad
        self.x = self.x - 0.1 * self.total
        return self.x


@pytest.mark.parametrize(
    ("factory", "verdict"),
    [
        (mutant("irprop-", []), "identical"),
        (mutant("irprop-", ["etas in double"]), "same rule, rounding differs"),
        (mutant("irprop-", ["moves on at a flip"]), "a different rule"),
        pytest.param(Sum, "a different rule", marks=pytest.mark.exhaustive),
        (unstable, "could not run"),
    ],
    ids=["identical", "rounding", "a deviation", "no Rprop", "errors"],
)
def test_reports_are_described(factory, verdict):
    report = check(factory, "irprop-", dtypes=["float32"], without=["nan", "inf"], random=5)
    assert report.verdict == verdict
    assert errors("report", json.loads(report.to_json())) == []
