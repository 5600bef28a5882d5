"""Runs for the tests of reports: one with everything that a report can show, and its base's report."""

import copy
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.estates import account, estate
from validator.findings import Finding, Message, Outcome, Verdict, Waived
from validator.model import Change, Estate, Part, Unknown
from validator.reports import Run
from validator.reports.document import document

ROOT = Path("/srv/checkout")
TODAY = date(2026, 11, 24)
TFVARS = f"{ROOT}/terraform/envs/staging/estate.auto.tfvars"
KEY = 'module.replication_key["staging-1"].aws_kms_key.this'
HOSTILE = (
    "web|01`@octocat</code><img src=x>](https://example.com) #7 \x1b[2J\u202e {0} *b* $x$ ]]> --"
)
FIX = """statement {
  sid     = "DecryptForTarget"
  actions = ["kms:Decrypt"]
}"""


def found(
    name: str,
    family: str,
    subject: str,
    outcome: str = "holds",
    *messages: Message,
    waived: Waived | None = None,
) -> Finding:
    """A finding as the engine would write it."""
    return Finding(
        invariant=name,
        family=family,
        subject=subject,
        where=messages[0].where if messages else f"{TFVARS}:1",
        outcome=Outcome(outcome),
        messages=messages,
        why="A server past the quota cannot register, and nobody is told.",
        remedy="Move servers to another staging account.",
        waived=waived,
    )


FINDINGS = (
    found("account-replicates-within-quota", "capacity", "target"),
    found(
        "account-replicates-within-quota",
        "capacity",
        "staging-1",
        "violated",
        Message("staging-1 is declared to replicate 305 source servers; the quota is 300.", f"{TFVARS}:24"),
    ),
    found("recovery-wave-fits-its-jobs", "capacity", "wave-1"),
    found(
        "target-can-use-replication-key",
        "keys",
        "alias/drs-replication of 444455556666",
        "violated",
        Message("The target may not kms:Decrypt.", f"{ROOT}/terraform/modules/replication-key/main.tf:31", FIX),
        Message("The target may not kms:CreateGrant.", KEY),
    ),
    found(
        "replication-key-rotates",
        "keys",
        "alias/drs-replication of 444455556666",
        "unknown",
        Message(f"Cannot be known: {KEY}.enable_key_rotation is known only after apply.", KEY),
    ),
    found(
        "shared-key-has-no-strangers",
        "keys",
        "arn:aws:kms:us-west-2:111122223333:key/1",
        "violated",
        Message("It lets account 999999999999 kms:Decrypt.", "arn:aws:kms:us-west-2:111122223333:key/1"),
        waived=Waived("The auditor leaves in December.", "storage team", "DR-12", date(2026, 12, 3)),
    ),
    found(
        "replication-servers-keep-their-volumes",
        "effects",
        "staging-1",
        "violated",
        Message("A new key starts a full resynchronisation of 305 servers.", KEY),
        waived=Waived("accepted by name for this run", "the command line", "", None),
    ),
    found("staging-account-trusts-its-target", "trust", HOSTILE, "violated", Message(HOSTILE, HOSTILE, f"# {HOSTILE}\n```\n</details>\n# x")),
    found(
        "waivers-are-used",
        "waivers",
        "keys-rotate for alias/old",
        "violated",
        Message("The waiver covers nothing.", f"{ROOT}/terraform/envs/staging/waivers.yaml:9"),
    ),
)  # fmt: skip


def run(of: Estate | None = None, findings: tuple[Finding, ...] = FINDINGS, **more: Any) -> Run:
    """A plan of env staging with three accounts, one of them overfull and one unknown."""
    return Run(
        "plan",
        "staging",
        "the embedded AWS",
        of or _estate(),
        Verdict(findings),
        **{
            "notes": ("The waiver of shared-key-has-no-strangers ends in 9 days.",),
            "root": ROOT,
            "today": TODAY,
            **more,
        },
    )


def _estate() -> Estate:
    staging = tuple(
        account(f"staging-{n}", Part.STAGING, f"{n}44455556666", planned)
        for n, planned in enumerate((305, Unknown("computed"), 262), 1)
    )
    changes = (
        Change(KEY, "aws_kms_key", "staging-1", ("delete", "create")),
        Change("aws_iam_role.this", "aws_iam_role", "target", ("create",)),
    )
    return replace(estate(staging=staging), where=TFVARS, changes=changes)


def base() -> dict[str, Any]:
    """The report of the base branch: fewer servers, one finding that is gone, one that is fixed."""
    data: dict[str, Any] = copy.deepcopy(document(run()))
    accounts = data["capacity"]["accounts"]
    accounts[1]["planned"] = 262
    accounts[3]["account"] = "staging-9"
    by_name = {(each["invariant"], each["subject"]): each for each in data["findings"]}
    by_name["account-replicates-within-quota", "staging-1"]["outcome"] = "holds"
    by_name["recovery-wave-fits-its-jobs", "wave-1"]["outcome"] = "violated"
    gone = {**data["findings"][1], "subject": "staging-9", "outcome": "unknown"}
    data["findings"].append(gone)
    return json.loads(json.dumps(data))  # type: ignore[no-any-return]


_texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.lists(
        st.sampled_from(
            ["|", "`", "``", "</details>", "</summary>", "<b>", "-->", "<!--", "@octocat", "#1", "](",
             "[x](https://e.example)", "https://e.example", "www.e.example", "\n", "\n\n", "\r", "\x1b[2J",
             "\x00", "\ufffe", "\ud800", "\u202e", "&amp;", "&lt;", "]]>", "\\", "*", "_", "~~", "$", "- ",
             "1. ", "# ", "    ", "{0}", "/srv/checkout/", "main.tf:3", "../x.tf:3", "/etc/x.tf:3", ":bug:", "a"]
        ),
        max_size=6,
    ).map("".join),
)  # fmt: skip
_outcomes = st.sampled_from([outcome.value for outcome in Outcome])
_waived = st.none() | st.builds(
    Waived, _texts, _texts, _texts, st.none() | st.dates(TODAY, date(2027, 2, 22))
)
_messages = st.lists(st.builds(Message, _texts, _texts, st.none() | _texts), max_size=3)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    """A finding of any outcome, with texts that are after every format."""
    outcome = draw(_outcomes)
    name = draw(st.sampled_from(["keys-rotate", "a", "b-c"]) | _texts.filter(bool))
    family = draw(st.sampled_from(["keys", "effects"]) | _texts.filter(bool))
    messages = () if outcome == "holds" else draw(_messages)
    waived = None if outcome == "holds" else draw(_waived)
    return found(name, family, draw(_texts), outcome, *messages, waived=waived)


@st.composite
def anything(draw: st.DrawFn) -> Run:
    """A run with any findings and notes, and names in its estate that are after every format."""
    planned = st.one_of(st.integers(0, 400), st.builds(Unknown, _texts))
    staging = [
        account(draw(_texts), Part.STAGING, draw(_texts), draw(planned))
        for _ in range(draw(st.integers(0, 3)))
    ]
    of = replace(
        estate(staging=tuple(staging), view=draw(st.sampled_from(["code", "plan", "live"]))),
        where=draw(st.sampled_from([TFVARS, "estate.auto.tfvars", "/etc/x.tfvars"])),
        changes=tuple(
            Change("a", "b", draw(_texts), ("create",)) for _ in range(draw(st.integers(0, 2)))
        ),
    )
    return run(
        of,
        tuple(draw(st.lists(findings(), max_size=6))),
        notes=tuple(draw(st.lists(_texts, max_size=3))),
    )
