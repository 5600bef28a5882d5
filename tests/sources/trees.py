"""Small Terraform trees for the tests of the code view."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from validator.model import Estate
from validator.sources import code, known, tfvars
from validator.sources.resources import READ, Resource, Resources

TARGET, STAGING, ORCHESTRATION = "111122223333", "444455556666", "777788889999"
REGION = "us-west-2"

VARIABLES = """
variable "source_region" {
  type = string
}
variable "recovery_region" {
  type = string
}
variable "target" {
  type = object({ account_id = string, servers = number })
}
variable "orchestration" {
  type = object({ account_id = string })
}
variable "staging_accounts" {
  type = map(object({ account_id = string, servers = number }))
}
"""
VALUES = f"""
source_region    = "us-east-1"
recovery_region  = "{REGION}"
target           = {{ account_id = "{TARGET}", servers = 1 }}
orchestration    = {{ account_id = "{ORCHESTRATION}" }}
staging_accounts = {{ staging-1 = {{ account_id = "{STAGING}", servers = 1 }} }}
"""
PROVIDERS = """
resource "terraform_data" "x" {
}
provider "aws" {
  region              = var.recovery_region
  allowed_account_ids = [var.target.account_id]
}
provider "aws" {
  alias               = "staging"
  region              = var.recovery_region
  allowed_account_ids = [var.staging_accounts["staging-1"].account_id]
}
"""


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """The folder of an env with these files beside its variables, values and providers."""
    env = root / "env"
    given = {"variables.tf": VARIABLES, tfvars.FILE_NAME: VALUES, "providers.tf": PROVIDERS}
    for name, content in {**given, **files}.items():
        file = env / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return env


def estate(root: Path, files: Mapping[str, str | bytes]) -> Estate:
    """The estate of an env with these files."""
    env = write(root, files)
    return code.read(env, tfvars.read(env), "env")


def resources(root: Path, files: Mapping[str, str | bytes]) -> Resources:
    """The resources of an env with these files."""
    env = write(root, files)
    return code.resources(known.Code(env, tfvars.read(env)), READ)


def at(found: Resources, address: str) -> Resource:
    """The resource at an address."""
    return next(each for each in found.seen if each.address == address)


def value(root: Path, expression: str, more: str = "", **files: str) -> Any:
    """What the code view makes of an expression that stands as an attribute of a resource."""
    main = f'{more}\nresource "aws_kms_key" "subject" {{\n  subject = {expression}\n}}\n'
    found = resources(root, {"main.tf": main, **files})
    return at(found, "aws_kms_key.subject").value("subject")
