"""An inventory is read whole or not at all; whatever is not understood is named with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from validator.errors import SourceError
from validator.model import Unknown
from validator.sizing import Server
from validator.sources import inventory

ID, OTHER = "i-0123456789abcdef0", "i-0123456789abcdef1"


def read(tmp_path: Path, *contents: str | bytes | dict[str, Any]) -> tuple[Server, ...]:
    files = []
    for number, content in enumerate(contents):
        file = tmp_path / f"servers-{number}"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        files.append(file)
    return inventory.read(files)


def test_a_row_is_a_server(tmp_path: Path) -> None:
    text = (
        "instance_id,name,account,region,disks,vcpu,platform,staging_account,dr:wave,tag:app\n"
        f'{ID},"web, 1",111122223333,us-east-1,100; 500,4,Linux,444455556666,wave-1,\n'
    )
    assert read(tmp_path, text) == (
        Server(
            ID,
            f"{tmp_path}/servers-0:2",
            "web, 1",
            "111122223333",
            "us-east-1",
            (100, 500),
            4,
            (("dr:wave", "wave-1"),),
            "444455556666",
        ),
    )


def test_an_empty_cell_is_a_value_that_is_not_given(tmp_path: Path) -> None:
    (server,) = read(tmp_path, f"instance_id,disks,vcpu,account\n{ID},,,\n")
    assert isinstance(server.disks, Unknown) and isinstance(server.vcpus, Unknown)
    assert server.account is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            b"\xef\xbb\xbfinstance_id\r\n" + ID.encode() + b"\r\n", id="as Excel saves it"
        ),
        pytest.param(f"instance_id\n\n{ID}\n\n".encode(), id="with blank lines"),
        pytest.param(f" instance_id \n {ID} ".encode(), id="with spaces, and no last line end"),
    ],
)
def test_what_is_read_all_the_same(tmp_path: Path, content: bytes) -> None:
    assert [each.id for each in read(tmp_path, content)] == [ID]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("", "is empty", id="nothing"),
        pytest.param(" \n", "is empty", id="blanks"),
        pytest.param("instance_id\n", "no server", id="a header alone"),
        pytest.param("name\nweb\n", ":1: the column 'instance_id' is missing", id="no id"),
        pytest.param("instance_id,nam\n", ":1: 'nam' is no column", id="a misspelt column"),
        pytest.param("instance_id,\n", ":1: '' is no column", id="a column without a name"),
        pytest.param("instance_id,tag:\n", ":1: 'tag:' is no column", id="a tag without a name"),
        pytest.param("instance_id,name,name\n", ":1: the column 'name' is there twice", id="a column twice"),
        pytest.param("instance_id,dr:wave,tag:dr:wave\n", "the tag 'dr:wave' is there twice", id="a tag twice"),
        pytest.param("instance_id;name\n", ":1: its fields are parted by semicolons", id="semicolons"),
        pytest.param("instance_id\tname\n", ":1: its fields are parted by tabs", id="tabs"),
        pytest.param(f"instance_id,name\n{ID}\n", ":2: has 1 fields; the header has 2", id="a field too few"),
        pytest.param(f"instance_id\n{ID},x\n", ":2: has 2 fields", id="a field too many"),
        pytest.param(f"instance_id\n{ID}\n{ID}\n", f":3: {ID} stands in", id="a server twice"),
        pytest.param("instance_id\nweb-1\n", ":2: 'web-1' is no instance id", id="a name for an id"),
        pytest.param("instance_id\n<script>\n", ":2: '<script>' is no", id="markup for an id"),
        pytest.param(f"instance_id,disks\n{ID},100 GB\n", ":2: disks is '100 GB'", id="a unit"),
        pytest.param(f"instance_id,disks\n{ID},0\n", ":2: disks is '0'", id="a disk of nothing"),
        pytest.param(f"instance_id,disks\n{ID},-5\n", ":2: disks is '-5'", id="a negative disk"),
        pytest.param(f"instance_id,disks\n{ID},100;;5\n", ":2: disks is", id="a disk left out"),
        pytest.param(f"instance_id,disks\n{ID},\uff11\uff10\uff10\n", ":2: disks is", id="digits of another script"),
        pytest.param(f"instance_id,vcpu\n{ID},four\n", ":2: vcpu is 'four'", id="a number in words"),
        pytest.param(f"instance_id,account\n{ID},1234\n", ":2: account is '1234'", id="a short account"),
        pytest.param(f"instance_id,account\n{ID},1.11E+11\n", ":2: account is '1.11E+11'", id="Excel's account"),
        pytest.param(f"instance_id,region\n{ID},Ohio\n", ":2: region is 'Ohio'", id="a Region by name"),
        pytest.param(f"instance_id,platform\n{ID},solaris\n", ":2: platform is 'solaris'", id="no agent for it"),
        pytest.param(f'instance_id,name\n{ID},"web\n', ": is no CSV", id="a quote that is never closed"),
        pytest.param(f"instance_id\n{ID}\n\0\n", ":3: holds a NUL", id="a NUL"),
        pytest.param(b"instance_id,name\n" + ID.encode() + b",caf\xe9\n", ":2: is not UTF-8", id="Latin-1"),
        pytest.param("instance_id\n".encode("utf-16"), "is UTF-16", id="UTF-16"),
        pytest.param(f"instance_id,name\n{ID},{'x' * 200_000}\n", ":2: is no CSV", id="a field without end"),
        pytest.param('{"Reservations": [', ":1: is no JSON, or not all of it", id="JSON cut off"),
        pytest.param("[" * 100_000, "nested too deeply", id="JSON without end"),
        pytest.param("[]", "is neither what", id="a list"),
        pytest.param({"Reservations": [], "Volumes": []}, "is neither what", id="both at once"),
        pytest.param({"Reservations": [], "NextToken": "x"}, "one page of several", id="one page of several"),
        pytest.param({"Reservations": [{}]}, "lacks 'OwnerId'", id="no owner"),
        pytest.param({"Reservations": 5}, "is not as EC2 prints it", id="a number of reservations"),
        pytest.param({"Reservations": [{"OwnerId": "1", "Instances": [{}]}]}, "lacks 'State'", id="no state"),
        pytest.param({"Reservations": []}, "there is no server", id="no reservation"),
        pytest.param({"Volumes": [{"VolumeId": "vol-1", "Size": "8"}]}, "no whole number", id="a size in text"),
    ],
)  # fmt: skip
def test_what_is_no_inventory(
    tmp_path: Path, content: str | bytes | dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceError) as error:
        read(tmp_path, content)
    assert said in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SourceError, match="cannot be read"):
            inventory.read([file])


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "LARGEST", 30)
    with pytest.raises(SourceError, match="is larger than"):
        read(tmp_path, f"instance_id\n{ID}\n{OTHER}\n")


def instance(id_: str = ID, **more: Any) -> dict[str, Any]:
    """As EC2 prints one, of what is read."""
    return {
        "InstanceId": id_,
        "State": {"Name": "running"},
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 2},
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1"}},
            {"DeviceName": "/dev/xvdb", "Ebs": {"VolumeId": "vol-2"}},
        ],
        "Tags": [{"Key": "Name", "Value": "web"}, {"Key": "dr:wave", "Value": "wave-2"}],
        **more,
    }


def printed(*instances: dict[str, Any]) -> dict[str, Any]:
    return {"Reservations": [{"OwnerId": "111122223333", "Instances": list(instances)}]}


VOLUMES = {"Volumes": [{"VolumeId": "vol-1", "Size": 8}, {"VolumeId": "vol-2", "Size": 500}]}


@pytest.mark.parametrize("order", [1, -1], ids=["instances first", "volumes first"])
def test_ec2_as_it_is(tmp_path: Path, order: int) -> None:
    (server,) = read(tmp_path, *[printed(instance()), VOLUMES][::order])
    assert (server.id, server.name, server.account) == (ID, "web", "111122223333")
    assert (server.region, server.disks, server.vcpus) == ("us-east-1", (8, 500), 4)
    assert server.tag("dr:wave") == "wave-2"


def test_without_the_volumes_their_sizes_are_not_known(tmp_path: Path) -> None:
    (server,) = read(tmp_path, printed(instance()))
    assert isinstance(server.disks, tuple) and server.volumes == 2
    assert all(isinstance(each, Unknown) for each in server.disks)


def test_an_instance_without_volumes_is_not_one_without_need(tmp_path: Path) -> None:
    (server,) = read(tmp_path, printed(instance(BlockDeviceMappings=[])))
    assert isinstance(server.disks, Unknown) and server.volumes == 1


def test_what_is_terminated_is_no_server(tmp_path: Path) -> None:
    gone = instance(OTHER, State={"Name": "terminated"})
    assert [each.id for each in read(tmp_path, printed(instance(), gone))] == [ID]


def test_a_local_zone_is_in_its_region(tmp_path: Path) -> None:
    zone = {"AvailabilityZone": "us-west-2-lax-1a"}
    (server,) = read(tmp_path, printed(instance(Placement=zone)))
    assert server.region == "us-west-2"


def test_an_instance_in_two_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="already"):
        read(tmp_path, printed(instance()), f"instance_id\n{ID}\n")
