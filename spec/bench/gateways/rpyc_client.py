"""Measures works of an RPyC client. usage: rpyc_client.py PORT; reads lines "SECONDS WORK", prints the median duration in µs."""
import statistics
import sys
import time

import rpyc

port = int(sys.argv[1])


def connect():
    return rpyc.connect('127.0.0.1', port, config={'allow_public_attrs': True})


def visit():
    """Connects, calls a method with a callback, and leaves."""
    conn = connect()
    heard = []
    conn.root.each(3, heard.append)
    conn.close()
    assert heard == [0, 1, 2], heard


conn = connect()
root = conn.root
WORKS = {
    'a kept method': root.noop,
    'root.f()': lambda: root.noop(),
    'a method with a callback': lambda: root.each(1, abs),
    'open, method, callback': visit,
}


def measure(run, seconds):
    durations = []
    start = end = time.perf_counter()
    while end < start + seconds or len(durations) < 5:
        began = time.perf_counter()
        run()
        end = time.perf_counter()
        durations.append(end - began)
    return 1e6 * statistics.median(durations)


for line in sys.stdin:
    seconds, work = line.strip().split(' ', 1)
    print(measure(WORKS[work], float(seconds)), flush=True)
conn.close()
