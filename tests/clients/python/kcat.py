"""kcat round trip; see ../README.md. kcat is a command: this program feeds it and reads what it prints.

kcat cannot create topics (the broker does, on first use) and sets headers and null-or-empty once for a whole run, so each
topic is written by twelve runs. Timestamps are the time of writing: what is checked of them is that kcat, asked to start from
one of them, starts where it must.
"""

import re
import subprocess
import time

import records
import roundtrip

# Bytes that occur in no record; kcat takes delimiters of any length.
RECORD_END = b"\xf5\xf6\xf7|record\xf8\xf9"
KEY_END = b"\xf5\xf6\xf7|key\xf8\xf9"
HEADS = re.compile(rb"(-?\d+) (-?\d+) (-?\d+) (-?\d+) (-?\d+)\n")


def escaped(delimiter):
    """As kcat wants it on its command line."""
    return "".join("\\x%02x" % byte for byte in delimiter)


class Kcat(roundtrip.Client):
    """The command lines of kcat."""

    name = "kcat"
    profile = "kcat"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        # Timestamps that were read, by (topic, partition, offset).
        self.times = {}

    def call(self, *arguments, stdin=b""):
        """Runs kcat; its standard output. Errors end the program with what kcat said."""
        command = ["kcat", "-b", self.bootstrap, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=roundtrip.DEADLINE_SECONDS)
        if done.returncode != 0 or b"ERROR" in done.stderr:
            said = done.stderr.decode(errors="replace")[-2000:]
            raise roundtrip.Mismatch("%r ended with %d: %s" % (command, done.returncode, said))
        return done.stdout

    def create_topic(self, topic, partition_count, configs):
        """Asking for the topic lets the broker create it; answers once it has a leader."""
        limit = time.monotonic() + 60
        while b"partition 0, leader" not in self.call("-L", "-t", topic).split(b"topic ", 1)[1]:
            if time.monotonic() > limit:
                raise roundtrip.Mismatch("%s was not created by asking for it" % topic)

    def produce(self, topic, items, first_index, codec, acks, wait):
        chunks = {}
        for index, item in enumerate(items, first_index):
            chunks.setdefault(records.kcat_chunk(index, self.record_count), []).append(item)
        for chunk, run in chunks.items():
            self.produce_run(topic, run, chunk, codec, acks)
            if acks == "0":
                # The next run has a connection of its own and could overtake what this one only sent.
                self.wait_for_end(topic, first_index + len(run))
                first_index += len(run)
        wait()
        return []

    def wait_for_end(self, topic, offset):
        """Asks until partition 0 ends there."""
        limit = time.monotonic() + roundtrip.DEADLINE_SECONDS
        while self.offset(topic, -1) != offset:
            if time.monotonic() > limit:
                raise roundtrip.Mismatch("%s: offset %d is not reached after acks=0" % (topic, offset))

    def produce_run(self, topic, items, chunk, codec, acks):
        """One run of kcat: same headers, same meaning of nothing."""
        head = ["-P", "-t", topic, "-p", "0", "-z", codec, "-D", escaped(RECORD_END), "-K", escaped(KEY_END)]
        head += ["-X", "acks=" + acks, "-X", "linger.ms=5"]
        if chunk % 2 == 0:
            head.append("-Z")
        for name, value in items[0].headers:
            head += ["-H", name.encode() + (b"" if value is None else b"=" + value)]
        lines = []
        for item in items:
            key = b"" if item.key is None else item.key + KEY_END
            lines.append(key + (item.value or b""))
        self.call(*head, stdin=RECORD_END.join(lines))

    def offset(self, topic, at):
        """What `kcat -Q` answers for partition 0: -2 first, -1 end, else a time."""
        answer = self.call("-Q", "-t", "%s:0:%d" % (topic, at)).decode()
        return int(answer.rsplit("offset ", 1)[1])

    def begin_offsets(self, topic):
        return self.offsets_for_time(topic, -2)

    def end_offsets(self, topic):
        return self.offsets_for_time(topic, -1)

    def consume(self, topic, partition, start):
        """Reads from `start` (kcat's -o) to the end; yields as `read` does."""
        # The delimiter goes in raw: kcat 1.7 does not read \\xNN in a format to its end.
        form = b"%p %o %T %K %S\\n%k%s%h" + RECORD_END
        out = self.call("-C", "-t", topic, "-p", str(partition), "-o", str(start), "-e", "-q", "-f", form)
        at = 0
        while at < len(out):
            head = HEADS.match(out, at)
            if head is None:
                raise roundtrip.Mismatch("%s: kcat printed %r" % (topic, out[at : at + 200]))
            p, offset, timestamp, key_size, value_size = map(int, head.groups())
            key_at, value_at = head.end(), head.end() + max(key_size, 0)
            headers_at = value_at + max(value_size, 0)
            end = out.index(RECORD_END, headers_at)
            key = None if key_size < 0 else out[key_at:value_at]
            value = None if value_size < 0 else out[value_at:headers_at]
            self.times[topic, p, offset] = timestamp
            yield p, offset, timestamp, key, value, headers_of(out[headers_at:end])
            at = end + len(RECORD_END)

    def read(self, topic, starts, ends):
        for p, start in starts.items():
            if start is not None and start < ends[p]:
                yield from self.consume(topic, p, "beginning" if start == 0 else start)

    def offsets_for_time(self, topic, timestamp):
        found = {}
        for p in range(self.partition_count(topic)):
            answer = self.call("-Q", "-t", "%s:%d:%d" % (topic, p, timestamp)).decode()
            offset = int(answer.rsplit("offset ", 1)[1])
            found[p] = None if offset < 0 else offset
        return found

    def partition_count(self, topic):
        """As `kcat -L` tells."""
        return int(re.search(rb'topic "[^"]*" with (\d+) partitions', self.call("-L", "-t", topic)).group(1))

    def read_from_time(self, run):
        """For topics that kcat wrote itself: the time of the record in the middle must lead to the first record that is not
        older, and `-o s@TIME` must start there."""
        count = len(run.items)
        times = [self.times[run.topic, 0, offset] for offset in range(count)]
        target = times[count // 2]
        wanted = next(offset for offset, time_ms in enumerate(times) if time_ms >= target)
        found = self.offsets_for_time(run.topic, target)
        roundtrip.expect("%s offset for time %d" % (run.topic, target), found, {0: wanted})
        total = 0
        for offset, got in enumerate(self.consume(run.topic, 0, "s@%d" % target), wanted):
            roundtrip.expect("%s from time %d: next offset" % (run.topic, target), got[1], offset)
            roundtrip.compare(run.topic, 0, offset, got[2:], run.items[offset])
            total += 1
        roundtrip.expect("%s from time %d: records" % (run.topic, target), total, count - wanted)
        return total


def headers_of(printed):
    """kcat prints `name=value,name=value`, a null value as NULL; no value of ours holds a comma or that word."""
    headers = []
    for one in printed.split(b",") if printed else ():
        name, value = one.split(b"=", 1)
        headers.append((name.decode(), None if value == b"NULL" else value))
    return headers


if __name__ == "__main__":
    roundtrip.main(Kcat)
