"""A deployment as people read it."""

from validator.reports.deploying import planned_to_text, to_line, to_text

INSTANCES = {
    "i-1": {"account": "1", "into": "1", "wave": "wave-10", "status": "replicating"},
    "i-2": {"account": "1", "into": "1", "wave": "wave-2", "status": "failed", "reason": "Failed: no\nroom"},
    "i-3": {"account": "1", "status": "refused", "refusal": "not-running", "detail": "stopped"},
    "i-4": {"account": "1", "status": "already", "refusal": "already-replicating", "detail": "s-4"},
}  # fmt: skip


def test_waves_stand_in_the_order_of_their_numbers_and_what_is_not_well_by_name() -> None:
    text = to_text({"deployment_id": "one", "status": "incomplete"}, INSTANCES)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["wave-2", "wave-10", "not"]
    assert "failed: i-2: Failed: no room" in text
    assert "refused: i-3: not-running (stopped)" in text
    assert "i-1" not in text
    assert "i-4" not in text
    assert lines[-1] == "Deployment one: incomplete (not every instance replicates)."


def test_an_error_that_ended_it_is_told() -> None:
    text = to_text({"deployment_id": "one", "status": "failed", "error": "denied\nby AWS"}, {})
    assert "error: denied by AWS" in text


def test_the_line_of_its_progress() -> None:
    progress = {
        "deployment_id": "one",
        "status": "running",
        "waves": {"wave-10": {"planned": 3}, "wave-2": {"sent": 1, "failed": 2}},
        "errors": [{"instance": "i-1", "reason": "a"}, {"instance": "i-2", "reason": "b"}],
    }
    assert to_line(progress) == (
        "one running: wave-2 2 failed, 1 sent; wave-10 3 planned; last error: i-2: b"
    )
    assert to_line({"deployment_id": "one", "status": "planning"}) == "one planning"


def test_a_dry_run_says_what_would_be_sent_and_what_is_left_out() -> None:
    batch = {"wave": "wave-1", "account": "1", "into": "2", "instances": {"i-1": {}, "i-4": {}}}
    refused = {each: INSTANCES[each] for each in ("i-3", "i-4")}
    text = planned_to_text((batch,), refused)
    assert "i-4" not in text
    assert "wave-1: 2 instances of account 1 would get an agent that replicates into 2" in text
    assert "refused: i-3: not-running (stopped)" in text
    assert text.endswith("2 instances in 1 commands; 1 are left out, 1 replicate already.\n")
