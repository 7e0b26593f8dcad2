// Values of each kind in a gob stream. usage: gob_values encode, which writes the stream in hexadecimal digits, or gob_values decode,
// which reads such a stream, and prints for each value whether it is the same.
package main

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"reflect"
	"time"
)

type Point struct{ X, Y int }

type Person struct {
	Name   string
	Age    int8
	Score  float32
	Tags   []string
	Data   []byte
	Meta   map[string]int
	Boss   *Person
	Ok     bool
	Big    uint64
	hidden int
	Born   time.Time
	At     *Point
	Pair   [2]uint16
	Phase  complex64
	Any    interface{}
}

type List struct {
	Value int
	Next  *List
}

type Tree []Tree
type Left struct {
	Name  string
	Right *Right
}
type Right struct {
	Name  string
	Lefts map[string]Left
}
type Circle struct{ Radius float64 }
type Box struct {
	Inside interface{}
	Label  string
}
type Named struct {
	Point
	Name string
}

// Binary encodes itself.
type Binary struct{ text string }

func (b Binary) MarshalBinary() ([]byte, error) { return []byte("<" + b.text + ">"), nil }
func (b *Binary) UnmarshalBinary(data []byte) error {
	b.text = string(data[1 : len(data)-1])
	return nil
}

func values() []interface{} {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 5000000, time.UTC)
	person := Person{Name: "Ada é", Age: -36, Score: 1.5, Tags: []string{"a", ""}, Data: []byte{0, 255},
		Meta: map[string]int{"k": -1}, Boss: &Person{Name: "Boss", Age: 1, Any: Circle{2}}, Ok: true, Big: 1 << 63,
		Born: noon, At: &Point{0, 7}, Pair: [2]uint16{0, 65535}, Phase: complex(1, -2), Any: []int{1, 2}}
	return []interface{}{
		true, false, 0, 1, -1, 63, 64, -64, -65, 127, 128, -129, 1 << 31, -1 << 31, 1 << 52, -1 << 52, 1<<53 - 1, 1 << 53, -1 << 53,
		int64(math.MaxInt64), int64(math.MinInt64), uint(0), uint(127), uint(128), uint(256), uint32(math.MaxUint32),
		uint64(1) << 47, uint64(1) << 48, uint64(math.MaxUint64),
		0.0, 17.0, 2.5, -0.25, 1e300, 5e-324, math.Inf(1), math.Inf(-1), math.Pi, float32(0.5), complex(1, -2.5), complex64(0),
		"", "text", "é𝄞", []byte{}, []byte{1, 2, 3}, bytes.Repeat([]byte{7}, 70000),
		[]int{}, []int{1, 0, -1}, []string{"a", "b"}, []float64{1, 2}, []bool{true, false}, [3]int{1, 0, -1}, [2][]string{{"a"}, {}},
		[4]byte{1, 2, 3, 200}, [][]byte{{1}, {}}, map[string]int{}, map[string]int{"a": 1}, map[int]string{-1: "b"},
		map[Point]bool{{1, 2}: true}, map[string][]Point{"p": {{1, 2}, {0, 0}}},
		struct{}{}, Point{}, Point{22, 33}, &Point{0, 5}, person, Person{}, []Person{person, {}, {Name: "last"}},
		List{1, &List{0, &List{0, nil}}}, Tree{Tree{}, Tree{Tree{}}}, Left{"l", &Right{"r", map[string]Left{"x": {Name: "y"}}}},
		noon, time.Time{}, []time.Time{noon, {}}, big.NewInt(-1234567), []Binary{{"one"}, {"two"}}, Binary{"three"}, Named{Point{1, 2}, "n"},
		[]interface{}{1, "a", 2.5, true, []byte{1}, nil, Circle{3}, []string{"x"}, noon},
		map[string]interface{}{"one": 1, "circle": Circle{1}, "map": map[string]interface{}{"deep": Box{Circle{2}, "box"}}},
		Box{Box{Box{Circle{4}, "c"}, "b"}, "a"}, Box{Named{Point{1, 2}, "n"}, "after"},
		[]interface{}{Left{"only here", &Right{Name: "r"}}, List{5, nil}, "end"},
	}
}

func main() {
	gob.Register(Circle{})
	gob.Register(Box{})
	gob.Register(Named{})
	gob.Register(Left{})
	gob.Register(List{})
	gob.Register(Tree{})
	gob.Register(time.Time{})
	gob.Register([]interface{}{})
	gob.Register(map[string]interface{}{})
	if os.Args[1] == "encode" {
		var stream bytes.Buffer
		encoder := gob.NewEncoder(&stream)
		for _, value := range values() {
			if err := encoder.Encode(value); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		fmt.Println(hex.EncodeToString(stream.Bytes()))
		return
	}
	text, _ := io.ReadAll(os.Stdin)
	stream, _ := hex.DecodeString(string(bytes.TrimSpace(text)))
	decoder := gob.NewDecoder(bytes.NewReader(stream))
	for _, value := range values() {
		expected, err := throughGob(value)
		if err != nil {
			fmt.Println(err)
		}
		decoded := reflect.New(reflect.TypeOf(expected))
		err = decoder.Decode(decoded.Interface())
		if err != nil || !reflect.DeepEqual(decoded.Elem().Interface(), expected) {
			fmt.Printf("%T %.200s: %.200s %v\n", value, fmt.Sprint(expected), fmt.Sprint(decoded.Elem().Interface()), err)
		}
	}
	fmt.Println("end")
}

// What Go itself makes of a value: an empty slice is nil.
func throughGob(value interface{}) (interface{}, error) {
	var stream bytes.Buffer
	err := gob.NewEncoder(&stream).Encode(value)
	kind := reflect.TypeOf(value)
	if kind.Kind() == reflect.Ptr {
		kind = kind.Elem()
	}
	decoded := reflect.New(kind)
	if err == nil {
		err = gob.NewDecoder(&stream).Decode(decoded.Interface())
	}
	return decoded.Elem().Interface(), err
}
