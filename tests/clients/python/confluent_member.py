"""confluent-kafka (librdkafka) as a member of a consumer group; see ../README.md."""

from confluent_kafka import Consumer, KafkaException, TopicPartition

import member


def consumer_of(options):
    """A consumer that never commits by itself."""
    settings = {
        "bootstrap.servers": options.bootstrap,
        "group.id": options.group,
        "client.id": options.member,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "reconnect.backoff.max.ms": 500,
        "fetch.wait.max.ms": 100,
    }
    if options.instance:
        settings["group.instance.id"] = options.instance
    if options.protocol == "consumer":
        # Session and heartbeats are the broker's to choose.
        settings["group.protocol"] = "consumer"
    else:
        strategy = "cooperative-sticky" if options.protocol == "cooperative" else "range"
        settings["partition.assignment.strategy"] = strategy
        settings["session.timeout.ms"] = options.session_ms
        settings["heartbeat.interval.ms"] = options.heartbeat_ms
    return Consumer(settings)


def main():
    own = member.Member()
    topic = own.options.topic
    consumer = consumer_of(own.options)

    def commit(ends):
        offsets = [TopicPartition(topic, p, offset) for p, offset in ends.items()]
        for done in consumer.commit(offsets=offsets, asynchronous=False):
            if done.error is not None:
                raise KafkaException(done.error)

    def rewind(starts):
        for p, offset in starts.items():
            try:
                consumer.seek(TopicPartition(topic, p, offset))
            except KafkaException as error:
                own.refused(error)

    consumer.subscribe(
        [topic],
        on_assign=lambda _, partitions: own.assigned([tp.partition for tp in partitions]),
        on_revoke=lambda _, partitions: own.revoked([tp.partition for tp in partitions]),
        on_lost=lambda _, partitions: own.revoked([tp.partition for tp in partitions]),
    )
    while not own.stopping.is_set():
        batch = {}
        for message in consumer.consume(member.BATCH_COUNT_MAX, member.POLL_MS / 1000):
            if message.error() is None:
                batch.setdefault(message.partition(), []).append((message.offset(), message.value()))
            elif message.error().fatal():
                raise KafkaException(message.error())
        own.handle(batch, commit, rewind)
    consumer.close()
    own.closed()


if __name__ == "__main__":
    main()
