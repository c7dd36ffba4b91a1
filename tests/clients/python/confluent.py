"""confluent-kafka (librdkafka) round trip; see ../README.md."""

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import roundtrip

TIMEOUT_SECONDS = 60


class Confluent(roundtrip.Client):
    """The calls of confluent-kafka."""

    name = "confluent-kafka"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        # A group id is demanded by the constructor; with assign() and no commits no group request is ever sent.
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "check.crcs": True,
            }
        )
        self.partitions = {}

    def create_topic(self, topic, partition_count, configs):
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        created = admin.create_topics([NewTopic(topic, partition_count, 1, config=configs)])
        created[topic].result(TIMEOUT_SECONDS)

    def produce(self, topic, items, first_index, codec, acks, wait):
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "acks": acks,
                "compression.type": codec,
                "enable.idempotence": acks == "all",
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        told = []
        errors = []

        def delivered(index):
            def report(error, message):
                if error is not None:
                    errors.append(error)
                elif acks != "0":
                    told.append((index, message.offset()))

            return report

        for index, item in enumerate(items, first_index):
            producer.produce(
                topic,
                value=item.value,
                key=item.key,
                partition=item.partition,
                timestamp=item.timestamp,
                headers=item.headers,
                on_delivery=delivered(index),
            )
            if index % 1000 == 0:
                producer.poll(0)
        roundtrip.expect("records left in the queue", producer.flush(roundtrip.DEADLINE_SECONDS), 0)
        roundtrip.expect("delivery errors", errors[:3], [])
        if acks != "0":
            roundtrip.expect("acknowledged", len(told), len(items))
        wait()
        return told

    def known_partitions(self, topic):
        """Partition numbers, asked for once a topic."""
        if topic not in self.partitions:
            metadata = self.consumer.list_topics(topic, TIMEOUT_SECONDS).topics[topic]
            if metadata.error is not None:
                raise KafkaException(metadata.error)
            self.partitions[topic] = sorted(metadata.partitions)
        return self.partitions[topic]

    def watermarks(self, topic):
        """(first, end) by partition, asked of the broker."""
        return {
            p: self.consumer.get_watermark_offsets(TopicPartition(topic, p), TIMEOUT_SECONDS)
            for p in self.known_partitions(topic)
        }

    def begin_offsets(self, topic):
        return {p: marks[0] for p, marks in self.watermarks(topic).items()}

    def end_offsets(self, topic):
        return {p: marks[1] for p, marks in self.watermarks(topic).items()}

    def offsets_for_time(self, topic, timestamp):
        asked = [TopicPartition(topic, p, timestamp) for p in self.known_partitions(topic)]
        answer = {}
        for found in self.consumer.offsets_for_times(asked, TIMEOUT_SECONDS):
            if found.error is not None:
                raise KafkaException(found.error)
            answer[found.partition] = None if found.offset == OFFSET_END else found.offset
        return answer

    def read(self, topic, starts, ends):
        self.consumer.assign([TopicPartition(topic, p, start) for p, start in starts.items()])
        left = sum(ends[p] - starts[p] for p in ends)
        while left > 0:
            messages = self.consumer.consume(min(left, 5000), TIMEOUT_SECONDS)
            if not messages:
                raise roundtrip.Mismatch("%s: nothing came for %d s, %d records left" % (topic, TIMEOUT_SECONDS, left))
            for message in messages:
                if message.error() is not None:
                    raise KafkaException(message.error())
                yield (
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    message.headers() or [],
                )
            left -= len(messages)
        self.consumer.unassign()


if __name__ == "__main__":
    roundtrip.main(Confluent)
