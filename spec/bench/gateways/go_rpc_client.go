// Measures works of a client of net/rpc. usage: go_rpc_client HOST:PORT; reads lines "SECONDS WORK", prints the median duration in µs.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net/rpc"
	"os"
	"sort"
	"strings"
	"time"
)

type Args struct{ X, Y int }

type Row struct {
	Id    int
	Name  string
	Price float64
	Sold  bool
}

func main() {
	client, err := rpc.Dial("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	rows := make([]Row, 100)
	for i := range rows {
		rows[i] = Row{i, fmt.Sprint("row ", i), float64(i) / 4, i%2 == 0}
	}
	works := map[string]func(){
		"a call": func() {
			var sum int
			if err := client.Call("Arith.Add", Args{1, 2}, &sum); err != nil || sum != 3 {
				log.Fatal(sum, err)
			}
		},
		"100 calls in flight": func() {
			done := make(chan *rpc.Call, 100)
			for i := 0; i < 100; i++ {
				client.Go("Arith.Add", Args{i, 1}, new(int), done)
			}
			for i := 0; i < 100; i++ {
				if call := <-done; call.Error != nil {
					log.Fatal(call.Error)
				}
			}
		},
		"a call with 100 records": func() {
			var back []Row
			if err := client.Call("Arith.Echo", rows, &back); err != nil || len(back) != 100 {
				log.Fatal(len(back), err)
			}
		},
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), " ", 2)
		var seconds float64
		fmt.Sscan(parts[0], &seconds)
		fmt.Println(measure(works[parts[1]], time.Duration(seconds*float64(time.Second))))
	}
}

func measure(work func(), duration time.Duration) float64 {
	var durations []float64
	for start := time.Now(); time.Since(start) < duration || len(durations) < 5; {
		began := time.Now()
		work()
		durations = append(durations, float64(time.Since(began).Nanoseconds())/1000)
	}
	sort.Float64s(durations)
	return durations[len(durations)/2]
}
