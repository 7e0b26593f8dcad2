// Calls a server by net/rpc/jsonrpc, and prints the results. usage: client HOST:PORT
package main

import (
	"errors"
	"fmt"
	"log"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"reflect"
)

type Args struct{ X, Y int }

type Person struct {
	Name  string
	Score float64
	Tags  []string
	Data  []byte
	Meta  map[string]int
	Boss  *Person
	Ok    bool
}

func main() {
	client, err := jsonrpc.Dial("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var sum int
	fmt.Println(client.Call("Arith.Add", Args{10, 20}, &sum), sum)
	fmt.Println(client.Call("Arith.Add", &Args{0, -5}, &sum), sum)
	var half float64
	fmt.Println(client.Call("math.half", 8.0, &half), half)
	fmt.Println(client.Call("math.half", 5, &half), half)
	person := Person{"Ada é", 1.5, []string{"a", ""}, []byte{0, 255}, map[string]int{"k": -1}, &Person{Name: "Boss"}, true}
	var back Person
	fmt.Println(client.Call("echo", person, &back), reflect.DeepEqual(person, back))
	var data []byte
	fmt.Println(client.Call("bytes", nil, &data), data)
	var nothing struct{}
	fmt.Println(client.Call("nothing", struct{}{}, &nothing))
	err = client.Call("fail", nil, &sum)
	var serverError rpc.ServerError
	fmt.Println(errors.As(err, &serverError), err)
	err = client.Call("Arith.Missing", Args{}, &sum)
	fmt.Println(errors.As(err, &serverError))
	slow := client.Go("wait", 200, new(int), nil)
	fast := client.Go("wait", 1, new(int), nil)
	select {
	case <-fast.Done:
		fmt.Println("fast first")
	case <-slow.Done:
		fmt.Println("slow first")
	}
	<-slow.Done
	calls := make([]*rpc.Call, 1000)
	sums := make([]int, len(calls))
	for i := range calls {
		calls[i] = client.Go("Arith.Add", &Args{i, i}, &sums[i], nil)
	}
	total := 0
	for i, call := range calls {
		<-call.Done
		total += sums[i]
	}
	fmt.Println(total)
	fmt.Println(client.Close())
}
