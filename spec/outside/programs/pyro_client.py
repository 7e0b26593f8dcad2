"""A client of Pyro that tries all of the gateway. usage: pyro_client.py 4|5 PORT"""
import sys
import threading

VERSION, PORT = sys.argv[1], sys.argv[2]
if VERSION == '4':
    from Pyro4 import Proxy, batch, config, errors
    from Pyro4.util import getPyroTraceback as traceback
else:
    from Pyro5 import config, errors
    from Pyro5.api import BatchProxy as batch, Proxy
    from Pyro5.errors import get_pyro_traceback as traceback
import serpent


def connect(name, **settings):
    proxy = Proxy('PYRO:%s@127.0.0.1:%s' % (name, PORT))
    for key, value in settings.items():
        setattr(proxy, '_pyro' + key, value)
    return proxy


def raised(function, *args, **kwargs):
    """The exception that a call raises."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return error
    raise AssertionError('it raised nothing')


proxy = connect('tutorial')

# Calls, with arguments by position and by name.
assert proxy.add(1, 2) == 102 and proxy.add(1) == 110
assert proxy.add(1, b=2) == 102 and proxy.add(b=2, a=1) == 102
assert proxy.maths.half(5) == 2.5 and proxy.maths.deep.double(x=5) == 10
assert type(raised(proxy.add, 1, z=2)) is TypeError
assert type(raised(proxy.add, 1, a=2)) is TypeError

# Values that come back as they were.
for value in (None, True, 0, -1, 2**53 - 1, 2**64, -(10**30), 1.5, 1e300, float('inf'), float('-inf'), '', 'é\n\'"\\\0\u2028😀',
              [], [1, [2, None]], {}, {'a': {'b': [1]}}, {1: 'one', (1, 2): 'two', 2.5: None}, {1, 'a', (2, 3)}):
    back = proxy.echo(value)
    assert back == value and type(back) is type(value), (value, back)
assert proxy.echo(float('nan')) != proxy.echo(float('nan'))
assert proxy.echo((1, (2,))) == [1, [2]], 'tuples are lists'
for value in (b'', b'\0\xff', bytearray(range(256))):
    back = proxy.echo(value)
    assert serpent.tobytes(back) == bytes(value), back
    assert proxy.kind(value) == 'Uint8Array'
assert proxy.kind({1, 2}) == 'Set' and proxy.kind({1: 2}) == 'Map' and proxy.kind(2**60) == 'BigInt'
assert type(proxy.echo(ValueError('as a value'))) is ValueError
assert type(raised(proxy.echo, 1 + 2j)) is ValueError
deep = 1
for _ in range(190):
    deep = [deep]
assert proxy.echo(deep) == deep
too_deep = raised(proxy.nested, 199)
assert type(too_deep) is TypeError and 'too deep' in str(too_deep), too_deep
assert str(proxy.nested(198)).count('[') == 198

# Exceptions.
error = raised(proxy.fail)
assert type(error) is ValueError and error.args == ('too much',)
assert error._pyroTraceback == ['ValueError: too much\n']
error = raised(proxy.custom)
assert type(error) is Exception and str(error) == 'InsufficientFunds: poor' and error.code == 17 and error.left == {'a': 1}
error = raised(proxy.python, 'KeyError')
assert type(error) is KeyError
assert 'is a reference, and Pyro has none' in str(raised(proxy.reference))
assert type(raised(lambda: proxy.nothing)) is AttributeError
try:
    proxy.fail()
except ValueError:
    assert 'Remote traceback' in ''.join(traceback())

# Attributes.
assert proxy.title == 'tutorial' and proxy.config == {'colour': 'red'} and proxy.now == 42
proxy.title = 'changed'
assert proxy.title == 'changed'
assert type(raised(setattr, proxy, 'config_', 1)) is AttributeError

# Iterators: read to the end, left, closed while other calls are made, and closed by another connection.
assert list(proxy.count(100)) == list(range(100))
for item in proxy.count(10**9):
    if item == 3:
        break
left = proxy.count(10**9)
assert next(left) == 0
left.close()
left = proxy.count(10**9)
assert next(left) == 0 and proxy.add(1, 1) == 101
left.close()
left = proxy.count(10**9)
del item, left
failing = proxy.failing()
assert next(failing) == 1 and type(raised(next, failing)) is ValueError
assert [list(inner) for inner in proxy.nested_iterators()] == [[0, 1], [0, 1]]

# One-way calls and batches.
proxy._pyroOneway.add('push')
for number in range(100):
    assert proxy.push(number) is None
assert proxy.pushed() == list(range(100))
calls = batch(proxy)
calls.add(1, 2)
calls.maths.half(3)
calls.add(a=1, b=3)
assert list(calls()) == [102, 1.5, 103]
calls.add(1, 2)
calls.fail()
calls.push('never')
results = calls()
assert next(results) == 102 and type(raised(next, results)) is ValueError
calls.push('a')
calls.push('b')
assert calls(oneway=True) is None
assert proxy.pushed() == ['a', 'b']

# Data that is big, and compressed.
big = bytes(range(256)) * 16384
for compression in (False, True):
    config.COMPRESSION = compression
    assert serpent.tobytes(proxy.echo(big)) == big
    assert proxy.echo('é' * 1000000) == 'é' * 1000000
    assert len(proxy.echo(list(range(100000)))) == 100000
config.COMPRESSION = False
assert type(raised(proxy.echo, 'x' * (5 << 20))) is not AssertionError
assert proxy.add(1, 2) == 102

# Objects by their ids.
assert connect('maths').half(3) == 1.5 and connect('maths.deep').double(3) == 6
assert connect('obj_0815').add(1, 2) == 102
daemon = connect('Pyro.Daemon')
assert daemon.ping() is None and daemon.registered() == ['Pyro.Daemon', 'maths.deep', 'maths']
assert 'add' in daemon.get_metadata('tutorial')['methods']
assert 'unknown object' in str(raised(connect('Pyro.NameServer')._pyroBind))

# JSON in the place of serpent, and serializers that are not there.
assert connect('tutorial', Serializer='json').echo({'a': [1, None, 'é']}) == {'a': [1, None, 'é']}
assert type(raised(connect('tutorial', Serializer='json').fail)) is ValueError
assert list(connect('tutorial', Serializer='json').count(3)) == [0, 1, 2]
assert 'use serpent or json' in str(raised(connect('tutorial', Serializer='marshal')._pyroBind))

# Who the client is.
assert connect('tutorial', Handshake='secret').who() == 'ada'
assert 'authentication failed' in str(raised(connect('tutorial', Handshake='wrong')._pyroBind))

# Correlation ids, and annotations, which are ignored.
if VERSION == '5':
    import uuid
    from Pyro5.api import current_context
    current_context.correlation_id = uuid.uuid4()
    current_context.annotations = {'ABCD': b'x' * 100000}
    assert proxy.add(1, 2) == 102
    current_context.correlation_id = None
    current_context.annotations = {}

# Threads, each with a proxy; those of Pyro4 may share one.
failures = []


def work(number, shared):
    try:
        mine = shared if shared is not None else connect('tutorial')
        for i in range(50):
            assert mine.add(number, i) == 100 * number + i
        if shared is None:
            assert list(mine.count(20)) == list(range(20))
            mine._pyroRelease()
    except Exception as error:
        failures.append(error)


for shared in [None, proxy] if VERSION == '4' else [None]:
    threads = [threading.Thread(target=work, args=(number, shared)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
assert not failures, failures

# A slow call that the client gives up: the next one has a connection of its own.
hasty = connect('tutorial', Timeout=0.3)
assert isinstance(raised(hasty.sleep), errors.TimeoutError)
assert hasty.add(1, 2) == 102

print('ok')
