"""The invariants on replication templates: what DRS takes, and what the world must not reach."""

from dataclasses import replace
from typing import Any

import hcl2
import pytest

from tests.invariants.complete import (
    HOLDS,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    messages,
    outcome,
    with_estate,
    with_group,
    with_staging,
    with_target,
    with_template,
)
from validator.model import Estate, Ingress, PointInTimeRule

ONE, RECOVERY = "account-has-one-template", "template-is-in-the-recovery-region"
CUSTOM, LEGAL = "staging-template-encrypts-custom", "point-in-time-policy-is-legal"
KEPT, PRIVATE = "points-in-time-are-kept-as-declared", "replication-stays-private"
EXIST, CLOSED = "template-security-groups-exist", "port-1500-is-closed-to-the-world"
REACH, DISKS = "agents-reach-port-1500", "new-disks-are-replicated"

(TEMPLATE,) = complete().staging[0].templates  # type: ignore[misc]
MINUTE, HOUR, DAY = TEMPLATE.point_in_time  # type: ignore[misc]


def rules(*of: PointInTimeRule) -> Estate:
    return with_template(point_in_time=of)


def days(retention: Any) -> Estate:
    return rules(MINUTE, HOUR, replace(DAY, retention=retention))


def ingress(
    source: Any, protocol: Any = "tcp", first: Any = 1500, last: Any = 1500
) -> tuple[Ingress, ...]:
    return (Ingress(protocol, first, last, source),)


def let_in(*ways: Ingress) -> Estate:
    """The staging account's security group with these ways in alone."""
    return with_group(ingress=ways)


ELSEWHERE = replace(TEMPLATE, region="us-east-1")

