"""How fast the embedded AWS answers pages of 200 out of 4,000 source servers, alone and to eight readers.

Run: PYTHONPATH=. .venv/bin/python benchmarks/pages.py
"""

import http.client
import json
import multiprocessing
import statistics
import time

from tests.conftest import ORCHESTRATION, REGION, Embedded
from tests.emulator.test_drs import initialise, template
from validator.tools import emulator

ACCOUNT = "131313131313"
HEADERS = {
    "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/drs/aws4_request, ",
    "Content-Type": "application/json",
    "Host": f"drs.{REGION}.amazonaws.com",
}


def read(url: str) -> list[float]:
    """The milliseconds of each page of two full readings."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    times, token, seen = [], None, 0
    for _ in range(40):
        body = {"maxResults": 200, "filters": {}} | ({"nextToken": token} if token else {})
        started = time.perf_counter()
        connection.request("POST", "/DescribeSourceServers", json.dumps(body), HEADERS)
        answer = connection.getresponse().read()
        times.append(1000 * (time.perf_counter() - started))
        page = json.loads(answer)
        seen, token = seen + len(page["items"]), page.get("nextToken")
    assert seen == 8000
    return times


def show(who: str, times: list[float]) -> None:
    """Prints one line of figures."""
    p95 = statistics.quantiles(times, n=20)[-1]
    print(
        f"{who:14} median {statistics.median(times):5.1f} ms, p95 {p95:5.1f}, max {max(times):5.1f}"
    )


def main() -> None:
    """Serves 4,000 servers, and reads them."""
    with emulator.started(ORCHESTRATION) as running:
        embedded = Embedded(running.url)
        initialise(embedded, ACCOUNT).create_replication_configuration_template(**template())
        place = {"account": ACCOUNT, "region": REGION}
        embedded.door("quotas", {**place, "code": "L-C1D14A2B", "value": 4000})
        embedded.door("source-servers", {**place, "count": 4000})
        show("one reader", read(running.url))
        with multiprocessing.Pool(8) as pool:
            show(
                "eight readers",
                [t for times in pool.map(read, [running.url] * 8, chunksize=1) for t in times],
            )


if __name__ == "__main__":
    main()
