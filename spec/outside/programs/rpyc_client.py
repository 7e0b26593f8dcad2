"""A client of RPyC that tries all of the gateway. usage: rpyc_client.py HOST PORT FILE"""
import gc
import sys
import threading

import rpyc

conn = rpyc.connect(sys.argv[1], int(sys.argv[2]), config={'allow_public_attrs': True})
root = conn.root


def raised(function, *args, **kwargs):
    """The exception that a call raises."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return error
    raise AssertionError('it raised nothing')


# A file and a function of this program, used by the service.
heard = []
with open(sys.argv[3]) as file:
    assert root.line_counter(file, heard.append) == 3
assert heard == ['one\n', 'two\n', 'three'], heard

# Values, and objects that come home as themselves.
for value in (None, True, False, 0, -1, 159, 160, 2**53, 2**64, -(10**30), 1.5, float('inf'), '', 'é€😀', b'', b'\0\xff', (), (1, ('a', b'b')), frozenset([1, 2])):
    back = root.same(value)
    assert back == value and type(back) is type(value), (value, back)


class Mine:
    def __init__(self):
        self.name = 'mine'

    def twice(self, number):
        return 2 * number

    def __call__(self, *args):
        return args


mine = Mine()
assert root.same(mine) is mine and root.same(Mine) is Mine and root.same(print) is print and root.same(raised) is raised
assert root.same((1, mine))[1] is mine
assert root.same(object) is object and root.same(dict) is dict
assert root.use(mine) == ('mine', 42, (1, 'a'))

# Plain data is copied, in order, at any depth.
data = {'list': [1, [2, {'three': {4}}], ()], 'mine': mine, 'set': {'a'}}
assert root.kinds(data) == 'Object Array Array Object Set Array Netref Set', root.kinds(data)
copy = root.same(data)
assert copy['list'][1][1]['three'] == frozenset([4]) and copy['mine'] is mine and copy['set'] == frozenset(['a'])
assert list(root.same(list(range(2500)))) == list(range(2500))
assert dict(root.same({n: str(n) for n in range(1500)})) == {n: str(n) for n in range(1500)}
cycle = [1]
cycle.append(cycle)
assert root.is_cycle(cycle) is True
later = [rpyc.async_(root.note)([n]) for n in range(5)] + [rpyc.async_(root.note)(n) for n in range(5, 10)]
for result in later:
    result.wait()
assert root.noted() == tuple(range(10)), root.noted()

# What JavaScript has by value, Python reads as a dict.
record = root.record()
assert isinstance(record, dict) and record['name'] == 'Ada' and record.name == 'Ada' and len(record) == 3
assert 'name' in record and 'nothing' not in record and list(record) == ['name', 'tags', 'greet']
assert record.get('nothing') is None and record.get('nothing', 1) == 1 and record.tags == ('a', 'b')
assert record.greet('you') == 'hello you' and sorted(record.keys()) == ['greet', 'name', 'tags']
assert isinstance(raised(lambda: record['nothing']), KeyError) and isinstance(raised(lambda: record.nothing), AttributeError)
assert dict(record)['name'] == 'Ada' and [value for value in record.values()][0] == 'Ada' and record.items()[0] == ('name', 'Ada')
assert root.same(record)['name'] == 'Ada'
assert root.same({'a': 1}) == {'a': 1} and root.same({'a': 1}) != {'a': 2}
assert root.map()[1] == 'one' and root.nan() != root.nan() and root.date() == '2026-01-02T03:04:05.000Z'

# Objects of the service: identity, attributes, methods, release.
counter = root.open(10)
assert counter.increment() == 11 and counter.count == 11 and root.opened() is counter and root.opened() == counter
assert counter != root and hash(counter) == hash(root.opened()) and 'Counter' in str(counter) and repr(counter)
assert not hasattr(counter, 'secret') and hasattr(counter, 'increment') and 'increment' in dir(counter)
counter.title = 'set'
assert counter.title == 'set'
assert isinstance(raised(setattr, counter, 'count', 1), AttributeError)
assert root.call(root.add, 1, 2) == 3
with counter as entered:
    assert entered is counter
assert isinstance(raised(lambda: counter.increment()), ReferenceError)
numbers = root.numbers()
assert len(numbers) == 3 and numbers[0] == 1 and numbers[-1] == 3 and list(numbers) == [1, 2, 3]
assert isinstance(raised(lambda: numbers[7]), IndexError)

# Keyword arguments by parameter name; help.
assert root.greet(name='Ada') == 'Hello, Ada' and root.greet('Ada', greeting='Bye') == 'Bye, Ada'
assert root.greet(greeting='Hi', name='Bob') == 'Hi, Bob' and root.exposed_greet('x') == 'Hello, x'
assert isinstance(raised(root.greet, nobody=1), TypeError) and isinstance(raised(root.greet, 'x', name='y'), TypeError)
assert root.greet.__doc__ == 'Greets somebody' and root.greet.__name__ == 'greet'

# Errors by class, both ways.
assert isinstance(raised(root.fail, 'RangeError'), ValueError) and isinstance(raised(root.fail, 'KeyError'), KeyError)
assert isinstance(raised(root.fail, 'TypeError'), TypeError) and isinstance(raised(root.fail, 'TimeoutError'), TimeoutError)
own = raised(root.fail, 'OwnError')
assert 'OwnError' in type(own).__name__ and own.args == ('it failed',) and own.code == 'own', (type(own), own.args)
assert 'WARNING' not in str(own) and 'at ' not in str(own)
assert isinstance(raised(lambda: root.missing), AttributeError) and isinstance(raised(lambda: root._private), AttributeError)


class MyError(Exception):
    pass


def fails(kind):
    raise kind('mine', 2)


assert isinstance(raised(root.call, fails, LookupError), LookupError) and raised(root.call, fails, LookupError).args == ('mine', 2)
assert 'MyError' in type(raised(root.call, fails, MyError)).__name__ and raised(root.call, fails, MyError).args == ('mine', 2)
assert raised(root.call, open, '/nowhere/at/all').errno == 2
assert root.name_of_error(fails, KeyError) == ('KeyError', 'builtins', "('mine', 2)")
assert root.name_of_error(open, '/nowhere/at/all')[0] == 'FileNotFoundError'

# Iterators, asynchronous calls, timeouts.
assert list(root.count_to(3)) == [1, 2, 3] and len(list(rpyc.buffiter(root.count_to(2500)))) == 2500
ones = root.count_to(9)
assert next(ones) == 1 and next(ones) == 2
ones.close()
assert list(ones) == [] and root.was_closed() is True
assert root.sum_all(n for n in range(2000)) == 1999000 and root.sum_all([1, 2]) == 3
assert sum(result.value for result in [rpyc.async_(root.add)(n, n) for n in range(100)]) == 9900
assert isinstance(raised(lambda: rpyc.timed(root.sleep, 0.2)(2000).value), rpyc.AsyncResultTimeout)
conn.ping()
conn.ping(b'x' * 100000)
assert root.same('x' * 100000) == 'x' * 100000
assert rpyc.classic.obtain(root.map()) == {1: 'one'} and isinstance(raised(rpyc.classic.obtain, record), TypeError)

# Called while idle.
called = threading.Event()
thread = rpyc.BgServingThread(conn)
root.later(called.set)
assert called.wait(10), 'it was not called'
thread.stop()

# Nothing stays behind.
root.forget()
del counter, entered, numbers, record, copy, ones, later, own
for _ in range(3):
    gc.collect()
    conn.ping()
print('held', root.held())
conn.close()
