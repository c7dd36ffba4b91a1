"""kafka-python round trip; see ../README.md."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

import roundtrip

TIMEOUT_MS = 60_000


class KafkaPython(roundtrip.Client):
    """The calls of kafka-python."""

    name = "kafka-python"
    # It refuses a header whose value is None.
    profile = "nonull"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="none", check_crcs=True, max_poll_records=5000
        )

    def create_topic(self, topic, partition_count, configs):
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        wanted = {topic: {"num_partitions": partition_count, "replication_factor": 1, "configs": configs}}
        admin.create_topics(wanted, wait_for_metadata=True)
        admin.close()

    def produce(self, topic, items, first_index, codec, acks, wait):
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks=acks if acks == "all" else int(acks),
            enable_idempotence=acks == "all",
            # Without idempotence only one request in flight keeps the order if one had to be sent again.
            max_in_flight_requests_per_connection=5 if acks == "all" else 1,
            compression_type=None if codec == "none" else codec,
            batch_size=65_536,
            linger_ms=5,
        )
        futures = []
        for item in items:
            future = producer.send(
                topic,
                value=item.value,
                key=item.key,
                headers=item.headers,
                partition=item.partition,
                timestamp_ms=item.timestamp,
            )
            futures.append(future)
        producer.flush(roundtrip.DEADLINE_SECONDS)
        told = [(index, future.get(0).offset) for index, future in enumerate(futures, first_index)]
        wait()
        producer.close()
        return [] if acks == "0" else told

    def assigned(self, topic):
        """All partitions of the topic."""
        return [TopicPartition(topic, p) for p in sorted(self.consumer.partitions_for_topic(topic))]

    def begin_offsets(self, topic):
        return {tp.partition: o for tp, o in self.consumer.beginning_offsets(self.assigned(topic)).items()}

    def end_offsets(self, topic):
        return {tp.partition: o for tp, o in self.consumer.end_offsets(self.assigned(topic)).items()}

    def offsets_for_time(self, topic, timestamp):
        found = self.consumer.offsets_for_times(dict.fromkeys(self.assigned(topic), timestamp))
        return {tp.partition: None if one is None else one.offset for tp, one in found.items()}

    def read(self, topic, starts, ends):
        self.consumer.assign([TopicPartition(topic, p) for p in starts])
        for p, start in starts.items():
            self.consumer.seek(TopicPartition(topic, p), start)
        left = sum(ends[p] - starts[p] for p in ends)
        while left > 0:
            batches = self.consumer.poll(TIMEOUT_MS)
            if not batches:
                raise roundtrip.Mismatch("%s: nothing came for %d ms, %d records left" % (topic, TIMEOUT_MS, left))
            for messages in batches.values():
                for m in messages:
                    yield m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers)
                left -= len(messages)


if __name__ == "__main__":
    roundtrip.main(KafkaPython)
