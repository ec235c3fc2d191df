"""The rules that come with Muninn: each is right, has a runbook, and asks for metrics that exist."""

import re
from pathlib import Path

import pytest
import typer.main
import yaml

from muninn import names
from muninn.alerting.rules import Rule
from muninn.alerting.ruletests import RuleTest, run
from muninn.operations.alerts.rulebook import SHIPPED, book, read
from muninn.run.cli import app

ROOT = Path(__file__).parents[3]
FILES = sorted(SHIPPED.glob("*.yaml"))
BOOK, FAULTS = book(read(FILES), {})
TESTS = [RuleTest.model_validate(each) for path in FILES for each in yaml.safe_load(path.read_text()).get("tests", [])]


def test_nothing_is_wrong_with_them() -> None:
    assert not FAULTS
    assert len(BOOK.rules) >= 15


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.name)
def test_every_rule_has_a_runbook_and_a_summary(rule: Rule) -> None:
    text = (ROOT / rule.runbook).read_text(encoding="utf-8")
    assert rule.runbook == f"docs/runbooks/{rule.name}.md"
    assert text.startswith(f"# {rule.name}\n")
    assert "## Look" in text
    assert "## Do" in text
    assert rule.summary


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.name)
def test_every_metric_is_one_that_we_send(rule: Rule) -> None:
    assert rule.metric == "*" or rule.kind == "incident" or rule.metric in names.REGISTRY


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_their_own_tests_pass(test: RuleTest) -> None:
    assert run(test, BOOK.rules).differences == ()


def test_the_example_of_the_readme_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "x")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n((?:#[^\n]*\n)*rules:.*?)```", text, re.DOTALL)
    found, faults = book([("README.md", example)], {})
    assert not faults
    assert (len(found.rules), len(found.receivers), len(found.routes)) == (1, 1, 1)


def test_the_first_alert_of_the_docs_works() -> None:
    text = (ROOT / "docs" / "alerting.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"<<'END'\n(rules:.*?)END\n", text, re.DOTALL)
    found, faults = book([("first.yaml", example)], {})
    assert not faults
    (test,) = [RuleTest.model_validate(each) for each in yaml.safe_load(example)["tests"]]
    assert run(test, found.rules).differences == ()


RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_names_only_what_there_is(path: Path) -> None:
    """Commands, rules, metrics and tables: who follows it at night must not be sent astray."""
    text = path.read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command in re.findall(r"`muninn ([a-z]+)", text):
        assert command in commands, command
    known = {*names.REGISTRY, *(rule.name for rule in BOOK.rules), *(each.stem for each in RUNBOOKS)}
    for name in re.findall(r"`(muninn_[a-z_]+|host_[a-z_]+)`", text):
        assert name in known, name
    tables = "\n".join(each.read_text(encoding="utf-8") for each in (ROOT / "sql").rglob("*.sql"))
    for table in re.findall(r"\bfrom ((?!pg_)[a-z_]+)\b(?=[ `;])", " ".join(re.findall(r"`(select [^`]+)`", text))):
        assert re.search(rf"(table|view)( if not exists)? {table}\b", tables), table
