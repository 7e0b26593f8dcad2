"""Passes a file and a function to the server, which reads the one and calls the other (Debian: python3-rpyc).
usage: rpyc_client.py HOST PORT FILE"""
import sys

import rpyc

# The server may use the members of the objects that it is given: `readlines` of the file.
connection = rpyc.connect(sys.argv[1], int(sys.argv[2]), config={"allow_public_attrs": True})
root = connection.root
print("1 + 2 =", root.sum(1, 2))


def noisy(line):
    print("Noisy:", line.rstrip())


with open(sys.argv[3]) as file:
    print("The server counted", root.line_counter(file, noisy), "lines.")
print("It counts itself, too:", list(root.count(3)))
try:
    root.divide({"dividend": 1, "divisor": 0})
except Exception as error:
    print("1 / 0:", str(error).splitlines()[0])
connection.close()
