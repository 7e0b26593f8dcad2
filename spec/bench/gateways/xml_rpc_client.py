"""Measures works of xmlrpc.client. usage: xml_rpc_client.py PORT; reads lines "SECONDS WORK", prints the median duration in µs."""
import statistics
import sys
import time
from xmlrpc.client import MultiCall, ServerProxy

proxy = ServerProxy('http://127.0.0.1:%s' % sys.argv[1], allow_none=True)
ROWS = [{'id': n, 'name': 'row %d' % n, 'price': n / 4, 'sold': n % 2 == 0} for n in range(100)]


def multicall():
    calls = MultiCall(proxy)
    for n in range(100):
        calls.add(n, 1)
    assert calls()[99] == 100


WORKS = {
    'a call': lambda: proxy.add(1, 2),
    'a call with 100 records': lambda: proxy.echo(ROWS),
    'a multicall of 100 calls': multicall,
}
assert proxy.add(1, 2) == 3 and proxy.echo(ROWS) == ROWS


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
