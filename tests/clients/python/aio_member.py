"""aiokafka as a member of a consumer group; see ../README.md.

Its rebalances run beside the program's own coroutine, so a lock makes one wait for the other: what was fetched is
processed and committed before the partitions go.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

import member


class Listener(ConsumerRebalanceListener):
    """Tells what it is told, between batches."""

    def __init__(self, own, lock):
        self.own = own
        self.lock = lock

    async def on_partitions_revoked(self, revoked):
        async with self.lock:
            self.own.revoked([tp.partition for tp in revoked])

    async def on_partitions_assigned(self, assigned):
        self.own.assigned([tp.partition for tp in assigned])


async def run(own):
    options = own.options
    lock = asyncio.Lock()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        client_id=options.member,
        group_instance_id=options.instance or None,
        partition_assignment_strategy=[RangePartitionAssignor],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=options.session_ms,
        heartbeat_interval_ms=options.heartbeat_ms,
        fetch_max_wait_ms=100,
    )
    consumer.subscribe([options.topic], listener=Listener(own, lock))
    await consumer.start()
    while not own.stopping.is_set():
        # While partitions come and go this waits, so it must not hold the lock.
        polled = await consumer.getmany(timeout_ms=member.POLL_MS, max_records=member.BATCH_COUNT_MAX)
        async with lock:
            await handle(own, consumer, polled)
    await consumer.stop()
    own.closed()


async def handle(own, consumer, polled):
    """Processes and commits in the order asked for, as Member.handle does for clients without coroutines."""
    batch = {tp.partition: [(m.offset, m.value) for m in messages] for tp, messages in polled.items()}
    if not batch:
        return
    before = own.options.commit == "before"
    ends = {p: items[-1][0] + 1 for p, items in batch.items()}
    if not before:
        own.process(batch)
    try:
        offsets = {TopicPartition(own.options.topic, p): end for p, end in ends.items()}
        await asyncio.wait_for(consumer.commit(offsets), member.COMMIT_SECONDS)
    except Exception as error:
        own.refused(error)
        for tp, messages in polled.items():
            if before and tp in consumer.assignment():
                consumer.seek(tp, messages[0].offset)
        return
    own.committed(ends)
    if before:
        own.process(batch)


if __name__ == "__main__":
    asyncio.run(run(member.Member()))
