"""The report as a page: one file for a browser, with the estate as a picture and findings to filter.

`page.page(title, [page.article(...)])` makes a document of any parts; `picture`, `sections.capacity`,
`sections.recovery` and `sections.findings` take plain data in the shapes of `report.schema.json`.
"""

from collections import Counter
from typing import Any

from validator.model import Estate, Extension, Unknown
from validator.quotas import CONCURRENT_JOBS, SERVERS_IN_ALL_JOBS, SERVERS_PER_JOB, Quota, limit
from validator.reports import base
from validator.reports.document import Run, cleaner, document, one_line
from validator.reports.html import sections
from validator.reports.html.elements import Html, joined, mark, tag
from validator.reports.html.page import article, combined_html, page
from validator.reports.html.picture import picture

Json = dict[str, Any]

_EXPLAIN = {
    "holds": "Every invariant holds for every subject.",
    "violated": "At least one invariant is violated.",
    "unknown": "Something could not be known, so nothing may be concluded.",
}


def to_html(run: Run) -> str:
    """The run as a page that stands by itself."""
    data = document(run)
    title = one_line(f"{data['command']} {data['env']}")
    made = article(
        title, _head(run, data, title), _parts(run, data, title), data["validator_version"]
    )
    return page(f"{title}: {data['verdict']}", [made])


def _parts(run: Run, data: Json, title: str) -> list[tuple[str, str, Html]]:
    """Each part's anchor, heading and content; those without content are left out."""
    estate, capacity, live = run.estate, data["capacity"], data["view"] == "live"
    rows, headroom = capacity["accounts"], _number(estate.headroom)
    in_target: tuple[int, int] | None = None
    if data["servers"] is not None:
        in_target = (data["servers"]["in_target"]["lower"], data["servers"]["in_target"]["upper"])
    elif capacity["planned"] is not None:
        in_target = (capacity["planned"], capacity["planned"])
    named = [sections.Named(each.name, each.id) for each in estate.accounts]
    clean = cleaner(run.root)
    waves = (
        Unknown(clean(estate.waves.reason))
        if isinstance(estate.waves, Unknown)
        else [(wave.name, wave.servers) for wave in estate.waves]
    )
    return [
        ("estate", "Estate", picture(
            rows,
            source_region=estate.source_region,
            recovery_region=estate.recovery_region,
            live=live,
            headroom=headroom,
            in_target=in_target,
            total_quota=capacity["target_total_quota"],
            extended=_extended(estate) if live else None,
        )),
        ("capacity", "Capacity", joined((
            sections.capacity(rows, region=estate.recovery_region, live=live, headroom=headroom,
                              total=capacity["planned"], most=capacity["capacity"]),
            sections.servers(data["servers"]) if data["servers"] is not None else Html(),
        ))),
        ("recovery", "Recovery", sections.recovery(
            capacity["planned"],
            waves,
            per_job=_quota(run, SERVERS_PER_JOB),
            in_all_jobs=_quota(run, SERVERS_IN_ALL_JOBS),
            jobs_at_once=_quota(run, CONCURRENT_JOBS),
        )),
        ("changed", "What changed", _changed(run, data)),
        ("changes", "What Terraform will change",
         sections.changes(data["changes"], _addresses(run)) if data["view"] == "plan" else Html()),
        ("checklist", "Prerequisites",
         sections.checklist(data["checklist"]) if data["checklist"] else Html()),
        ("findings", "Findings", sections.findings(data["findings"], named, title)),
        ("waivers", "Waivers", sections.waivers(data["findings"])),
        ("notes", "Notes", sections.notes(data["notes"])),
    ]  # fmt: skip


def _head(run: Run, data: Json, title: str) -> Html:
    counts, outcome = data["counts"], data["verdict"]
    numbers = [
        tag("li", mark(each), f" {counts[each]:,}") for each in sections.STATES if counts[each]
    ]
    read_at = run.estate.read_at
    read = "" if isinstance(read_at, Unknown) else f", read {read_at:%Y-%m-%d %H:%M %Z}"
    waived = " Some of it is waived." if outcome == "holds" and counts["waived"] else ""
    return tag(
        "div",
        tag("h1", mark(outcome), " ", title),
        tag("p", f"{_EXPLAIN[outcome]}{waived}", class_="lead"),
        tag("p", f"On {data['cloud']}{read}. Declared in ", tag("code", data["where"]), ".",
            class_="quiet"),
        tag("ul", *numbers, class_="counts", aria_label="Findings"),
        class_=f"head {outcome}",
    )  # fmt: skip


def _changed(run: Run, data: Json) -> Html:
    """What changed since the last run, and against the base branch, where either was asked for."""
    clean, parts = cleaner(run.root), []
    for report, earlier in ((run.before, "the last run"), (run.base, "the base branch")):
        if report is not None:
            result = base.compare(data, report)
            if isinstance(result, Unknown):
                result = Unknown(clean(result.reason))
            parts.append(sections.compared(result, earlier))
    return joined(parts)


def _addresses(run: Run) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for change in run.estate.changes:
        account = "(unknown account)" if isinstance(change.account, Unknown) else change.account
        found.setdefault(account, []).append(f"{' and '.join(change.actions)} {change.address}")
    return {account: found[account] for account in sorted(found)}


def _extended(estate: Estate) -> dict[str, int | None]:
    """How many servers of each staging account the target has as healthy extensions, by account id."""
    if isinstance(estate.target.servers, Unknown):
        return {}
    counted: Counter[str] = Counter()
    for each in estate.target.servers:
        arn = each.staging_arn
        if isinstance(each.extension, Unknown) or isinstance(arn, Unknown):
            return {}
        if each.extension is Extension.EXTENDED and arn is not None:
            counted.update(arn.split(":")[4:5])
    return {account.id: counted[account.id] for account in estate.staging}


def _quota(run: Run, quota: Quota) -> int | None:
    return _number(limit(run.estate.target, quota))


def _number(value: int | Unknown) -> int | None:
    return None if isinstance(value, Unknown) else value


__all__ = ["combined_html", "to_html"]
