// Command sarama is the sarama round trip and, as `sarama group`, a member of a consumer group; see ../../README.md.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"

	"corelane.tests/clients/member"
	"corelane.tests/clients/records"
	"corelane.tests/clients/roundtrip"
)

var codecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

var acknowledgements = map[string]sarama.RequiredAcks{
	"all": sarama.WaitForAll, "1": sarama.WaitForLocal, "0": sarama.NoResponse,
}

type client struct {
	bootstrap string
	shared    sarama.Client
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	// The newest protocol that this client knows.
	c.Version = sarama.MaxVersion
	c.Consumer.Return.Errors = true
	c.ChannelBufferSize = 4096
	return c
}

func connect(bootstrap string) (roundtrip.Client, error) {
	shared, err := sarama.NewClient([]string{bootstrap}, config())
	return &client{bootstrap, shared}, err
}

func (c *client) Close() { _ = c.shared.Close() }

func (c *client) CreateTopic(topic string, partitionCount int32, configs map[string]string) error {
	admin, err := sarama.NewClusterAdmin([]string{c.bootstrap}, config())
	if err != nil {
		return err
	}
	detail := &sarama.TopicDetail{NumPartitions: partitionCount, ReplicationFactor: 1, ConfigEntries: map[string]*string{}}
	for name, value := range configs {
		detail.ConfigEntries[name] = &value
	}
	if err := admin.CreateTopic(topic, detail, false); err != nil {
		return err
	}
	if err := admin.Close(); err != nil {
		return err
	}
	return c.shared.RefreshMetadata(topic)
}

// encoder keeps null (nil) and empty apart.
func encoder(bytes []byte) sarama.Encoder {
	if bytes == nil {
		return nil
	}
	return sarama.ByteEncoder(bytes)
}

func (c *client) Produce(topic string, items []records.Record, codec, acks string, wait func() error) ([]int64, error) {
	cfg := config()
	cfg.Producer.RequiredAcks = acknowledgements[acks]
	cfg.Producer.Compression = codecs[codec]
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Return.Successes = true
	cfg.Producer.Return.Errors = true
	cfg.Producer.Flush.Frequency = 5 * time.Millisecond
	cfg.Producer.Flush.Bytes = 65_536
	// With more in flight this client may reorder on a retry; with idempotence it demands one.
	cfg.Net.MaxOpenRequests = 1
	cfg.Producer.Idempotent = acks == "all"
	producer, err := sarama.NewAsyncProducer([]string{c.bootstrap}, cfg)
	if err != nil {
		return nil, err
	}
	go func() {
		for i, item := range items {
			message := &sarama.ProducerMessage{
				Topic:     topic,
				Partition: item.Partition,
				Key:       encoder(item.Key),
				Value:     encoder(item.Value),
				Timestamp: time.UnixMilli(item.Timestamp),
				Metadata:  i,
			}
			for _, header := range item.Headers {
				message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Name), Value: header.Value})
			}
			producer.Input() <- message
		}
	}()
	told := make([]int64, len(items))
	limit := time.After(roundtrip.Deadline)
	for left := len(items); left > 0; left-- {
		select {
		case message := <-producer.Successes():
			told[message.Metadata.(int)] = message.Offset
		case failure := <-producer.Errors():
			return nil, fmt.Errorf("%d records left: %w", left, failure)
		case <-limit:
			return nil, fmt.Errorf("%d records not acknowledged within %v", left, roundtrip.Deadline)
		}
	}
	if acks == "0" {
		told = nil
	}
	if err := wait(); err != nil {
		return nil, err
	}
	return told, producer.Close()
}

func (c *client) offsets(topic string, timestamp int64) (roundtrip.Offsets, error) {
	partitions, err := c.shared.Partitions(topic)
	if err != nil {
		return nil, err
	}
	result := roundtrip.Offsets{}
	for _, p := range partitions {
		if result[p], err = c.shared.GetOffset(topic, p, timestamp); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func (c *client) BeginOffsets(topic string) (roundtrip.Offsets, error) {
	return c.offsets(topic, sarama.OffsetOldest)
}

func (c *client) EndOffsets(topic string) (roundtrip.Offsets, error) {
	return c.offsets(topic, sarama.OffsetNewest)
}

func (c *client) OffsetsForTime(topic string, timestamp int64) (roundtrip.Offsets, error) {
	return c.offsets(topic, timestamp)
}

func (c *client) Read(topic string, starts, ends roundtrip.Offsets, each func(roundtrip.Fetched) error) error {
	consumer, err := sarama.NewConsumer([]string{c.bootstrap}, config())
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }()
	for p, start := range starts {
		if err := readPartition(consumer, topic, p, start, ends[p], each); err != nil {
			return err
		}
	}
	return nil
}

func readPartition(consumer sarama.Consumer, topic string, p int32, start, end int64, each func(roundtrip.Fetched) error) error {
	if start >= end {
		return nil
	}
	partition, err := consumer.ConsumePartition(topic, p, start)
	if err != nil {
		return err
	}
	defer partition.AsyncClose()
	limit := time.After(roundtrip.Deadline)
	for at := start; at < end; at++ {
		select {
		case message := <-partition.Messages():
			got := roundtrip.Fetched{Offset: message.Offset, Record: records.Record{
				Partition: message.Partition,
				Timestamp: message.Timestamp.UnixMilli(),
				Key:       message.Key,
				Value:     message.Value,
			}}
			for _, header := range message.Headers {
				got.Headers = append(got.Headers, records.Header{Name: string(header.Key), Value: header.Value})
			}
			if err := each(got); err != nil {
				return err
			}
		case failure := <-partition.Errors():
			return failure
		case <-limit:
			return fmt.Errorf("partition %d: only read to offset %d of %d within %v", p, at, end, roundtrip.Deadline)
		}
	}
	return nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "group" {
		if err := runMember(os.Args[2:]); err != nil {
			member.Fail("sarama", err)
		}
		return
	}
	roundtrip.Main("sarama", connect)
}
