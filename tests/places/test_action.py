"""`action.yml`: what GitHub takes, and what its steps do, which run here as GitHub runs them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ACTION = Path(__file__).parents[2] / "action.yml"
DEFINITION = yaml.safe_load(ACTION.read_text())
STEPS = DEFINITION["runs"]["steps"]

_REFERENCE = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_CONDITION = re.compile(r"([\w.-]+) (==|!=) '([^']*)'")
_BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]


class Job:
    """Runs the steps of the action in a workspace, without those that fetch other actions."""

    def __init__(self, workspace: Path, environment: Mapping[str, str], inputs: Mapping[str, str]) -> None:
        self.workspace = workspace
        self.temporary = workspace.parent / "temp"
        self.temporary.mkdir(exist_ok=True)
        given = {name: definition["default"] for name, definition in DEFINITION["inputs"].items()}
        assert set(inputs) <= set(given)
        self.values = {f"inputs.{name}": value for name, value in {**given, **inputs}.items()}
        self.environment = {
            **environment,
            # So that `python` is the one that runs the tests.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(self.temporary),
        }
        self.log = ""
        self.used: list[tuple[str, dict[str, str]]] = []
        self.failed = False

    def install(self, action: Path) -> None:
        """Run the step that installs bnlint from a checkout of the action."""
        self.environment["GITHUB_ACTION_PATH"] = str(action)
        self.step("install")

    def run(self) -> None:
        """Run all steps but that one; bnlint is the one of this environment."""
        self.values.setdefault("steps.install.outputs.bin", str(Path(sys.executable).parent))
        for step in STEPS:
            if step.get("id") != "install":
                self._run(step)

    def step(self, name: str) -> None:
        """Run one step."""
        self._run(next(step for step in STEPS if step.get("id") == name))

    @property
    def outputs(self) -> dict[str, str]:
        """What the action gives to the job."""
        return {name: self._filled(output["value"]) for name, output in DEFINITION["outputs"].items()}

    def _run(self, step: Mapping[str, Any]) -> None:
        if not self._wanted(step.get("if", "")):
            return
        if "uses" in step:
            inputs = {name: self._filled(value) for name, value in step["with"].items()}
            self.used.append((step["uses"], inputs))
            return
        assert step["shell"] == "bash"
        output = self.temporary / "output"
        output.write_text("")
        given = {name: self._filled(value) for name, value in step.get("env", {}).items()}
        script = self.temporary / "script.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            [*_BASH, str(script)],
            cwd=self.workspace,
            env={**self.environment, **given, "GITHUB_OUTPUT": str(output)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        self.log += done.stdout
        self.failed = self.failed or done.returncode != 0
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            self.values[f"steps.{step['id']}.outputs.{name}"] = value

    def _wanted(self, condition: str) -> bool:
        parts = condition.split(" && ") if condition else []
        if "always()" in parts:
            parts.remove("always()")
        elif self.failed:
            return False
        return all(map(self._holds, parts))

    def _holds(self, comparison: str) -> bool:
        match = _CONDITION.fullmatch(comparison)
        assert match, comparison
        name, operator, text = match.groups()
        return (self._value(name) == text) == (operator == "==")

    def _filled(self, text: str) -> str:
        return _REFERENCE.sub(lambda match: self._value(match[1]), text)

    def _value(self, name: str) -> str:
        assert name.startswith("steps.") or name in self.values, f"GitHub does not know {name}"
        return self.values.get(name, "")


@pytest.fixture
def job(project: Path, environment: dict[str, str]) -> Any:
    return lambda **inputs: Job(
        project, environment, {name.replace("_", "-"): value for name, value in inputs.items()}
    )


def test_the_public_schema_accepts_it() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]
    done = subprocess.run([*command, str(ACTION)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_described_and_nothing_is_pasted_into_scripts() -> None:
    for name, entry in (*DEFINITION["inputs"].items(), *DEFINITION["outputs"].items()):
        assert entry["description"].strip(), name
    for step in STEPS:
        assert "${{" not in step.get("run", "")
        assert re.fullmatch(r"[\w-]+/[\w/-]+@v\d+", step.get("uses", "a/b@v1"))


def test_it_installs_what_belongs_to_the_action_and_that_works(job: Any, published: Path) -> None:
    run = job()
    run.install(published)
    assert not run.failed, run.log
    run.run()
    assert Path(run.values["steps.install.outputs.bin"]).is_relative_to(run.temporary)
    assert run.failed
    assert run.outputs["findings"] == "1"
    assert run.outputs["exit-code"] == "1"


@pytest.mark.parametrize(
    ("version", "package"),
    [
        ("0.2.0", "bnlint==0.2.0"),
        (">=0.2,<0.3", "bnlint>=0.2,<0.3"),
        (" @ $(touch evil)", "bnlint @ $(touch evil)"),
    ],
)
def test_which_version_it_installs(job: Any, tmp_path: Path, version: str, package: str) -> None:
    # A Python that only says what it was asked for: versions on the index are not known here.
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@" >> "$RUNNER_TEMP/asked"\n[ "$2 $3" != "-m pip" ]\n')
    python.chmod(0o755)
    run = job(version=version)
    environment = run.temporary / "bnlint" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to(python)
    run.environment["PATH"] = f"{python.parent}{os.pathsep}{run.environment['PATH']}"
    run.step("install")
    assert run.failed
    asked = (run.temporary / "asked").read_text().splitlines()
    assert asked[-1].endswith(f"--quiet --disable-pip-version-check {package}")
    assert not (run.workspace / "evil").exists()


def test_findings_are_annotated_counted_and_fail_the_job(job: Any) -> None:
    run = job()
    run.run()
    assert run.failed
    annotation = next(line for line in run.log.splitlines() if line.startswith("::error "))
    assert "file=train.py" in annotation
    assert "line=11" in annotation
    assert "BN101" in annotation
    assert run.outputs["findings"] == "1"
    assert run.outputs["exit-code"] == "1"
    sarif = json.loads(Path(run.outputs["sarif-file"]).read_text())
    assert [result["ruleId"] for result in sarif["runs"][0]["results"]] == ["BN101"]
    assert run.used == []


def test_clean_passes(job: Any, repaired: str) -> None:
    run = job(upload_sarif="true")
    (run.workspace / "train.py").write_text(repaired)
    run.run()
    assert not run.failed, run.log
    assert "::error" not in run.log
    assert run.outputs["findings"] == "0"
    assert run.outputs["exit-code"] == "0"
    # A report without results is what closes old alerts.
    assert [name for name, _ in run.used] == ["github/codeql-action/upload-sarif@v4"]


def test_the_report_is_uploaded_before_the_job_fails(job: Any) -> None:
    run = job(upload_sarif="true", sarif_file="reports and more.sarif", python_version="3.12")
    run.run()
    assert run.failed
    assert run.used == [
        ("actions/setup-python@v6", {"python-version": "3.12"}),
        (
            "github/codeql-action/upload-sarif@v4",
            {"sarif_file": "reports and more.sarif", "category": "bnlint"},
        ),
    ]
    assert (run.workspace / "reports and more.sarif").is_file()


def test_findings_need_not_fail_the_job(job: Any) -> None:
    run = job(fail_on_findings="false", annotate="false")
    run.run()
    assert not run.failed, run.log
    assert run.outputs["findings"] == "1"
    assert run.outputs["exit-code"] == "1"
    assert "::error" not in run.log
    assert "update-ops-never-run" in run.log


def test_what_could_not_be_checked_always_fails_the_job(job: Any) -> None:
    run = job(fail_on_findings="false", paths="train.py missing.py")
    run.run()
    assert run.failed
    assert run.outputs["exit-code"] == "2"
    assert "missing.py" in run.log


def test_without_a_report_nothing_is_counted_or_uploaded(job: Any) -> None:
    run = job(args="--frobnicate", upload_sarif="true", fail_on_findings="false")
    (run.temporary / "bnlint.sarif").write_text("a report of an earlier use in the same job")
    run.run()
    assert run.failed
    assert run.outputs == {"findings": "", "exit-code": "2", "sarif-file": ""}
    assert run.used == []
    assert "--frobnicate" in run.log


def test_a_report_that_cannot_be_shown_does_not_pass_for_clean(job: Any, tmp_path: Path) -> None:
    run = job()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    bnlint = folder / "bnlint"
    bnlint.write_text(
        '#!/bin/sh\n[ "$2" = --output-format=sarif ] || exit 2\necho \'{"runs": []}\' > "${3#--output-file=}"\n'
    )
    bnlint.chmod(0o755)
    run.values["steps.install.outputs.bin"] = str(folder)
    run.run()
    assert run.failed
    assert run.outputs["exit-code"] == "2"


def test_arguments_that_a_shell_cannot_read_fail_the_job(job: Any) -> None:
    run = job(args="--select 'BN1")
    run.run()
    assert run.failed
    assert run.outputs["exit-code"] == ""


def test_paths_and_arguments_are_words_that_no_shell_sees(job: Any, repaired: str) -> None:
    folder = "more code"
    run = job(
        paths=f"clean.py\n{shlex.quote(folder)} '$(touch evil)'", args="--select BN1 --ignore 'BN2,BN3'"
    )
    (run.workspace / "clean.py").write_text(repaired)
    for name in ("model.py", "train.py"):
        target = run.workspace / folder / name
        target.parent.mkdir(exist_ok=True)
        target.write_text((run.workspace / name).read_text())
    (run.workspace / "$(touch evil)").mkdir()
    run.run()
    assert run.outputs["findings"] == "1"
    assert run.outputs["exit-code"] == "1"
    assert "file=more code/train.py" in run.log
    assert not (run.workspace / "evil").exists()


def test_suppressed_findings_are_not_counted(job: Any) -> None:
    run = job()
    train = run.workspace / "train.py"
    train.write_text(
        train.read_text().replace(".minimize(loss)", ".minimize(loss)  # bnlint: ignore[BN101] known")
    )
    run.run()
    assert not run.failed, run.log
    assert run.outputs["findings"] == "0"


def test_a_configuration_file(job: Any) -> None:
    run = job(config="strange name.toml")
    (run.workspace / "strange name.toml").write_text('ignore = ["BN101"]\n')
    run.run()
    assert not run.failed, run.log
    assert run.outputs["findings"] == "0"


def test_findings_of_a_pull_request_alone(job: Any, git: Any) -> None:
    run = job(changed_since="HEAD^1")
    (run.workspace / "README").write_text("A change elsewhere.\n")
    git(run.workspace, "add", "--all")
    git(run.workspace, "commit", "--message", "change")
    run.run()
    assert not run.failed, run.log
    assert run.outputs["findings"] == "0"


def test_python_imports_nothing_from_the_workspace(job: Any) -> None:
    run = job()
    for name in ("json", "shlex", "os"):
        (run.workspace / f"{name}.py").write_text("raise SystemExit('code of the workspace ran')\n")
    run.run()
    assert "code of the workspace ran" not in run.log
    assert run.outputs["findings"] == "1"
