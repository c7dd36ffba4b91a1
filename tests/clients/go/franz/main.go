// Command franz is the franz-go round trip and, as `franz group`, a member of a consumer group; see ../../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"corelane.tests/clients/member"
	"corelane.tests/clients/records"
	"corelane.tests/clients/roundtrip"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

var acknowledgements = map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}

type franz struct {
	bootstrap string
	admin     *kgo.Client
}

func connect(bootstrap string) (roundtrip.Client, error) {
	admin, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	return &franz{bootstrap, admin}, err
}

func (f *franz) Close() { f.admin.Close() }

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), roundtrip.Deadline)
}

func (f *franz) CreateTopic(topic string, partitionCount int32, configs map[string]string) error {
	ctx, cancel := within()
	defer cancel()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, partitionCount, 1
	for name, value := range configs {
		wanted.Configs = append(wanted.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, wanted)
	request.TimeoutMillis = 60_000
	response, err := request.RequestWith(ctx, f.admin)
	if err != nil {
		return err
	}
	if len(response.Topics) != 1 {
		return fmt.Errorf("answered for %d topics", len(response.Topics))
	}
	return kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

func (f *franz) Produce(topic string, items []records.Record, codec, acks string, wait func() error) ([]int64, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(f.bootstrap),
		kgo.RequiredAcks(acknowledgements[acks]),
		kgo.ProducerBatchCompression(codecs[codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.MaxBufferedRecords(1 << 20),
	}
	if acks != "all" {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	told := make([]int64, len(items))
	failures := make(chan error, len(items))
	for i, item := range items {
		record := &kgo.Record{
			Topic:     topic,
			Partition: item.Partition,
			Key:       item.Key,
			Value:     item.Value,
			Timestamp: time.UnixMilli(item.Timestamp),
		}
		for _, header := range item.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
		}
		client.Produce(ctx, record, func(r *kgo.Record, err error) {
			if err != nil {
				failures <- err
			} else {
				told[i] = r.Offset
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return nil, err
	}
	if len(failures) > 0 {
		return nil, fmt.Errorf("%d records failed, the first with %w", len(failures), <-failures)
	}
	if acks == "0" {
		told = nil
	}
	return told, wait()
}

// offsets asks ListOffsets for all partitions: -2 first, -1 end, else a time.
func (f *franz) offsets(topic string, timestamp int64) (roundtrip.Offsets, error) {
	ctx, cancel := within()
	defer cancel()
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(topic)}}
	known, err := metadata.RequestWith(ctx, f.admin)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(known.Topics[0].ErrorCode); err != nil {
		return nil, err
	}
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for _, p := range known.Topics[0].Partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp = p.Partition, timestamp
		asked.Partitions = append(asked.Partitions, one)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, asked)
	result := roundtrip.Offsets{}
	for _, shard := range f.admin.RequestSharded(ctx, request) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, err
				}
				result[p.Partition] = p.Offset
			}
		}
	}
	return result, nil
}

func (f *franz) BeginOffsets(topic string) (roundtrip.Offsets, error) { return f.offsets(topic, -2) }
func (f *franz) EndOffsets(topic string) (roundtrip.Offsets, error)   { return f.offsets(topic, -1) }
func (f *franz) OffsetsForTime(topic string, timestamp int64) (roundtrip.Offsets, error) {
	return f.offsets(topic, timestamp)
}

func (f *franz) Read(topic string, starts, ends roundtrip.Offsets, each func(roundtrip.Fetched) error) error {
	assignment := map[int32]kgo.Offset{}
	left := int64(0)
	for p, start := range starts {
		assignment[p] = kgo.NewOffset().At(start)
		left += ends[p] - start
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(f.bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: assignment}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		var failures []error
		for _, failed := range fetches.Errors() {
			failures = append(failures, failed.Err)
		}
		if len(failures) > 0 {
			return fmt.Errorf("%d records left: %w", left, errors.Join(failures...))
		}
		for _, record := range fetches.Records() {
			got := roundtrip.Fetched{Offset: record.Offset, Record: records.Record{
				Partition: record.Partition,
				Timestamp: record.Timestamp.UnixMilli(),
				Key:       record.Key,
				Value:     record.Value,
			}}
			for _, header := range record.Headers {
				got.Headers = append(got.Headers, records.Header{Name: header.Key, Value: header.Value})
			}
			if err := each(got); err != nil {
				return err
			}
			left--
		}
	}
	return nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "group" {
		if err := runMember(os.Args[2:]); err != nil {
			member.Fail("franz-go", err)
		}
		return
	}
	roundtrip.Main("franz-go", connect)
}
