// Calls the server by Go's own package for JSON-RPC. usage: go run jsonrpc_client.go HOST:PORT
package main

import (
	"fmt"
	"log"
	"net/rpc/jsonrpc"
	"os"
)

type Person struct {
	Name string `json:"name"`
}

type Greeting struct {
	Text string `json:"text"`
}

type Division struct {
	Dividend int `json:"dividend"`
	Divisor  int `json:"divisor"`
}

type Quotient struct {
	Quotient  int `json:"quotient"`
	Remainder int `json:"remainder"`
}

func main() {
	client, err := jsonrpc.Dial("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var greeting Greeting
	if err := client.Call("greet", Person{"Ada"}, &greeting); err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting.Text)
	var result Quotient
	if err := client.Call("divide", Division{17, 5}, &result); err != nil {
		log.Fatal(err)
	}
	fmt.Println("17 / 5 =", result.Quotient, "remainder", result.Remainder)
	fmt.Println("1 / 0:", client.Call("divide", Division{1, 0}, &result))
}
