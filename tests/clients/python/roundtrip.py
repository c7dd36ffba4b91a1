"""What every Python client program does, whatever its client: produce, read back, compare (see ../README.md).

A program hands over an object with the few calls that differ between clients (`Client` below). Not a client itself.
"""

import argparse
import faulthandler
import json
import signal
import sys
import time

import records

# Far above what a run takes; a broker that does not answer fails the test instead of hanging it.
DEADLINE_SECONDS = 240


class Mismatch(Exception):
    """The broker gave back something else than was written."""


class Client:
    """What a client program implements. Partitions and offsets are plain integers."""

    name = ""
    profile = "full"
    # Records per topic, set before anything else is called.
    record_count = 0

    def create_topic(self, topic, partition_count, configs):
        """Creates the topic and returns once it can be written to."""
        raise NotImplementedError

    def produce(self, topic, items, first_index, codec, acks, wait):
        """Writes `items` with one ordered producer. Returns (index, offset) pairs or an empty list where the client
        tells none. Calls `wait()` before it closes the producer."""
        raise NotImplementedError

    def begin_offsets(self, topic):
        """First offset by partition."""
        raise NotImplementedError

    def end_offsets(self, topic):
        """End offset by partition."""
        raise NotImplementedError

    def offsets_for_time(self, topic, timestamp):
        """By partition, the offset of the first record not older, or None."""
        raise NotImplementedError

    def read(self, topic, starts, ends):
        """Yields (partition, offset, timestamp, key, value, headers) of all records in the half-open ranges."""
        raise NotImplementedError

    def read_from_time(self, run):
        """For topics whose timestamps the writer could not choose; returns how many records were compared."""
        return 0

    def close(self):
        """Closes what is open."""


def expect(what, got, wanted):
    """Raises unless both are equal."""
    if got != wanted:
        text = "%s: got %r, expected %r" % (what, got, wanted)
        raise Mismatch(text if len(text) < 2000 else text[:2000] + "...")


def compare(topic, partition, offset, got, wanted):
    """One record, field by field, so that the message names the field."""
    if wanted.timestamp is None:
        got = (None,) + got[1:]
    if got == (wanted.timestamp, wanted.key, wanted.value, wanted.headers):
        return
    where = "%s partition %d offset %d " % (topic, partition, offset)
    for field, one, other in zip(("timestamp", "key", "value", "headers"), got, wanted[1:]):
        expect(where + field, one, other)
    raise Mismatch(where + "differs in type: %r" % (got,))


class Run:
    """One topic's records and what was counted."""

    def __init__(self, client, topic, items):
        self.client = client
        self.topic = topic
        self.items = items
        count = 1 + max(item.partition for item in items)
        self.by_partition = {p: [i for i in items if i.partition == p] for p in range(count)}

    def ends(self, upto=None):
        """End offset by partition after the first `upto` records."""
        ends = dict.fromkeys(self.by_partition, 0)
        for item in self.items[:upto]:
            ends[item.partition] += 1
        return ends

    def wait_for(self, ends):
        """Asks for the end offsets until they are these: what acks=0 leaves open."""
        limit = time.monotonic() + DEADLINE_SECONDS
        while True:
            got = self.client.end_offsets(self.topic)
            if got == ends:
                return
            if time.monotonic() > limit or any(got[p] > ends[p] for p in ends):
                raise Mismatch("%s end offsets after acks=0: got %r, expected %r" % (self.topic, got, ends))

    def produce(self, codec):
        """A third of the records with each acks."""
        count = len(self.items)
        cuts = (0, count // 3, 2 * count // 3, count)
        positions = []
        next_offset = dict.fromkeys(self.by_partition, 0)
        for item in self.items:
            positions.append(next_offset[item.partition])
            next_offset[item.partition] += 1
        for acks, first, last in zip(("all", "1", "0"), cuts, cuts[1:]):
            ends = self.ends(last)
            wait = (lambda: self.wait_for(ends)) if acks == "0" else (lambda: None)
            told = self.client.produce(self.topic, self.items[first:last], first, codec, acks, wait)
            for index, offset in told:
                expect("%s acks=%s offset told for record %d" % (self.topic, acks, index), offset, positions[index])
        return count

    def read(self, starts, what):
        """Reads from `starts` to the end and compares everything; returns how many."""
        ends = self.ends()
        position = dict(starts)
        limit = time.monotonic() + DEADLINE_SECONDS
        total = 0
        for partition, offset, *got in self.client.read(self.topic, starts, ends):
            expect("%s %s: next offset of partition %d" % (self.topic, what, partition), offset, position[partition])
            compare(self.topic, partition, offset, tuple(got), self.by_partition[partition][offset])
            position[partition] = offset + 1
            total += 1
            if total % 4096 == 0 and time.monotonic() > limit:
                raise Mismatch("%s %s: not read within %d s" % (self.topic, what, DEADLINE_SECONDS))
        expect("%s %s: read up to" % (self.topic, what), position, ends)
        return total

    def read_all(self, counts):
        """The three kinds of reading."""
        begins = dict.fromkeys(self.by_partition, 0)
        expect(self.topic + " begin offsets", self.client.begin_offsets(self.topic), begins)
        expect(self.topic + " end offsets", self.client.end_offsets(self.topic), self.ends())
        counts["earliest"] += self.read(begins, "from earliest")
        halves = {p: end // 2 for p, end in self.ends().items()}
        counts["offset"] += self.read(halves, "from an offset")
        if self.items[0].timestamp is None:
            counts["timestamp"] += self.client.read_from_time(self)
            return
        target = records.TIMESTAMP_BASE + 10 * (2 * len(self.items) // 3)
        wanted = {}
        for p, items in self.by_partition.items():
            wanted[p] = next((o for o, item in enumerate(items) if item.timestamp >= target), None)
        expect("%s offsets for time %d" % (self.topic, target), self.client.offsets_for_time(self.topic, target), wanted)
        counts["timestamp"] += self.read(wanted, "from a timestamp")


def arguments():
    """The command line that all programs share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--mode", choices=("roundtrip", "read"), default="roundtrip")
    parser.add_argument("--writer", default="full")
    return parser.parse_args()


def main(make):
    """Runs a program: `make(bootstrap)` gives the client."""
    faulthandler.register(signal.SIGQUIT)
    options = arguments()
    counts = {"produced": 0, "earliest": 0, "offset": 0, "timestamp": 0}
    began = time.monotonic()
    client = make(options.bootstrap)
    client.record_count = options.records
    try:
        for codec in records.CODECS:
            profile = client.profile if options.mode == "roundtrip" else options.writer
            seed = options.seed + records.CODECS.index(codec)
            run = Run(client, options.prefix + "-" + codec, records.generate(seed, options.records, profile))
            if options.mode == "roundtrip":
                client.create_topic(run.topic, len(run.by_partition), {"retention.ms": "-1"})
                counts["produced"] += run.produce(codec)
            run.read_all(counts)
    except Mismatch as error:
        sys.exit("%s: %s" % (client.name, error))
    finally:
        client.close()
    print(json.dumps({"client": client.name, **counts, "seconds": round(time.monotonic() - began, 1)}))
