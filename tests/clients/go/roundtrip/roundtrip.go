// Package roundtrip is what every Go client program does, whatever its client: produce, read back, compare
// (see ../../README.md). A program hands over a Client with the few calls that differ.
package roundtrip

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"corelane.tests/clients/records"
)

// Deadline is far above what a run takes; a broker that does not answer fails the test instead of hanging it.
const Deadline = 240 * time.Second

// Offsets holds one offset by partition; -1 means none.
type Offsets map[int32]int64

// Fetched is one record as the client returned it.
type Fetched struct {
	Offset int64
	records.Record
}

// Client is what a program implements.
type Client interface {
	// CreateTopic returns once the topic can be written to.
	CreateTopic(topic string, partitionCount int32, configs map[string]string) error
	// Produce writes with one ordered producer, calls wait, then closes it. It returns the offset told for each
	// record, or nil where there is none.
	Produce(topic string, items []records.Record, codec, acks string, wait func() error) ([]int64, error)
	BeginOffsets(topic string) (Offsets, error)
	EndOffsets(topic string) (Offsets, error)
	OffsetsForTime(topic string, timestamp int64) (Offsets, error)
	// Read hands over all records of the half-open ranges, in order within each partition.
	Read(topic string, starts, ends Offsets, each func(Fetched) error) error
	Close()
}

type counts struct {
	Client    string  `json:"client"`
	Produced  int     `json:"produced"`
	Earliest  int     `json:"earliest"`
	Offset    int     `json:"offset"`
	Timestamp int     `json:"timestamp"`
	Seconds   float64 `json:"seconds"`
}

// run is one topic's records.
type run struct {
	client      Client
	topic       string
	items       []records.Record
	byPartition map[int32][]records.Record
}

// ends gives the end offsets after the first upto records.
func (r *run) ends(upto int) Offsets {
	ends := Offsets{}
	for p := range r.byPartition {
		ends[p] = 0
	}
	for _, item := range r.items[:upto] {
		ends[item.Partition]++
	}
	return ends
}

// waitFor asks for the end offsets until they are these: what acks=0 leaves open.
func (r *run) waitFor(ends Offsets) error {
	limit := time.Now().Add(Deadline)
	for {
		got, err := r.client.EndOffsets(r.topic)
		if err != nil || maps.Equal(got, ends) {
			return err
		}
		for p, end := range got {
			if end > ends[p] || time.Now().After(limit) {
				return fmt.Errorf("%s end offsets after acks=0: got %v, expected %v", r.topic, got, ends)
			}
		}
	}
}

// produce writes a third of the records with each acks.
func (r *run) produce(codec string) error {
	count := len(r.items)
	cuts := []int{0, count / 3, 2 * count / 3, count}
	next := Offsets{}
	for part, acks := range []string{"all", "1", "0"} {
		items := r.items[cuts[part]:cuts[part+1]]
		wait := func() error {
			if acks != "0" {
				return nil
			}
			return r.waitFor(r.ends(cuts[part+1]))
		}
		told, err := r.client.Produce(r.topic, items, codec, acks, wait)
		if err != nil {
			return fmt.Errorf("%s acks=%s: %w", r.topic, acks, err)
		}
		for i, item := range items {
			if told != nil && told[i] != next[item.Partition] {
				return fmt.Errorf("%s acks=%s offset told for record %d: got %d, expected %d", r.topic, acks,
					cuts[part]+i, told[i], next[item.Partition])
			}
			next[item.Partition]++
		}
	}
	return nil
}

// same tells nil (null) from empty.
func same(a, b []byte) bool {
	return bytes.Equal(a, b) && (a == nil) == (b == nil)
}

func compare(got, wanted records.Record) error {
	if wanted.HasTimestamp && got.Timestamp != wanted.Timestamp {
		return fmt.Errorf("timestamp: got %d, expected %d", got.Timestamp, wanted.Timestamp)
	}
	if !same(got.Key, wanted.Key) {
		return fmt.Errorf("key: got %#v, expected %#v", got.Key, wanted.Key)
	}
	if !same(got.Value, wanted.Value) {
		return fmt.Errorf("value: got %.200q (nil %v), expected %.200q (nil %v)", got.Value, got.Value == nil,
			wanted.Value, wanted.Value == nil)
	}
	equal := slices.EqualFunc(got.Headers, wanted.Headers, func(a, b records.Header) bool {
		return a.Name == b.Name && same(a.Value, b.Value)
	})
	if !equal {
		return fmt.Errorf("headers: got %#v, expected %#v", got.Headers, wanted.Headers)
	}
	return nil
}

