"""The dashboards of env staging as applied: valid for who shows them, of metrics that are put."""

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import estates
from tests.conftest import ORCHESTRATION, ROOT, STAGING, TARGET, Stage
from tests.terraform.readme import MODULES
from validator import continuous
from validator.findings import Verdict
from validator.quotas import REPLICATING_SERVERS

pytestmark = pytest.mark.slow

Json = dict[str, Any]
COLUMNS = 24
DRS = {
    "TotalSourceServerCount",
    "LagDuration",
    "Backlog",
    "DurationSinceLastSuccessfulRecoveryLaunch",
    "ElapsedReplicationDuration",
}
"""What DRS documents, on its page of CloudWatch metrics; what else is about is of AWS's guidance only."""
QUERY = re.compile(
    r'SELECT (?:MAX|MIN|SUM)\((\w+)\) FROM (?:"AWS/DRS"|SCHEMA\("AWS/DRS", SourceServerID\))'
    r"(?: WHERE AWS\.AccountId = '(\d{12})')?"
    r"(?: GROUP BY SourceServerID ORDER BY MAX\(\) DESC LIMIT 10)?"
)


def resources(module: Json) -> Iterator[Json]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


@pytest.fixture(scope="module")
def document(applied_stage: Stage) -> Json:
    planned: Json = applied_stage.document()["planned_values"]
    return planned


@pytest.fixture(scope="module")
def of_type(document: Json) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for each in resources(document["root_module"]):
        found.setdefault(each["type"], []).append(each["values"])
    return found


@pytest.fixture(scope="module")
def widgets(of_type: dict[str, list[Json]]) -> list[Json]:
    (dashboard,) = of_type["aws_cloudwatch_dashboard"]
    body = json.loads(dashboard["dashboard_body"])
    assert set(body) == {"start", "periodOverride", "widgets"}
    found: list[Json] = body["widgets"]
    return found


@pytest.fixture(scope="module")
def grafana(document: Json) -> Json:
    found: Json = json.loads(document["outputs"]["grafana_dashboard"]["value"])
    return found


@pytest.fixture(scope="module")
def put(of_type: dict[str, list[Json]]) -> set[tuple[Any, ...]]:
    """Namespace, name and dimensions of each metric that the function puts for this estate."""
    (function,) = [
        each for each in of_type["aws_lambda_function"] if "continuous" in each["function_name"]
    ]
    namespace = function["environment"][0]["variables"]["METRIC_NAMESPACE"]
    estate = estates.estate(view="live")
    estate = replace(
        estate,
        target=replace(estate.target, servers=()),
        staging=tuple(replace(each, servers=()) for each in estate.staging),
    )
    found: set[tuple[Any, ...]] = {
        (namespace, name, frozenset({"Environment": "staging", **dimensions}.items()))
        for name, _, dimensions in continuous._metrics(estate, Verdict(()))
    }
    completed = (namespace, "Completed", frozenset({("Environment", "staging")}))
    return found | {completed}


def apart(boxes: list[tuple[int, int, int, int]]) -> bool:
    """True if no two boxes of x, y, width and height share a cell of the grid."""
    return not any(
        a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
        for a, b in itertools.combinations(boxes, 2)
    )


def test_boxes_that_overlap_are_not_apart() -> None:
    assert apart([(0, 0, 12, 6), (12, 0, 12, 6), (0, 6, 24, 6)])
    assert not apart([(0, 0, 12, 6), (11, 5, 12, 6)])


def test_cloudwatch_takes_the_widgets(widgets: list[Json]) -> None:
    assert 0 < len(widgets) <= 500
    for each in widgets:
        assert set(each) == {"type", "x", "y", "width", "height", "properties"}
        assert each["type"] in {"text", "metric"}
        assert all(isinstance(each[side], int) for side in ("x", "y", "width", "height"))
        assert each["x"] >= 0 and each["y"] >= 0 and each["height"] >= 1 <= each["width"]
        assert each["x"] + each["width"] <= COLUMNS and each["height"] <= 1000
    assert apart([(each["x"], each["y"], each["width"], each["height"]) for each in widgets])


def test_cloudwatch_takes_their_properties(widgets: list[Json]) -> None:
    for each in widgets:
        properties = each["properties"]
        if each["type"] == "text":
            assert set(properties) == {"markdown"}
            continue
        assert properties["view"] == "timeSeries" and properties["region"] == "us-west-2"
        assert properties["period"] % 60 == 0 and properties["stat"] in {"Maximum", "Sum"}
        assert 0 < len(properties["metrics"]) <= 500
        for mark in properties["annotations"]["horizontal"]:
            assert re.fullmatch("#[0-9a-f]{6}", mark["color"]) and mark["label"]
        queries = [m[0]["expression"] for m in properties["metrics"] if isinstance(m[0], dict)]
        # CloudWatch takes one query in a widget, and nothing beside it here.
        assert not queries or len(properties["metrics"]) == 1
        assert ("accountId" in properties) == bool(queries)


