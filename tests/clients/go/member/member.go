// Package member is what every Go member of a consumer group does, whatever its client: options, events, the end (see
// ../../README.md).
package member

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// BatchCountMax records are taken at a time; CommitDeadline is longer than a broker needs to come back.
const (
	BatchCountMax  = 100
	CommitDeadline = 20 * time.Second
)

// Options are the arguments.
type Options struct {
	Bootstrap, Topic, Group, Member string
	// Protocol is classic, cooperative or consumer.
	Protocol string
	// CommitFirst: commit before processing instead of after it.
	CommitFirst        bool
	Session, Heartbeat time.Duration
	// Instance is the static member's id, or empty.
	Instance string
}

// Parse reads the arguments after the program's mode.
func Parse(arguments []string) Options {
	var o Options
	var commit string
	var session, heartbeat int
	flags := flag.NewFlagSet("group", flag.ExitOnError)
	flags.StringVar(&o.Bootstrap, "bootstrap", "", "HOST:PORT")
	flags.StringVar(&o.Topic, "topic", "", "topic")
	flags.StringVar(&o.Group, "group", "", "group")
	flags.StringVar(&o.Member, "member", "", "name of this member")
	flags.StringVar(&o.Protocol, "protocol", "classic", "classic, cooperative or consumer")
	flags.StringVar(&commit, "commit", "after", "after or before processing")
	flags.IntVar(&session, "session-ms", 6000, "session timeout")
	flags.IntVar(&heartbeat, "heartbeat-ms", 500, "heartbeat interval")
	flags.StringVar(&o.Instance, "instance", "", "id of a static member")
	_ = flags.Parse(arguments)
	o.CommitFirst = commit == "before"
	o.Session, o.Heartbeat = time.Duration(session)*time.Millisecond, time.Duration(heartbeat)*time.Millisecond
	return o
}

// Stopping is closed when standard input ends: the member shall leave.
func Stopping() <-chan struct{} {
	stopping := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stopping)
	}()
	return stopping
}

// Item is one record; it prints as [offset,"value"].
type Item struct {
	Offset int64
	Value  []byte
}

// MarshalJSON prints the pair.
func (i Item) MarshalJSON() ([]byte, error) { return json.Marshal([]any{i.Offset, string(i.Value)}) }

type event struct {
	Event      string  `json:"event"`
	Partitions []int32 `json:"partitions,omitempty"`
	Partition  *int32  `json:"partition,omitempty"`
	Records    []Item  `json:"records,omitempty"`
	Offset     *int64  `json:"offset,omitempty"`
	Error      string  `json:"error,omitempty"`
}

// tell prints events with one write: a killed member leaves whole lines, but for the last.
func tell(events ...event) {
	var text strings.Builder
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	_, _ = os.Stdout.WriteString(text.String())
}

// Assigned tells which partitions were added, Revoked which were taken away.
func Assigned(partitions []int32) {
	tell(event{Event: "assigned", Partitions: slices.Sorted(slices.Values(partitions))})
}

// Revoked tells which partitions were taken away.
func Revoked(partitions []int32) {
	tell(event{Event: "revoked", Partitions: slices.Sorted(slices.Values(partitions))})
}

// Process stands for the application's work.
func Process(batch map[int32][]Item) {
	var events []event
	for partition, items := range batch {
		events = append(events, event{Event: "records", Partition: &partition, Records: items})
	}
	tell(events...)
}

// Committed tells what a partition's committed offset is now.
func Committed(partition int32, offset int64) {
	tell(event{Event: "committed", Partition: &partition, Offset: &offset})
}

// Refused tells that a commit did not succeed.
func Refused(err error) { tell(event{Event: "refused", Error: err.Error()}) }

// Closed tells that the member has left.
func Closed() { tell(event{Event: "closed"}) }

// Fail ends the program.
func Fail(name string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	os.Exit(1)
}
