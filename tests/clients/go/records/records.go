// Package records generates the records that every client program writes and expects (see ../../README.md).
//
// It is not a client: no Kafka library is imported here.
package records

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// PartitionCount is the number of partitions of each topic, TimestampBase the time of the first record.
const (
	PartitionCount = 3
	TimestampBase  = int64(1_600_000_000_000)
	poolSize       = 262_144
	kcatChunkCount = 12
)

// Codecs in the order in which seeds are numbered.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

var headerNames = []string{"a", "b", "trace-id", "größe"}

// Header is one header; a nil value is null, an empty one is empty.
type Header struct {
	Name  string
	Value []byte
}

// Record is one record. Nil keys and values are null. HasTimestamp is false where the writer cannot set it.
type Record struct {
	Partition    int32
	Timestamp    int64
	HasTimestamp bool
	Key, Value   []byte
	Headers      []Header
}

var pool = buildPool()

func buildPool() []byte {
	bytes := make([]byte, poolSize)
	for w := range uint32(poolSize / 4) {
		from := w
		if (w>>6)%4 != 3 {
			from = w & 63
		}
		binary.LittleEndian.PutUint32(bytes[4*w:], mix(from))
	}
	return bytes
}

// mix scrambles 32 bits.
func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	return x ^ x>>16
}

func headersOf(h1 uint32) []Header {
	headers := []Header{}
	for j := range (h1 >> 3) & 3 {
		g := mix(h1 + 3 + j)
		var value []byte
		switch (g >> 2) & 3 {
		case 0:
		case 1:
			value = []byte{}
		default:
			value = append([]byte(fmt.Sprintf("%08x", g)), 0xff, 0x01)
		}
		headers = append(headers, Header{headerNames[g&3], value})
	}
	return headers
}

func record(seed, i uint32) Record {
	h1 := mix(mix(seed) + i)
	h2 := mix(h1 + 1)
	h3 := mix(h1 + 2)
	var key, value []byte
	switch h1 & 7 {
	case 0:
	case 1:
		key = []byte{}
	case 2:
		key = binary.BigEndian.AppendUint32(nil, h2)
	default:
		key = strconv.AppendUint([]byte("key-"), uint64((h2>>8)%5000), 10)
	}
	v := h2 & 4095
	switch {
	case v < 16 && key != nil:
	case v < 32:
		value = []byte{}
	default:
		size := 8 + (h2>>12)%240
		if v < 34 {
			size = 100_000 + h3%100_000
		}
		start := h3 % (poolSize - (size - 8))
		value = make([]byte, 0, size)
		value = binary.BigEndian.AppendUint32(value, seed)
		value = binary.BigEndian.AppendUint32(value, i)
		value = append(value, pool[start:start+size-8]...)
	}
	return Record{
		Partition:    int32((h3 >> 16) % PartitionCount),
		Timestamp:    TimestampBase + 10*int64(i) + int64((h3>>8)%64),
		HasTimestamp: true,
		Key:          key,
		Value:        value,
		Headers:      headersOf(h1),
	}
}

// asKcat is what kcat can express of record i of count.
func asKcat(r Record, seed, i, count uint32) Record {
	chunk := kcatChunkCount * i / count
	first := (chunk*count + kcatChunkCount - 1) / kcatChunkCount
	if chunk%2 == 0 {
		if len(r.Key) == 0 {
			r.Key = nil
		}
		if len(r.Value) == 0 {
			r.Value = nil
		}
	} else if r.Value == nil {
		r.Value = []byte{}
	}
	if len(r.Key) == 0 && len(r.Value) == 0 {
		r.Key = []byte("k")
	}
	r.Partition, r.HasTimestamp, r.Timestamp = 0, false, 0
	r.Headers = headersOf(mix(mix(seed) + first))
	return r
}

// withoutNull writes null header values as empty.
func withoutNull(headers []Header) []Header {
	for i := range headers {
		if headers[i].Value == nil {
			headers[i].Value = []byte{}
		}
	}
	return headers
}

// grouped puts headers of one name together, in order of first appearance.
func grouped(headers []Header) []Header {
	result := []Header{}
	for i, header := range headers {
		seen := false
		for _, earlier := range headers[:i] {
			seen = seen || earlier.Name == header.Name
		}
		if seen {
			continue
		}
		for _, other := range headers[i:] {
			if other.Name == header.Name {
				result = append(result, other)
			}
		}
	}
	return result
}

// Generate returns all records of one topic, in the order in which they are written.
func Generate(seed, count uint32, profile string) ([]Record, error) {
	result := make([]Record, count)
	for i := range count {
		r := record(seed, i)
		switch profile {
		case "full":
		case "nonull":
			r.Headers = withoutNull(r.Headers)
		case "kafkajs":
			r.Headers = grouped(withoutNull(r.Headers))
		case "kcat":
			r = asKcat(r, seed, i, count)
		default:
			return nil, fmt.Errorf("unknown profile %q", profile)
		}
		result[i] = r
	}
	return result, nil
}
