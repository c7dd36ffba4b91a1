"""What every Python member of a consumer group does, whatever its client (see ../README.md): arguments, events, the end."""

import argparse
import json
import os
import sys
import threading

# Records taken at a time, and how long to wait for the first of them.
BATCH_COUNT_MAX = 100
POLL_MS = 200
# How long one commit may take: longer than a broker needs to come back.
COMMIT_SECONDS = 20


class Member:
    """Options, events on standard output, and whether standard input has ended, which asks the member to leave."""

    def __init__(self):
        parser = argparse.ArgumentParser()
        for name in ("bootstrap", "topic", "group", "member"):
            parser.add_argument("--" + name, required=True)
        parser.add_argument("--protocol", choices=("classic", "cooperative", "consumer"), default="classic")
        parser.add_argument("--commit", choices=("after", "before"), default="after")
        parser.add_argument("--session-ms", type=int, default=6000)
        parser.add_argument("--heartbeat-ms", type=int, default=500)
        parser.add_argument("--instance", default="")
        self.options = parser.parse_args()
        self.stopping = threading.Event()
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _wait_for_end(self):
        while os.read(0, 4096):
            pass
        self.stopping.set()

    def tell(self, *events):
        """Prints events with one write: a killed member leaves whole lines, but for the last."""
        text = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
        sys.stdout.write(text)
        sys.stdout.flush()

    def assigned(self, partitions):
        """These partitions were added."""
        self.tell({"event": "assigned", "partitions": sorted(partitions)})

    def revoked(self, partitions):
        """These partitions were taken away."""
        self.tell({"event": "revoked", "partitions": sorted(partitions)})

    def refused(self, error):
        """A commit did not succeed."""
        self.tell({"event": "refused", "error": "%s: %s" % (type(error).__name__, error)})

    def process(self, batch):
        """What stands for the application's work. `batch` maps a partition to a list of (offset, value)."""
        events = []
        for partition, items in batch.items():
            shown = [[offset, value.decode()] for offset, value in items]
            events.append({"event": "records", "partition": partition, "records": shown})
        self.tell(*events)

    def committed(self, ends):
        """`ends` maps a partition to the offset that was committed."""
        self.tell(*({"event": "committed", "partition": p, "offset": offset} for p, offset in ends.items()))

    def handle(self, batch, commit, rewind):
        """Processes and commits a batch in the order asked for.

        `commit(ends)` raises if it fails. What was not committed before processing is not processed: `rewind(starts)`
        makes the client read it again, if it still owns the partitions.
        """
        if not batch:
            return
        starts = {p: items[0][0] for p, items in batch.items()}
        ends = {p: items[-1][0] + 1 for p, items in batch.items()}
        before = self.options.commit == "before"
        if not before:
            self.process(batch)
        try:
            commit(ends)
        except Exception as error:
            self.refused(error)
            if before:
                rewind(starts)
            return
        self.committed(ends)
        if before:
            self.process(batch)

    def closed(self):
        """The member has left."""
        self.tell({"event": "closed"})