def shown(widgets: list[Json]) -> set[tuple[Any, ...]]:
    """Namespace, name and dimensions of each metric that stands in a widget by name."""
    found = set()
    for widget in widgets:
        for namespace, name, *dimensions, _ in (
            m for m in widget["properties"].get("metrics", []) if len(m) > 1
        ):
            assert len(dimensions) % 2 == 0
            found.add((namespace, name, frozenset(zip(*[iter(dimensions)] * 2, strict=True))))
    return found


def test_every_metric_that_is_put_is_shown_and_no_other(
    widgets: list[Json], put: set[tuple[Any, ...]]
) -> None:
    assert {name for _, name, _ in put} == {
        "Verdict", "Findings", "Replicating", "Extended", "Missing", "Completed"
    }  # fmt: skip
    assert shown(widgets) == put


def test_each_account_shows_what_drs_documents(widgets: list[Json]) -> None:
    by_account: dict[str, set[str]] = {}
    for each in widgets:
        properties = each["properties"]
        if "accountId" in properties:
            query = QUERY.fullmatch(properties["metrics"][0][0]["expression"])
            assert query and query[2] is None
            by_account.setdefault(properties["accountId"], set()).add(query[1])
    assert by_account == {TARGET: DRS, STAGING: DRS}


def test_the_line_of_the_quota_is_the_quota(widgets: list[Json]) -> None:
    marks = [
        m for w in widgets for m in w["properties"].get("annotations", {}).get("horizontal", [])
    ]
    (quota,) = [mark["value"] for mark in marks if mark["label"] == "quota"]
    assert quota == REPLICATING_SERVERS.value
    assert f"var.headroom < {quota} " in (MODULES / "dashboards/variables.tf").read_text()


def test_grafana_takes_the_dashboard(grafana: Json) -> None:
    assert grafana["title"] and 0 < len(grafana["uid"]) <= 40 and "id" not in grafana
    assert grafana["schemaVersion"] >= 30
    variables = {each["name"]: each for each in grafana["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "cloudwatch"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(grafana["panels"])))
    assert used == set(variables)
    panels = grafana["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    boxes = [tuple(panel["gridPos"][side] for side in "xywh") for panel in panels]
    assert all(x >= 0 and x + w <= COLUMNS for x, _, w, _ in boxes)
    assert apart(boxes)


def test_grafana_takes_the_panels(grafana: Json) -> None:
    for panel in grafana["panels"]:
        assert panel["type"] in {"row", "timeseries"} and panel["title"]
        if panel["type"] == "row":
            assert panel["panels"] == [] and panel["collapsed"] is False
            continue
        assert panel["datasource"] == {"type": "cloudwatch", "uid": "${datasource}"}
        names = [target["refId"] for target in panel["targets"]]
        assert names and len(set(names)) == len(names)
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        assert [s["value"] for s in steps[1:]] == sorted(s["value"] for s in steps[1:])
        # A gap stays a gap.
        assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False


def test_grafana_shows_what_cloudwatch_shows(
    grafana: Json, widgets: list[Json], put: set[tuple[Any, ...]]
) -> None:
    targets = [target for panel in grafana["panels"] for target in panel.get("targets", [])]
    named = {
        (t["namespace"], t["metricName"], frozenset(t["dimensions"].items()))
        for t in targets
        if t["metricQueryType"] == 0
    }
    assert named == put
    asked = set()
    for target in targets:
        if target["metricQueryType"] == 1:
            query = QUERY.fullmatch(target["sqlExpression"])
            assert query
            asked.add((query[2], query[1]))
    assert asked == {(account, name) for account in (TARGET, STAGING) for name in DRS}
    titles = [w["properties"]["title"] for w in widgets if w["type"] == "metric"]
    assert [p["title"] for p in grafana["panels"] if p["type"] != "row"] == titles


def test_it_stands_in_the_account_once_applied(applied_stage: Stage, widgets: list[Json]) -> None:
    cloudwatch = applied_stage.embedded.client("cloudwatch", ORCHESTRATION)
    body = json.loads(cloudwatch.get_dashboard(DashboardName="drs-estate-staging")["DashboardBody"])
    assert body["widgets"] == widgets


@pytest.mark.parametrize(
    "page", [MODULES / "dashboards/README.md", ROOT / "docs/continuous-verification.md"]
)
def test_the_command_that_the_pages_name_gives_it(
    page: Path, applied_stage: Stage, grafana: Json, tmp_path: Path
) -> None:
    (command,) = re.findall(r"```sh\n(TF_DATA_DIR=.*?)```", page.read_text(), re.DOTALL)
    with applied_stage.copied(tmp_path) as embedded:
        settings = {**embedded.environment(ORCHESTRATION), "CHECKPOINT_DISABLE": "1"}
        subprocess.run(
            ["sh", "-ec", command], cwd=tmp_path, env={**os.environ, **settings}, check=True
        )
    assert json.loads((tmp_path / "drs-estate-staging.json").read_text()) == grafana
