package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"corelane.tests/clients/member"
)

// handler consumes claims. A partition is assigned when its claim begins and revoked when its claim ends.
type handler struct {
	options member.Options
	admin   sarama.ClusterAdmin
	// A commit takes along what other claims have marked: one at a time, so that each claim knows what it did.
	committing sync.Mutex
}

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	member.Assigned([]int32{claim.Partition()})
	defer member.Revoked([]int32{claim.Partition()})
	for {
		var batch []member.Item
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			batch = append(batch, member.Item{Offset: message.Offset, Value: message.Value})
		case <-session.Context().Done():
			return nil
		}
		batch = more(batch, claim.Messages())
		if !h.handle(session, claim.Partition(), batch) {
			return nil
		}
	}
}

// more adds what is there already.
func more(batch []member.Item, messages <-chan *sarama.ConsumerMessage) []member.Item {
	for len(batch) < member.BatchCountMax {
		select {
		case message, open := <-messages:
			if !open {
				return batch
			}
			batch = append(batch, member.Item{Offset: message.Offset, Value: message.Value})
		default:
			return batch
		}
	}
	return batch
}

// handle processes and commits in the order asked for; false if the claim cannot go on.
func (h *handler) handle(session sarama.ConsumerGroupSession, partition int32, batch []member.Item) bool {
	h.committing.Lock()
	defer h.committing.Unlock()
	end := batch[len(batch)-1].Offset + 1
	work := map[int32][]member.Item{partition: batch}
	if !h.options.CommitFirst {
		member.Process(work)
	}
	session.MarkOffset(h.options.Topic, partition, end, "")
	if err := h.commit(session, partition, end); err != nil {
		member.Refused(err)
		// What was not committed before processing is not processed, and the next session begins at what is committed.
		return !h.options.CommitFirst
	}
	member.Committed(partition, end)
	if h.options.CommitFirst {
		member.Process(work)
	}
	return true
}

// commit commits and asks whether it was done: the client's own call does not tell.
func (h *handler) commit(session sarama.ConsumerGroupSession, partition int32, end int64) error {
	limit := time.Now().Add(member.CommitDeadline)
	for {
		// A session that ends takes commits until its claims have returned.
		session.Commit()
		asked := map[string][]int32{h.options.Topic: {partition}}
		answer, err := h.admin.ListConsumerGroupOffsets(h.options.Group, asked)
		if err == nil {
			block := answer.GetBlock(h.options.Topic, partition)
			if block != nil && block.Err == sarama.ErrNoError && block.Offset >= end {
				return nil
			}
			err = fmt.Errorf("committed %d, the broker knows %v", end, block)
		}
		if session.Context().Err() != nil || time.Now().After(limit) {
			return err
		}
	}
}

func memberConfig(o member.Options) (*sarama.Config, error) {
	c := config()
	c.ClientID = o.Member
	c.ChannelBufferSize = member.BatchCountMax
	c.Consumer.Return.Errors = false
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Consumer.Group.Session.Timeout = o.Session
	c.Consumer.Group.Heartbeat.Interval = o.Heartbeat
	c.Consumer.Group.InstanceId = o.Instance
	// Enough to outlive a restart of the broker.
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 40, 250*time.Millisecond
	switch o.Protocol {
	case "classic":
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	case "cooperative":
		c.Consumer.Group.Rebalance.GroupStrategies =
			[]sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	default:
		return nil, fmt.Errorf("unknown protocol %q", o.Protocol)
	}
	return c, nil
}

func runMember(arguments []string) error {
	o := member.Parse(arguments)
	settings, err := memberConfig(o)
	if err != nil {
		return err
	}
	shared, err := sarama.NewClient([]string{o.Bootstrap}, settings)
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdminFromClient(shared)
	if err != nil {
		return err
	}
	group, err := sarama.NewConsumerGroupFromClient(o.Group, shared)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-member.Stopping()
		cancel()
	}()
	claims := &handler{options: o, admin: admin}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{o.Topic}, claims); err != nil && ctx.Err() == nil {
			member.Refused(err)
			// Not as fast as it can while the broker is away.
			time.Sleep(200 * time.Millisecond)
		}
	}
	if err := group.Close(); err != nil {
		return err
	}
	if err := shared.Close(); err != nil {
		return err
	}
	member.Closed()
	return nil
}