// read reads from starts to the end and compares everything; it returns how many.
func (r *run) read(starts Offsets, what string) (int, error) {
	ends := r.ends(len(r.items))
	position := maps.Clone(starts)
	total := 0
	err := r.client.Read(r.topic, starts, ends, func(got Fetched) error {
		p := got.Partition
		if got.Offset != position[p] {
			return fmt.Errorf("next offset of partition %d: got %d, expected %d", p, got.Offset, position[p])
		}
		if err := compare(got.Record, r.byPartition[p][got.Offset]); err != nil {
			return fmt.Errorf("partition %d offset %d %w", p, got.Offset, err)
		}
		position[p]++
		total++
		return nil
	})
	if err == nil && !maps.Equal(position, ends) {
		err = fmt.Errorf("read up to %v, expected %v", position, ends)
	}
	if err != nil {
		return total, fmt.Errorf("%s %s: %w", r.topic, what, err)
	}
	return total, nil
}

// asked compares an offset look-up's answer.
func asked(what string, ask func() (Offsets, error), wanted Offsets) error {
	got, err := ask()
	if err == nil && !maps.Equal(got, wanted) {
		err = fmt.Errorf("got %v, expected %v", got, wanted)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// readAll does the three kinds of reading.
func (r *run) readAll(c *counts) error {
	begins, halves, found := Offsets{}, Offsets{}, Offsets{}
	ends := r.ends(len(r.items))
	target := records.TimestampBase + 10*int64(2*len(r.items)/3)
	for p, items := range r.byPartition {
		begins[p] = 0
		halves[p] = ends[p] / 2
		found[p] = int64(slices.IndexFunc(items, func(item records.Record) bool { return item.Timestamp >= target }))
	}
	if err := asked(r.topic+" begin offsets", func() (Offsets, error) { return r.client.BeginOffsets(r.topic) }, begins); err != nil {
		return err
	}
	if err := asked(r.topic+" end offsets", func() (Offsets, error) { return r.client.EndOffsets(r.topic) }, ends); err != nil {
		return err
	}
	total, err := r.read(begins, "from earliest")
	c.Earliest += total
	if err != nil {
		return err
	}
	total, err = r.read(halves, "from an offset")
	c.Offset += total
	if err != nil || !r.items[0].HasTimestamp {
		return err
	}
	look := func() (Offsets, error) { return r.client.OffsetsForTime(r.topic, target) }
	if err := asked(fmt.Sprintf("%s offsets for time %d", r.topic, target), look, found); err != nil {
		return err
	}
	total, err = r.read(found, "from a timestamp")
	c.Timestamp += total
	return err
}

// Main runs a program; connect gives the client.
func Main(name string, connect func(bootstrap string) (Client, error)) {
	bootstrap := flag.String("bootstrap", "", "HOST:PORT of the broker")
	prefix := flag.String("prefix", "", "topics are PREFIX-CODEC")
	seed := flag.Uint("seed", 1, "seed of the first topic's records")
	count := flag.Uint("records", 100_000, "records per topic")
	mode := flag.String("mode", "roundtrip", "roundtrip or read")
	writer := flag.String("writer", "full", "in read mode: the writer's profile")
	flag.Parse()
	began := time.Now()
	c := counts{Client: name}
	err := func() error {
		client, err := connect(*bootstrap)
		if err != nil {
			return err
		}
		defer client.Close()
		profile := "full"
		if *mode == "read" {
			profile = *writer
		}
		for number, codec := range records.Codecs {
			items, err := records.Generate(uint32(*seed)+uint32(number), uint32(*count), profile)
			if err != nil {
				return err
			}
			r := run{client, *prefix + "-" + codec, items, map[int32][]records.Record{}}
			for _, item := range items {
				r.byPartition[item.Partition] = append(r.byPartition[item.Partition], item)
			}
			if *mode == "roundtrip" {
				configs := map[string]string{"retention.ms": "-1"}
				if err := client.CreateTopic(r.topic, int32(len(r.byPartition)), configs); err != nil {
					return fmt.Errorf("create %s: %w", r.topic, err)
				}
				if err := r.produce(codec); err != nil {
					return err
				}
				c.Produced += len(items)
			}
			if err := r.readAll(&c); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	c.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(c); err != nil {
		os.Exit(1)
	}
}