CASES = [
    Case(ONE, "one in each account", complete(), HOLDS),
    Case(ONE, "none", with_staging(templates=()), VIOLATED),
    Case(ONE, "none in the target", with_target(templates=()), VIOLATED),
    Case(ONE, "two in one Region", with_staging(templates=(TEMPLATE, TEMPLATE)), VIOLATED),
    Case(ONE, "one in another Region only", with_staging(templates=(ELSEWHERE,)), VIOLATED),
    Case(ONE, "templates not seen", with_staging(templates=UNSEEN), UNKNOWN),
    Case(ONE, "a Region not seen", with_template(region=UNSEEN), UNKNOWN),
    Case(RECOVERY, "all of them", complete(), HOLDS),
    Case(RECOVERY, "one in the source Region", with_staging(templates=(ELSEWHERE,)), VIOLATED),
    Case(RECOVERY, "another recovery Region", with_estate(recovery_region="eu-west-1"), VIOLATED),
    Case(RECOVERY, "a Region not seen", with_template(region=UNSEEN), UNKNOWN),
    Case(RECOVERY, "templates not seen", with_staging(templates=UNSEEN), UNKNOWN),
    Case(CUSTOM, "CUSTOM", complete(), HOLDS),
    Case(CUSTOM, "DEFAULT", with_template(ebs_encryption="DEFAULT"), VIOLATED),
    Case(CUSTOM, "NONE", with_template(ebs_encryption="NONE"), VIOLATED),
    Case(CUSTOM, "another case is another word", with_template(ebs_encryption="custom"), VIOLATED),
    Case(CUSTOM, "not seen", with_template(ebs_encryption=UNSEEN), UNKNOWN),
    Case(CUSTOM, "no template", with_staging(templates=()), UNKNOWN),
    Case(CUSTOM, "two templates", with_staging(templates=(TEMPLATE, TEMPLATE)), UNKNOWN),
    Case(LEGAL, "the three rules", complete(), HOLDS),
    Case(LEGAL, "in another order", rules(DAY, HOUR, MINUTE), HOLDS),
    Case(LEGAL, "1 day", days(1), HOLDS),
    Case(LEGAL, "365 days", days(365), HOLDS),
    Case(LEGAL, "no day", days(0), VIOLATED),
    Case(LEGAL, "366 days", days(366), VIOLATED),
    Case(LEGAL, "no rule", rules(), VIOLATED),
    Case(LEGAL, "no daily rule", rules(MINUTE, HOUR), VIOLATED),
    Case(LEGAL, "a fourth rule", rules(MINUTE, HOUR, DAY, DAY), VIOLATED),
    Case(LEGAL, "one rule twice", rules(MINUTE, MINUTE, DAY), VIOLATED),
    Case(LEGAL, "two hourly rules", rules(MINUTE, HOUR, HOUR), VIOLATED),
    Case(LEGAL, "every seven minutes", rules(replace(MINUTE, interval=7), HOUR, DAY), VIOLATED),
    Case(LEGAL, "minutes for two hours", rules(replace(MINUTE, retention=120), HOUR, DAY), VIOLATED),
    Case(LEGAL, "every second hour", rules(MINUTE, replace(HOUR, interval=2), DAY), VIOLATED),
    Case(LEGAL, "hours for two days", rules(MINUTE, replace(HOUR, retention=48), DAY), VIOLATED),
    Case(LEGAL, "every second day", rules(MINUTE, HOUR, replace(DAY, interval=2)), VIOLATED),
    Case(LEGAL, "a rule switched off", rules(replace(MINUTE, enabled=False), HOUR, DAY), VIOLATED),
    Case(LEGAL, "a retention not seen", days(UNSEEN), UNKNOWN),
    Case(LEGAL, "the rules not seen", with_template(point_in_time=UNSEEN), UNKNOWN),
    Case(KEPT, "as declared", complete(), HOLDS),
    Case(KEPT, "a day more", days(8), VIOLATED),
    Case(KEPT, "a day less", days(6), VIOLATED),
    Case(KEPT, "no daily rule", rules(MINUTE, HOUR), VIOLATED),
    Case(KEPT, "a retention not seen", days(UNSEEN), UNKNOWN),
    Case(KEPT, "declared days not seen", with_estate(point_in_time_days=UNSEEN), UNKNOWN),
    Case(PRIVATE, "private", complete(), HOLDS),
    Case(PRIVATE, "public routing", with_template(data_plane_routing="PUBLIC_IP"), VIOLATED),
    Case(PRIVATE, "a public address", with_template(public_ip=True), VIOLATED),
    Case(PRIVATE, "routing not seen", with_template(data_plane_routing=UNSEEN), UNKNOWN),
    Case(PRIVATE, "address not seen", with_template(public_ip=UNSEEN), UNKNOWN),
    Case(EXIST, "its own group", complete(), HOLDS),
    Case(EXIST, "the default group alone", with_template(security_groups=(), default_security_group=True), HOLDS),
    Case(EXIST, "no group", with_template(security_groups=()), VIOLATED),
    Case(EXIST, "a group that is not there", with_template(security_groups=("group", "other")), VIOLATED),
    Case(EXIST, "a group of another Region", with_group(region="us-east-1"), VIOLATED),
    Case(EXIST, "groups not named in sight", with_template(security_groups=UNSEEN), UNKNOWN),
    Case(EXIST, "the account's groups not seen", with_staging(security_groups=UNSEEN), UNKNOWN),
    Case(EXIST, "a template of an account that is not declared", with_template(account_id="999999999999"), UNKNOWN),
    Case(CLOSED, "a private range", complete(), HOLDS),
    Case(CLOSED, "another port to the world", with_group(*ingress("0.0.0.0/0", first=443, last=443)), HOLDS),
    Case(CLOSED, "another protocol to the world", with_group(*ingress("0.0.0.0/0", protocol="udp")), HOLDS),
    Case(CLOSED, "another group", with_group(*ingress("security group")), HOLDS),
    Case(CLOSED, "one address", with_group(*ingress("203.0.113.7/32")), HOLDS),
    Case(CLOSED, "a /8", with_group(*ingress("11.0.0.0/8")), HOLDS),
    Case(CLOSED, "an unknown source on another port", with_group(*ingress(UNSEEN, first=443, last=443)), HOLDS),
    Case(CLOSED, "unknown ports from a private range", with_group(*ingress("10.0.0.0/8", first=UNSEEN)), HOLDS),
    Case(CLOSED, "a /7", with_group(*ingress("10.0.0.0/7")), VIOLATED),
    Case(CLOSED, "half of the world", with_group(*ingress("128.0.0.0/1")), VIOLATED),
    Case(CLOSED, "the world", with_group(*ingress("0.0.0.0/0")), VIOLATED),
    Case(CLOSED, "the world with host bits", with_group(*ingress("10.1.2.3/0")), VIOLATED),
    Case(CLOSED, "the world over IPv6", with_group(*ingress("::/0")), VIOLATED),
    Case(CLOSED, "all public IPv6 addresses", with_group(*ingress("2000::/3")), VIOLATED),
    Case(CLOSED, "within a range of ports", with_group(*ingress("0.0.0.0/0", first=0, last=65535)), VIOLATED),
    Case(CLOSED, "at the end of a range", with_group(*ingress("0.0.0.0/0", first=1024, last=1500)), VIOLATED),
    Case(CLOSED, "just outside a range", with_group(*ingress("0.0.0.0/0", first=1501, last=65535)), HOLDS),
    Case(CLOSED, "all protocols", with_group(*ingress("0.0.0.0/0", "-1", None, None)), VIOLATED),
    Case(CLOSED, "all protocols with ports of 0", with_group(*ingress("0.0.0.0/0", "-1", 0, 0)), VIOLATED),
    Case(CLOSED, "all protocols by that word", with_group(*ingress("0.0.0.0/0", "all", None, None)), VIOLATED),
    Case(CLOSED, "TCP without a first port", with_group(*ingress("0.0.0.0/0", first=None, last=443)), VIOLATED),
    Case(CLOSED, "TCP without a last port", with_group(*ingress("0.0.0.0/0", first=8080, last=None)), VIOLATED),
    Case(CLOSED, "TCP by its number", with_group(*ingress("0.0.0.0/0", "6")), VIOLATED),
    Case(CLOSED, "TCP in capitals", with_group(*ingress("0.0.0.0/0", "TCP")), VIOLATED),
    Case(CLOSED, "DRS's default group", with_template(default_security_group=True), VIOLATED),
    Case(CLOSED, "the world beside what is not seen", with_group(*ingress(UNSEEN), *ingress("0.0.0.0/0")), VIOLATED),
    Case(CLOSED, "a source not seen", with_group(*ingress(UNSEEN)), UNKNOWN),
    Case(CLOSED, "ports not seen to the world", with_group(*ingress("0.0.0.0/0", last=UNSEEN)), UNKNOWN),
    Case(CLOSED, "a protocol not seen to the world", with_group(*ingress("0.0.0.0/0", UNSEEN)), UNKNOWN),
    Case(CLOSED, "a prefix list", with_group(*ingress("prefix list")), UNKNOWN),
    Case(CLOSED, "a range that is none", with_group(*ingress("0.0.0.0/33")), UNKNOWN),
    Case(CLOSED, "a group that is not there", with_template(security_groups=("other",)), UNKNOWN),
    Case(CLOSED, "the group's ways in not seen", with_group(ingress=UNSEEN), UNKNOWN),
    Case(CLOSED, "the default group not seen", with_template(default_security_group=UNSEEN), UNKNOWN),
    Case(REACH, "a private range", complete(), HOLDS),
    Case(REACH, "DRS's default group", with_template(default_security_group=True, security_groups=()), HOLDS),
    Case(REACH, "within a range of ports", let_in(*ingress("10.0.0.0/8", first=1024, last=65535)), HOLDS),
    Case(REACH, "all protocols", let_in(*ingress("10.0.0.0/8", "-1", None, None)), HOLDS),
    Case(REACH, "a range beside what is not seen", let_in(*ingress(UNSEEN), *ingress("10.0.0.0/8")), HOLDS),
    Case(REACH, "the range in the second group", with_template(security_groups=("other", "group")), HOLDS),
    Case(REACH, "no way in", let_in(), VIOLATED),
    Case(REACH, "no group", with_template(security_groups=()), VIOLATED),
    Case(REACH, "the port beside it", let_in(*ingress("10.0.0.0/8", first=1501, last=1501)), VIOLATED),
    Case(REACH, "ports up to it", let_in(*ingress("10.0.0.0/8", first=0, last=1499)), VIOLATED),
    Case(REACH, "another protocol", let_in(*ingress("10.0.0.0/8", "udp")), VIOLATED),
    Case(REACH, "an unknown source on another port", let_in(*ingress(UNSEEN, first=443, last=443)), VIOLATED),
    Case(REACH, "another group, whose members nobody sees", let_in(*ingress("security group")), UNKNOWN),
    Case(REACH, "a prefix list", let_in(*ingress("prefix list")), UNKNOWN),
    Case(REACH, "a source not seen", let_in(*ingress(UNSEEN)), UNKNOWN),
    Case(REACH, "a port not seen", let_in(*ingress("10.0.0.0/8", first=UNSEEN)), UNKNOWN),
    Case(REACH, "a group that is not there", with_template(security_groups=("other",)), UNKNOWN),
    Case(REACH, "the group's ways in not seen", with_group(ingress=UNSEEN), UNKNOWN),
    Case(REACH, "the default group not seen", with_template(default_security_group=UNSEEN), UNKNOWN),
    Case(DISKS, "replicated", complete(), HOLDS),
    Case(DISKS, "left out", with_template(replicates_new_disks=False), VIOLATED),
    Case(DISKS, "not seen", with_template(replicates_new_disks=UNSEEN), UNKNOWN),
    Case(DISKS, "templates not seen", with_staging(templates=UNSEEN), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_the_target_is_looked_at_like_a_staging_account() -> None:
    (template,) = complete().target.templates  # type: ignore[misc]
    broken = with_target(templates=(replace(template, public_ip=True),))
    (message,) = messages(PRIVATE, broken)
    assert TARGET in message.text


@pytest.mark.parametrize("declared", [30, 0, 366, UNSEEN], ids=str)
def test_the_rules_to_paste_are_legal_and_as_declared(declared: Any) -> None:
    (message,) = messages(LEGAL, replace(rules(MINUTE), point_in_time_days=declared))
    assert message.fix is not None
    pasted = hcl2.loads(message.fix + "\n")["pit_policy"]
    made = tuple(
        PointInTimeRule(
            str(r["units"]).strip('"'), r["interval"], r["retention_duration"], r["enabled"]
        )
        for r in pasted
    )
    assert outcome(LEGAL, rules(*made)) is HOLDS
    assert (made[-1].retention == declared) == (declared == 30)
