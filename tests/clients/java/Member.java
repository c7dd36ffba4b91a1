// The Java client as a member of a consumer group; see ../README.md.

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Consumes, processes (prints) and commits until standard input ends. */
final class Member {
    private static final int BATCH_COUNT_MAX = 100;
    private static final Duration POLL = Duration.ofMillis(200);
    /** Longer than a broker needs to come back. */
    private static final Duration COMMIT = Duration.ofSeconds(20);

    private final KafkaConsumer<String, String> consumer;
    private final boolean commitFirst;

    private Member(Map<String, String> options) {
        commitFirst = options.get("commit").equals("before");
        consumer = new KafkaConsumer<>(settings(options), new StringDeserializer(), new StringDeserializer());
    }

    /** A consumer that never commits by itself. */
    private static Map<String, Object> settings(Map<String, String> options) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("group.id", options.get("group"));
        settings.put("client.id", options.get("member"));
        settings.put("enable.auto.commit", false);
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", BATCH_COUNT_MAX);
        settings.put("fetch.max.wait.ms", 100);
        if (!options.get("instance").isEmpty()) {
            settings.put("group.instance.id", options.get("instance"));
        }
        if (options.get("protocol").equals("consumer")) {
            // Session and heartbeats are the broker's to choose.
            settings.put("group.protocol", "consumer");
        } else {
            boolean cooperative = options.get("protocol").equals("cooperative");
            String assignor = cooperative ? "CooperativeStickyAssignor" : "RangeAssignor";
            settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor);
            settings.put("session.timeout.ms", Integer.parseInt(options.get("session-ms")));
            settings.put("heartbeat.interval.ms", Integer.parseInt(options.get("heartbeat-ms")));
        }
        return settings;
    }

    /** Prints with one write: a killed member leaves whole lines, but for the last. */
    private static void tell(String lines) {
        byte[] bytes = lines.getBytes(StandardCharsets.UTF_8);
        System.out.write(bytes, 0, bytes.length);
        System.out.flush();
    }

    private static void tellPartitions(String event, Collection<TopicPartition> partitions) {
        String list = partitions.stream().map(each -> String.valueOf(each.partition())).sorted().collect(Collectors.joining(","));
        tell("{\"event\":\"" + event + "\",\"partitions\":[" + list + "]}\n");
    }

    /** What stands for the application's work. */
    private static void process(ConsumerRecords<String, String> records) {
        StringBuilder lines = new StringBuilder();
        for (TopicPartition partition : records.partitions()) {
            List<String> items = new ArrayList<>();
            for (ConsumerRecord<String, String> record : records.records(partition)) {
                items.add("[" + record.offset() + ",\"" + record.value() + "\"]");
            }
            lines.append("{\"event\":\"records\",\"partition\":").append(partition.partition());
            lines.append(",\"records\":[").append(String.join(",", items)).append("]}\n");
        }
        tell(lines.toString());
    }

    private static void refused(Exception error) {
        String text = (error.getClass().getSimpleName() + ": " + error.getMessage()).replaceAll("[^ -~]|[\"\\\\]", " ");
        tell("{\"event\":\"refused\",\"error\":\"" + text + "\"}\n");
    }

    /** Processes and commits in the order asked for. */
    private void handle(ConsumerRecords<String, String> records) {
        Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
        for (TopicPartition partition : records.partitions()) {
            List<ConsumerRecord<String, String>> list = records.records(partition);
            ends.put(partition, new OffsetAndMetadata(list.get(list.size() - 1).offset() + 1));
        }
        if (!commitFirst) {
            process(records);
        }
        try {
            consumer.commitSync(ends, COMMIT);
        } catch (KafkaException error) {
            refused(error);
            if (commitFirst) {
                rewind(records);
            }
            return;
        }
        StringBuilder lines = new StringBuilder();
        ends.forEach((partition, end) -> lines.append("{\"event\":\"committed\",\"partition\":").append(partition.partition())
                .append(",\"offset\":").append(end.offset()).append("}\n"));
        tell(lines.toString());
        if (commitFirst) {
            process(records);
        }
    }

    /** What was not processed is read again, as far as it is still ours. */
    private void rewind(ConsumerRecords<String, String> records) {
        for (TopicPartition partition : records.partitions()) {
            if (consumer.assignment().contains(partition)) {
                consumer.seek(partition, records.records(partition).get(0).offset());
            }
        }
    }

    private void run(String topic, AtomicBoolean stopping) {
        consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                tellPartitions("assigned", partitions);
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                tellPartitions("revoked", partitions);
            }

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                tellPartitions("revoked", partitions);
            }
        });
        while (!stopping.get()) {
            ConsumerRecords<String, String> records = consumer.poll(POLL);
            if (!records.isEmpty()) {
                handle(records);
            }
        }
        consumer.close();
        tell("{\"event\":\"closed\"}\n");
    }

    /** Set when standard input ends, which asks the member to leave. */
    private static AtomicBoolean stopping() {
        AtomicBoolean stopping = new AtomicBoolean();
        Thread thread = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException error) {
                System.err.println("java: " + error);
            }
            stopping.set(true);
        });
        thread.setDaemon(true);
        thread.start();
        return stopping;
    }

    public static void main(String[] arguments) {
        Map<String, String> options = new HashMap<>(Map.of(
                "protocol", "classic", "commit", "after", "session-ms", "6000", "heartbeat-ms", "500", "instance", ""));
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i].substring(2), arguments[i + 1]);
        }
        new Member(options).run(options.get("topic"), stopping());
    }
}
