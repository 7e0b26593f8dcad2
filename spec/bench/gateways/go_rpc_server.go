// Go's own server of what netref-server.ts serves. It prints its port.
package main

import (
	"fmt"
	"log"
	"net"
	"net/rpc"
)

type Args struct{ X, Y int }

type Row struct {
	Id    int
	Name  string
	Price float64
	Sold  bool
}

type Arith struct{}

func (Arith) Add(args Args, sum *int) error { *sum = args.X + args.Y; return nil }

func (Arith) Echo(rows []Row, back *[]Row) error { *back = rows; return nil }

func main() {
	rpc.Register(Arith{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	rpc.Accept(listener)
}
