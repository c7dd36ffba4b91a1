"""kafka-python as a member of a consumer group; see ../README.md."""

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

import member

# Longer than a rebalance takes. A join that outlives the poll that began it, kafka-python 3.0.12 sometimes never comes back
# to: it sends nothing any more, no heartbeat either, and polls without a pause.
POLL_MS = 5000


class Listener(ConsumerRebalanceListener):
    """Tells what it is told."""

    def __init__(self, own):
        self.own = own

    def on_partitions_revoked(self, revoked):
        self.own.revoked([tp.partition for tp in revoked])

    def on_partitions_assigned(self, assigned):
        self.own.assigned([tp.partition for tp in assigned])

    def on_partitions_lost(self, lost):
        self.own.revoked([tp.partition for tp in lost])


def main():
    own = member.Member()
    options = own.options
    strategy = CooperativeStickyAssignor if options.protocol == "cooperative" else RangePartitionAssignor
    consumer = KafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        client_id=options.member,
        group_instance_id=options.instance or None,
        partition_assignment_strategy=[strategy],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=options.session_ms,
        heartbeat_interval_ms=options.heartbeat_ms,
        reconnect_backoff_max_ms=500,
        fetch_max_wait_ms=100,
    )

    def commit(ends):
        offsets = {TopicPartition(options.topic, p): OffsetAndMetadata(end, "", -1) for p, end in ends.items()}
        consumer.commit(offsets, timeout_ms=1000 * member.COMMIT_SECONDS)

    def rewind(starts):
        for p, offset in starts.items():
            partition = TopicPartition(options.topic, p)
            if partition in consumer.assignment():
                consumer.seek(partition, offset)

    consumer.subscribe([options.topic], listener=Listener(own))
    while not own.stopping.is_set():
        polled = consumer.poll(POLL_MS, max_records=member.BATCH_COUNT_MAX)
        batch = {tp.partition: [(m.offset, m.value) for m in messages] for tp, messages in polled.items()}
        own.handle(batch, commit, rewind)
    consumer.close()
    own.closed()


if __name__ == "__main__":
    main()
