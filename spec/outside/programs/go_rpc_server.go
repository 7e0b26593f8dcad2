// Serves by net/rpc. usage: server tcp|http; prints its port
package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"time"
)

type Args struct{ X, Y int }

type Circle struct{ Radius float64 }

type Order struct {
	Article string
	Price   float64
	Count   uint8
	Tags    []string
	Notes   map[string]string
	Parent  *Order
	At      time.Time
	Extra   interface{}
}

type Arith struct{}

func (Arith) Add(args Args, sum *int) error { *sum = args.X + args.Y; return nil }

func (Arith) Half(x float64, half *float64) error { *half = x / 2; return nil }

func (Arith) Sum(numbers []float64, sum *float64) error {
	for _, number := range numbers {
		*sum += number
	}
	return nil
}

type Shop struct{}

func (Shop) Echo(order Order, back *Order) error { *back = order; return nil }

func (Shop) Find(article string, found *Order) error {
	*found = Order{Article: article, Price: 2, Extra: Circle{1}, At: time.Unix(0, 0)}
	return nil
}

func (Shop) Describe(any map[string]interface{}, text *string) error {
	*text = fmt.Sprint(any)
	return nil
}

func (Shop) Fail(why string, _ *int) error { return errors.New(why) }

func (Shop) Nothing(_ struct{}, _ *struct{}) error { return nil }

func (Shop) Big(_ struct{}, big *uint64) error { *big = 1 << 63; return nil }

func (Shop) Slow(ms int, reply *int) error {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	*reply = ms
	return nil
}

func main() {
	gob.Register(Circle{})
	rpc.Register(Arith{})
	rpc.Register(Shop{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if os.Args[1] == "http" {
		rpc.HandleHTTP()
		http.Serve(listener, nil)
	}
	rpc.Accept(listener)
}
