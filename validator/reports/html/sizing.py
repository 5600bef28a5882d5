"""The report of `size` as a page: the estate as it would be, its needs, and where each server goes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from validator.quotas import CONCURRENT_JOBS, SERVERS_IN_ALL_JOBS, SERVERS_PER_JOB, Quota, limit
from validator.reports.document import one_line
from validator.reports.html import sections
from validator.reports.html.elements import (
    Html,
    bar,
    counted_as,
    folded,
    items,
    joined,
    mark,
    shown,
    table,
    tag,
)
from validator.reports.html.page import article, page
from validator.reports.html.picture import picture
from validator.reports.sizing import EXPLAIN, Sized, document
from validator.sizing import PRIORITY, WAVE, Filled, Server

Json = dict[str, Any]

_OPENED = 40
"""Servers that stand open when the page opens; more are folded under their account."""

_NOT_GIVEN = "not given"


def to_html(sized: Sized) -> str:
    """The run as a page that stands by itself."""
    data = document(sized)
    title = one_line(f"size {sized.env}" if sized.env else "size")
    made = article(title, _head(data, title), _parts(sized, data), data["validator_version"])
    return page(f"{title}: {data['verdict']}", [made])


def _head(data: Json, title: str) -> Html:
    servers, staging, outcome = data["servers"], data["staging_accounts"], data["verdict"]
    said = [
        f"{shown(servers['placed'])} servers have an account",
        f"{shown(servers['kept'])} stay where they replicate already",
        f"{shown(servers['not_fitting'])} fit nowhere",
        f"{shown(staging['needed'])} staging accounts needed, {shown(staging['to_order'])} to order",
    ]
    lead = EXPLAIN[outcome]
    return tag(
        "div",
        tag("h1", mark(outcome), " ", title),
        tag("p", f"{lead[0].upper()}{lead[1:]}.", class_="lead"),
        tag("p", f"Of {data['source']}. No account was read.", class_="quiet"),
        tag("ul", *(tag("li", each) for each in said), class_="counts", aria_label="Servers"),
        class_=f"head {outcome}",
    )


def _parts(sized: Sized, data: Json) -> list[tuple[str, str, Html]]:
    """Each part's anchor, heading and content; those without content are left out."""
    rows, total = [_row(each) for each in data["accounts"]], data["target_total"]
    headroom = data["asked"]["headroom"]
    quotas = [each["quota"] for each in rows]
    region = sized.recovery_region or _NOT_GIVEN
    named = [sections.Named(row["account"], row["id"]) for row in rows]
    target = sized.sizing.accounts[0].place

    def job(quota: Quota) -> int | None:
        value = limit(target, quota)
        return value if isinstance(value, int) else None

    return [
        ("estate", "Estate", picture(
            rows,
            source_region=sized.source_region or _NOT_GIVEN,
            recovery_region=region,
            live=False,
            headroom=headroom,
            in_target=(total["servers"], total["servers"]),
            total_quota=total["quota"],
            extended=None,
        )),
        ("capacity", "Capacity", sections.capacity(
            rows, region=f"recovery Region {region}", live=False, headroom=headroom,
            total=total["servers"], most=None if None in quotas else sum(quotas),
        )),
        ("needs", "What it takes", _needs(data)),
        ("recovery", "Recovery", sections.recovery(
            total["servers"],
            [(each["name"], each["servers"]) for each in data["waves"]],
            per_job=job(SERVERS_PER_JOB),
            in_all_jobs=job(SERVERS_IN_ALL_JOBS),
            jobs_at_once=job(CONCURRENT_JOBS),
        )),
        ("misfits", "What does not fit", _misfits(data)),
        ("servers", "Where each server goes", _servers(sized)),
        ("findings", "Findings", sections.findings(list(_findings(sized)), named, "size")),
        ("values", "Values for estate.auto.tfvars", folded(
            "As they would be written with --write",
            tag("pre", tag("code", json.dumps(data["values"], indent=2)), tabindex=0),
        )),
        ("notes", "Notes", sections.notes(data["notes"])),
    ]  # fmt: skip


def _row(each: Json) -> Json:
    """An account as `picture` and `sections.capacity` take one."""
    quota = each["quota"]
    return {
        "account": each["name"],
        "id": each["id"] or ("to order" if not each["at_hand"] else _NOT_GIVEN),
        "part": each["part"],
        "planned": each["servers"],
        "quota": quota,
        "free": None if quota is None else quota - each["servers"],
    }


