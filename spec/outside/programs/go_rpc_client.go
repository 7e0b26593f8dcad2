// Calls a service by net/rpc, and prints the results. usage: client tcp|http HOST:PORT
package main

import (
	"encoding/gob"
	"fmt"
	"log"
	"net/rpc"
	"os"
	"reflect"
	"time"
)

type Args struct{ X, Y int }

type Point struct{ X, Y float64 }

type Person struct {
	Name  string
	Age   int
	Score float64
	Tags  []string
	Data  []byte
	Meta  map[string]int
	Boss  *Person
	Born  time.Time
	Big   uint64
	Pair  [2]int
	Any   interface{}
}

type Item struct {
	Name  string
	Price float64
	Parts []Item
}

type Circle struct{ Radius float64 }

func main() {
	gob.Register(Circle{})
	gob.Register(map[string]interface{}{})
	dial := rpc.Dial
	if os.Args[1] == "http" {
		dial = rpc.DialHTTP
	}
	client, err := dial("tcp", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	print := func(method string, argument, reply interface{}) {
		err := client.Call(method, argument, reply)
		fmt.Println(reflect.ValueOf(reply).Elem().Interface(), err)
	}
	print("Arith.Add", Args{10, 20}, new(int))
	print("Arith.Add", &Args{0, -5}, new(int))
	print("Maths.Half", 5.0, new(float64))
	print("Maths.Half", 8.0, new(float64))
	print("Maths.Mean", []int{1, 2, 3}, new(float64))
	print("Echo.It", uint(7), new(uint))
	print("Echo.It", "é𝄞", new(string))
	print("Echo.It", map[int][]string{1: {"a"}}, new(map[int][]string))
	print("Echo.It", Point{1, 2}, new(Point))
	print("Echo.It", Args{3, 4}, new(Args))
	person := Person{"Ada", 36, 2, []string{"a", ""}, []byte{0, 255}, map[string]int{"k": -1}, &Person{Name: "Boss"},
		time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), 1 << 63, [2]int{0, 7}, Circle{1}}
	var back, empty Person
	err = client.Call("Echo.It", &person, &back)
	fmt.Println(reflect.DeepEqual(person, back), err)
	err = client.Call("Echo.It", &Person{}, &empty)
	fmt.Println(reflect.DeepEqual(empty, Person{}), err)
	print("Shop.Items", struct{}{}, new([]Item))
	print("Shop.Nothing", struct{}{}, new(bool))
	print("Shop.Lengths", []string{"go", "net"}, new(map[string]int))
	print("Shop.Lengths", []string{}, new(map[string]int))
	print("Shop.Mixed", struct{}{}, new(map[string]interface{}))
	print("Shop.Fail", "no such thing", new(int))
	print("Shop.Missing", 1, new(int))
	print("Shop.Empty", 1, new([]string))
	slow := client.Go("Wait.For", 200, new(int), nil)
	fast := client.Go("Wait.For", 1, new(int), nil)
	select {
	case <-fast.Done:
		fmt.Println("fast first")
	case <-slow.Done:
		fmt.Println("slow first")
	}
	<-slow.Done
	calls := make([]*rpc.Call, 1000)
	sums := make([]int, 1000)
	for i := range calls {
		calls[i] = client.Go("Arith.Add", &Args{i, i}, &sums[i], nil)
	}
	total := 0
	for i, call := range calls {
		<-call.Done
		total += sums[i]
	}
	fmt.Println(total, client.Close())
}
