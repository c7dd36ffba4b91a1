package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"corelane.tests/clients/member"
)

func partitionsOf(topics map[string][]int32) []int32 {
	var all []int32
	for _, partitions := range topics {
		all = append(all, partitions...)
	}
	return all
}

// memberClient rebalances only between two polls, so what was polled is processed and committed by its owner.
func memberClient(o member.Options) (*kgo.Client, error) {
	revoked := func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
		member.Revoked(partitionsOf(topics))
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(o.Bootstrap),
		kgo.ClientID(o.Member),
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(o.Session),
		kgo.HeartbeatInterval(o.Heartbeat),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			member.Assigned(partitionsOf(topics))
		}),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(revoked),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}
	if o.Instance != "" {
		options = append(options, kgo.InstanceID(o.Instance))
	}
	switch o.Protocol {
	case "classic":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "cooperative":
		options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	case "consumer":
		options = append(options, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	default:
		return nil, fmt.Errorf("unknown protocol %q", o.Protocol)
	}
	return kgo.NewClient(options...)
}

// handle processes and commits in the order asked for.
func handle(client *kgo.Client, o member.Options, records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	batch := map[int32][]member.Item{}
	starts := map[int32]kgo.EpochOffset{}
	for _, r := range records {
		if _, begun := starts[r.Partition]; !begun {
			starts[r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset}
		}
		batch[r.Partition] = append(batch[r.Partition], member.Item{Offset: r.Offset, Value: r.Value})
	}
	if !o.CommitFirst {
		member.Process(batch)
	}
	ctx, cancel := context.WithTimeout(context.Background(), member.CommitDeadline)
	defer cancel()
	if err := client.CommitRecords(ctx, records...); err != nil {
		member.Refused(err)
		if o.CommitFirst {
			// Not processed: read again what is still ours.
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{o.Topic: starts})
		}
		return
	}
	for partition, items := range batch {
		member.Committed(partition, items[len(items)-1].Offset+1)
	}
	if o.CommitFirst {
		member.Process(batch)
	}
}

func runMember(arguments []string) error {
	o := member.Parse(arguments)
	client, err := memberClient(o)
	if err != nil {
		return err
	}
	stopping := member.Stopping()
	for {
		ctx, cancel := context.WithCancel(context.Background())
		polled := make(chan struct{})
		go func() {
			select {
			case <-stopping:
			case <-polled:
			}
			cancel()
		}()
		fetches := client.PollRecords(ctx, member.BatchCountMax)
		close(polled)
		handle(client, o, fetches.Records())
		client.AllowRebalance()
		select {
		case <-stopping:
			client.CloseAllowingRebalance()
			member.Closed()
			return nil
		default:
		}
	}
}