def _needs(data: Json) -> Html:
    """What replicates each account's servers, against the quotas that limit it."""
    body = []
    for each in data["accounts"]:
        snapshots, addresses = each["snapshots"], each["addresses"]
        known = snapshots["lower"] if snapshots["upper"] is not None else None
        said = f"{_bounds(snapshots)} of {shown(snapshots['quota'])}"
        vcpus = _bounds(each["vcpus"]) + (", to ask for" if each["vcpus"]["ask"] else "")
        there = addresses["available"]
        body.append(
            (
                each["name"],
                _bounds(each["volumes"]),
                _bounds(each["storage_gib"]),
                said,
                bar(known, snapshots["quota"], label=said),
                _bounds(each["replication_servers"]),
                vcpus,
                _bounds(addresses) + ("" if there is None else f" of {shown(there)}"),
            )
        )
    recovered = _bounds(data["recovery_vcpus"])
    columns = (
        "Account", "Volumes", "GiB", "Snapshots", "Of quota", "Replication servers", "vCPUs", "Addresses",
    )  # fmt: skip
    return joined(
        (
            table(
                "Volumes, snapshots and replication servers of each account",
                columns,
                body,
                numbers=frozenset({1, 2, 3, 5, 6, 7}),
            ),
            tag("p", f"vCPUs that the recovered servers take in the target: {recovered}."),
        )
    )


def _bounds(of: Json) -> str:
    if of["upper"] is None:
        return f"at least {shown(of['lower'])}" if of["lower"] else "unknown"
    return shown(of["lower"])


def _misfits(data: Json) -> Html:
    rows = [
        (
            tag("code", each["reason"]),
            each["detail"],
            shown(each["servers"]),
            folded("ids", items(each["instance_ids"])) if each["instance_ids"] else "of a count",
        )
        for each in data["not_fitting"]
    ]
    if not rows:
        return Html()
    return table(
        "Servers that no account takes",
        ("Reason", "In words", "Servers", "Which"),
        rows,
        numbers=frozenset({2}),
    )


def _servers(sized: Sized) -> Html:
    """Every server under its account, with controls that filter them where scripts run."""
    filled = [each for each in sized.sizing.accounts if any(s.id for s in each.servers)]
    total = sum(len(each.servers) for each in filled)
    if not total:
        return Html()
    waves = [each.name for each in sized.sizing.waves] if not sized.sizing.waves_proposed else []
    groups = [_group(each, waves, opened=total <= _OPENED) for each in filled]
    return joined((_controls([each.place.name for each in filled], waves, total), *groups))


def _group(filled: Filled, waves: Sequence[str], *, opened: bool) -> Html:
    place = filled.place
    told = f"{place.part.value} account {place.id or 'to order'}, {filled.kept} replicate there already"
    return tag(
        "details",
        tag(
            "summary",
            tag("code", place.name),
            tag("span", place.part.value, class_="family"),
            tag("span", f"{len(filled.servers):,}", class_="count"),
        ),
        tag("p", told, class_="told"),
        tag("ul", *(_server(each, waves) for each in filled.servers), class_="found"),
        class_="group",
        open=opened,
        data_state="server",
        data_invariant=place.name,
    )


def _server(server: Server, waves: Sequence[str]) -> Html:
    wave = server.tag(WAVE)
    said = [
        server.name,
        wave or "no wave",
        f"priority {server.tag(PRIORITY)}" if server.tag(PRIORITY) else "",
        f"runs in {server.account}" if server.account else "",
        "replicates there already" if server.placed else "",
    ]
    of = str(waves.index(wave)) if wave in waves else None
    text = ", ".join(each for each in said if each)
    return tag("li", tag("b", server.shown), tag("span", text, class_="where"), data_of=of)


def _controls(accounts: Sequence[str], waves: Sequence[str], total: int) -> Html:
    return sections.controls(
        tag("input", type="hidden", name="state", value="server"),
        sections.chosen("Account", "invariant", [(each, each) for each in accounts]),
        sections.chosen("Wave", "account", [(each, str(at)) for at, each in enumerate(waves)]),
        label="Servers",
        looked_for="an id, a name, an account",
        said=counted_as(total, "server"),
        noun="servers",
    )


def _findings(sized: Sized) -> Iterator[Json]:
    """The findings as the report of a run has them."""
    for each in sized.sizing.findings:
        yield {
            "invariant": each.invariant,
            "family": each.family,
            "subject": each.subject,
            "where": each.where,
            "outcome": each.outcome.value,
            "messages": [
                {"text": message.text, "where": message.where or each.where, "fix": message.fix}
                for message in each.messages
            ],
            "why": each.why,
            "remedy": each.remedy,
            "waived": None,
        }
