"""Launch settings as declared: in the target's launch configuration template, which seeds servers.

The template is brought to the declared last, after every server that stood under another one. So
a template that is as declared proves that no server was left behind, and costs no call a server.
Source: https://docs.aws.amazon.com/drs/latest/APIReference/API_CreateLaunchConfigurationTemplate.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from validator.accounts import Opened, call, pages
from validator.errors import AccountError
from validator.model import LaunchSettings
from validator.pace import each

Json = dict[str, Any]


def members(settings: LaunchSettings) -> Json:
    """The settings as the API takes and shows them."""
    return {
        "copyPrivateIp": settings.copy_private_ip,
        "copyTags": settings.copy_tags,
        "launchDisposition": settings.disposition,
        "licensing": {"osByol": settings.licensing_byol},
        "targetInstanceTypeRightSizingMethod": settings.right_sizing,
    }


def differences(settings: LaunchSettings, shown: Mapping[str, Any]) -> Json:
    """The members that AWS shows otherwise or not at all."""
    return {name: value for name, value in members(settings).items() if shown.get(name) != value}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was made, or in a dry run would be; `changed` is false where it was there.

    `failed` says that it could not be made; `text` then says why.
    """

    account: str
    text: str
    changed: bool
    failed: bool = False


def settle(
    opened: Opened, account: str, settings: LaunchSettings, *, dry_run: bool
) -> Iterator[Step]:
    """Brings every server of an account, then its template, to the settings, where they differ.

    Where a server cannot be changed the template stays, so that the next run tries again. Raises
    AccountError.
    """
    drs = opened.client("drs")
    found = list(pages(drs, "describe_launch_configuration_templates", "items"))
    differing = differences(settings, found[0] if found else {})
    if not differing:
        yield Step(account, "launch configuration template as declared", False)
        return
    listed = pages(drs, "describe_source_servers", "items", filters={})
    failed = False
    for step in mend(
        opened, account, settings, [item["sourceServerID"] for item in listed], dry_run=dry_run
    ):
        failed = failed or step.failed
        yield step
    if failed:
        text = "launch configuration template left as it is until every server can be changed"
        yield Step(account, text, False, failed=True)
        return
    if not dry_run and found:
        call(
            drs,
            "update_launch_configuration_template",
            launchConfigurationTemplateID=found[0]["launchConfigurationTemplateID"],
            **differing,
        )
    elif not dry_run:
        call(drs, "create_launch_configuration_template", **differing)
    verb = ("would be " if dry_run else "") + ("changed" if found else "made")
    names = ", ".join(sorted(differing))
    yield Step(account, f"launch configuration template {verb}: {names}", True)


def mend(
    opened: Opened, account: str, settings: LaunchSettings, servers: Sequence[str], *, dry_run: bool
) -> Iterator[Step]:
    """Brings the launch configuration of servers (ids) to the settings, where it differs.

    Yields a step for each server that differed or failed; a Ctrl-C is raised after the last.
    """
    drs = opened.client("drs", attempts=1)

    def one(server: str) -> Json:
        shown = call(drs, "get_launch_configuration", sourceServerID=server)
        differing = differences(settings, shown)
        if differing and not dry_run:
            call(drs, "update_launch_configuration", sourceServerID=server, **differing)
        return differing

    paced = each(one, servers, repeatable=True)
    for server, result in zip(servers, paced.results, strict=True):
        where = f"launch configuration of {server}"
        if isinstance(result, AccountError):
            yield Step(account, f"{where}: {result}", False, failed=True)
        elif result:
            verb = "would be changed" if dry_run else "changed"
            yield Step(account, f"{where} {verb}: {', '.join(sorted(result))}", True)
    if paced.interrupted:
        raise KeyboardInterrupt
