// Calls the server by Go's own net/rpc. usage: go run gorpc_client.go HOST:PORT
package main

import (
	"fmt"
	"log"
	"net/rpc"
	"os"
)

func main() {
	client, err := rpc.Dial("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Fields of Go begin with a capital letter, and the names of the service do not: maps have them.
	var greeting map[string]string
	if err := client.Call("greet", map[string]string{"name": "Ada"}, &greeting); err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting["text"])
	var result map[string]int
	if err := client.Call("divide", map[string]int{"dividend": 17, "divisor": 5}, &result); err != nil {
		log.Fatal(err)
	}
	fmt.Println("17 / 5 =", result["quotient"], "remainder", result["remainder"])
	fmt.Println("1 / 0:", client.Call("divide", map[string]int{"dividend": 1, "divisor": 0}, &result))
}
