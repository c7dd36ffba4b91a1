"""Asks for what a group has committed, with a client that is no member of it. Prints one line of JSON: partition to offset.

    committed.py HOST:PORT GROUP TOPIC PARTITIONS
"""

import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

TIMEOUT_SECONDS = 60
# What a coordinator says that has just started, and the client hands on.
NOT_YET = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)


def committed(consumer, asked):
    """Asks until the coordinator has loaded."""
    limit = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return consumer.committed(asked, TIMEOUT_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET or time.monotonic() > limit:
                raise


def main():
    bootstrap, group, topic, partition_count = sys.argv[1:]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    asked = [TopicPartition(topic, p) for p in range(int(partition_count))]
    found = {}
    for answer in committed(consumer, asked):
        if answer.error is not None:
            raise SystemExit("%s-%d: %s" % (answer.topic, answer.partition, answer.error))
        found[answer.partition] = answer.offset if answer.offset >= 0 else -1
    consumer.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
