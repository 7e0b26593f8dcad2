# RPyC, as its documentation says to use it: this does what it reads on stdin, as contestant-process.ts does.
import gc
import json
import resource
import sys
import threading
import time
from collections import deque

import rpyc
from rpyc.utils.server import ThreadedServer

CONFIG = {"allow_public_attrs": True, "sync_request_timeout": None}
CALLBACKS, LINES, ITEMS, CHAIN = 1000, 2000, 2000, 10


def each(items, at_once, work):
    """Does work for each item, some of them at a time, and yields what comes of it."""
    if at_once == 1:
        yield from map(work, items)
        return
    start, under_way = rpyc.async_(work), deque()
    for item in items:
        if len(under_way) == at_once:
            yield under_way.popleft().value
        under_way.append(start(item))
    while under_way:
        yield under_way.popleft().value


class Counter:
    def __init__(self):
        self.count = 0

    def increment(self):
        self.count += 1
        return self.count


class Node:
    def __init__(self, distance):
        self.distance = distance

    def next(self):
        return Node(self.distance + 1)

    def value(self):
        return self.distance


class Bench(rpyc.Service):
    def exposed_add(self, a, b):
        return a + b

    def exposed_echo(self, value):
        return value

    def exposed_echo_json(self, text):
        return json.dumps(json.loads(text))

    def exposed_call_back(self, count, at_once, callback):
        return sum(each(range(count), at_once, callback))

    def exposed_count_lines(self, file, at_once, noisy):
        return sum(1 for _ in each(file.readlines(), at_once, noisy))

    def exposed_counter(self):
        return Counter()

    def exposed_node(self):
        return Node(0)

    def exposed_items(self, count):
        return iter(range(count))


class File:
    """A tuple goes by value, where a list would be asked for item by item."""

    lines = tuple(f"line {i} of the file" for i in range(LINES))

    def readlines(self):
        return self.lines


def serve(_):
    server = ThreadedServer(Bench, hostname="127.0.0.1", port=0, protocol_config=CONFIG)
    threading.Thread(target=server.start, daemon=True).start()
    while not server.active:
        time.sleep(0.001)
    return f"tcp://127.0.0.1:{server.port}"


# Node does so, too.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

address, root, conn, idle = "", None, None, []
tree = json.dumps(
    [
        {
            "id": i,
            "name": f"customer {i}",
            "tags": ["a", "b", f"tag {i % 17}"],
            "address": {"street": f"{i} Long Road", "geo": {"lat": i / 7, "lon": -1 - i / 11}},
            "active": i % 3 == 0,
            "note": None,
        }
        for i in range(5600)
    ]
)
data = bytes(range(256)) * (8 * 4096)


def open_session():
    host, port = address.removeprefix("tcp://").split(":")
    return rpyc.connect(host, int(port), config=CONFIG)


def connect(request):
    global address, conn, root
    address = request["address"]
    conn = open_session()
    root = conn.root


def check(found, expected):
    assert found == expected, f"a wrong answer: {found}, not {expected}"


def add(at_once, until, done):
    start, under_way, i = rpyc.async_(root.add), deque(), 0
    while True:
        if at_once == 1:
            check(root.add(i, 1), i + 1)
            done(1)
        else:
            under_way.append((i, time.perf_counter(), start(i, 1)))
            if len(under_way) == at_once:
                first, began, result = under_way.popleft()
                check(result.value, first + 1)
                done(1, time.perf_counter() - began)
        i += 1
        if until():
            break
    for first, _, result in under_way:
        check(result.value, first + 1)
        done(1)


def repeat(piece):
    def work(at_once, until, done):
        while True:
            done(piece(at_once))
            if until():
                break

    return work


def callback(at_once):
    check(root.call_back(CALLBACKS, at_once, lambda i: i), sum(range(CALLBACKS)))
    return CALLBACKS


def lines(at_once):
    heard = []
    check(root.count_lines(File(), at_once, heard.append), LINES)
    check(len(heard), LINES)
    return LINES


def echo_json(_):
    check(len(json.loads(root.echo_json(tree))), 5600)
    return 1


def echo_bytes(_):
    check(len(root.echo(data)), len(data))
    return 1


def reference(_):
    check(root.counter().increment(), 1)
    return 1


def chain(_):
    node = root.node()
    for _ in range(CHAIN):
        node = node.next()
    check(node.value(), CHAIN)
    return 1


def stream(_):
    check(sum(root.items(ITEMS)), sum(range(ITEMS)))
    return ITEMS


WORK = {
    "add": add,
    "callback": repeat(callback),
    "lines": repeat(lines),
    "json": repeat(echo_json),
    "bytes": repeat(echo_bytes),
    "reference": repeat(reference),
    "chain": repeat(chain),
    "stream": repeat(stream),
}


def repeat_work(request):
    work = WORK.get(request["work"])
    if work is None:
        return None
    units = 0

    def done(worth, _=0):
        nonlocal units
        units += worth

    began = time.perf_counter()
    end = began + request["ms"] / 1000
    work(request["inFlight"], lambda: time.perf_counter() >= end, done)
    return {"units": units, "ms": (time.perf_counter() - began) * 1000}


def latency(request):
    times = []
    end = time.perf_counter() + request["ms"] / 1000
    add(request["lanes"], lambda: time.perf_counter() >= end, lambda _, took=None: took and times.append(took))
    times.sort()
    return times[int(len(times) * request["quantile"])] * 1e6


def adds(request):
    start, at_once = rpyc.async_(root.add), request["inFlight"]
    for _ in range(request["count"] // at_once):
        for result in [start(12, 34) for _ in range(at_once)]:
            result.wait()


def connects(request):
    times = []
    end = time.perf_counter() + request["ms"] / 1000
    while time.perf_counter() < end:
        began = time.perf_counter()
        session = open_session()
        session.root.add(1, 2)
        times.append(time.perf_counter() - began)
        session.close()
    return sorted(times)[len(times) // 2] * 1e6


def sessions(request):
    while len(idle) < request["count"]:
        session = open_session()
        session.root.add(1, 2)
        idle.append(session)


def cpu(_):
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def memory(request):
    """The resident memory without mapped files, in bytes."""
    time.sleep(request["after"] / 1000)
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


DO = {
    "serve": serve,
    "memory": memory,
    "connect": connect,
    "check": lambda _: None,
    "work": repeat_work,
    "cpu": cpu,
    "latency": latency,
    "adds": adds,
    "connects": connects,
    "sessions": sessions,
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"value": DO[request["do"]](request)}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
