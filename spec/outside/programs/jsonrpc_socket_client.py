"""Calls a server over a bare socket, with texts that are glued and torn. usage: jsonrpc_socket_client.py HOST PORT"""
import json
import socket
import sys

client = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
client.sendall(json.dumps({"id": 0, "params": [{"X": 10, "Y": 50}], "method": "Arith.Add"}).encode())
print(json.loads(client.recv(1024).decode()))
lines = client.makefile("r")
client.sendall(b'{"id":1,"method":"add","params":[1,2]}{"id":2,"method":"add","params":[3,4]}')
print([json.loads(lines.readline())["result"] for _ in range(2)])
body = '{"id":3,"method":"echo","params":["}{\\"é"]}'.encode()
for i in range(len(body)):
    client.sendall(body[i : i + 1])
print(json.loads(lines.readline())["result"])
client.sendall(b"".join(b'{"id":%d,"method":"add","params":[%d,1]}' % (i, i) for i in range(1000)))
print(sum(json.loads(lines.readline())["result"] for _ in range(1000)))
client.sendall(b'{"id":4,"method":"nothing","params":[]}')
client.shutdown(socket.SHUT_WR)
print(json.loads(lines.readline()), repr(lines.readline()))
