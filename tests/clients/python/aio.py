"""aiokafka round trip; see ../README.md. Its calls are coroutines, run here one after another on a loop of our own."""

import asyncio
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import roundtrip

TIMEOUT_MS = 60_000


class Aiokafka(roundtrip.Client):
    """The calls of aiokafka."""

    name = "aiokafka"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.loop = asyncio.new_event_loop()
        self.loop.add_signal_handler(signal.SIGQUIT, self.explain)
        self.consumer = None
        self.partition_count = {}

    def explain(self):
        """Says what each task waits for: whoever asks believes that this hangs."""
        for task in asyncio.all_tasks(self.loop):
            task.print_stack()

    def run(self, coroutine):
        """Runs one coroutine to its end."""
        return self.loop.run_until_complete(coroutine)

    def create_topic(self, topic, partition_count, configs):
        async def create():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            wanted = NewTopic(topic, partition_count, 1, topic_configs=configs)
            answer = await admin.create_topics([wanted])
            await admin.close()
            errors = [error[:2] for error in answer.topic_errors]
            roundtrip.expect("errors of create_topics", errors, [(topic, 0)])

        self.run(create())

    def produce(self, topic, items, first_index, codec, acks, wait):
        async def send_all():
            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap,
                acks=acks if acks == "all" else int(acks),
                enable_idempotence=acks == "all",
                compression_type=None if codec == "none" else codec,
                max_batch_size=65_536,
                linger_ms=5,
            )
            await producer.start()
            futures = []
            for item in items:
                future = await producer.send(
                    topic,
                    value=item.value,
                    key=item.key,
                    partition=item.partition,
                    timestamp_ms=item.timestamp,
                    headers=item.headers,
                )
                futures.append(future)
            await producer.flush()
            return producer, [future.result() for future in futures]

        producer, results = self.run(send_all())
        wait()
        self.run(producer.stop())
        if acks == "0":
            return []
        return [(index, result.offset) for index, result in enumerate(results, first_index)]

    def started(self):
        """The consumer, started at its first use."""
        if self.consumer is None:

            async def start():
                self.consumer = AIOKafkaConsumer(
                    bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="none", check_crcs=True
                )
                await self.consumer.start()

            self.run(start())
        return self.consumer

    async def assign(self, partitions):
        """Assigns; no coroutine in the client, but it wants to be called on the loop."""
        self.consumer.assign(partitions)

    def assigned(self, topic):
        """All partitions of the topic; assigns them, which makes the client learn about the topic."""
        consumer = self.started()
        if topic not in self.partition_count:
            self.run(self.assign([TopicPartition(topic, 0)]))
            self.run(consumer.beginning_offsets([TopicPartition(topic, 0)]))
            self.partition_count[topic] = len(consumer.partitions_for_topic(topic))
        return [TopicPartition(topic, p) for p in range(self.partition_count[topic])]

    def begin_offsets(self, topic):
        found = self.run(self.started().beginning_offsets(self.assigned(topic)))
        return {tp.partition: offset for tp, offset in found.items()}

    def end_offsets(self, topic):
        found = self.run(self.started().end_offsets(self.assigned(topic)))
        return {tp.partition: offset for tp, offset in found.items()}

    def offsets_for_time(self, topic, timestamp):
        found = self.run(self.started().offsets_for_times(dict.fromkeys(self.assigned(topic), timestamp)))
        return {tp.partition: None if one is None else one.offset for tp, one in found.items()}

    def read(self, topic, starts, ends):
        consumer = self.started()
        self.run(self.assign([TopicPartition(topic, p) for p in starts]))
        for p, start in starts.items():
            consumer.seek(TopicPartition(topic, p), start)
        left = sum(ends[p] - starts[p] for p in ends)
        while left > 0:
            batches = self.run(consumer.getmany(timeout_ms=TIMEOUT_MS, max_records=5000))
            if not batches:
                raise roundtrip.Mismatch("%s: nothing came for %d ms, %d records left" % (topic, TIMEOUT_MS, left))
            for messages in batches.values():
                for m in messages:
                    yield m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers)
                left -= len(messages)
        # Stays assigned: if a fetch is answered in between, `stop` after `unsubscribe` waits for ever in aiokafka 0.14
        # (its fetcher takes the cancellation for that of the fetch), whatever the broker.

    def close(self):
        if self.consumer is not None:
            self.run(self.consumer.stop())


if __name__ == "__main__":
    roundtrip.main(Aiokafka)
