// The Java client's round trip; see ../README.md.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Writes, reads and compares with the Java client. */
final class Roundtrip {
    /** Far above what a run takes; a broker that does not answer fails the test instead of hanging it. */
    private static final Duration DEADLINE = Duration.ofSeconds(240);

    private final String bootstrap;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private String topic;
    private List<Records.Item> items;
    private Map<TopicPartition, List<Records.Item>> byPartition;
    private int produced;
    private int earliest;
    private int offset;
    private int timestamp;

    /** The broker gave back something else than was written. */
    private static final class Mismatch extends Exception {
        private static final long serialVersionUID = 1;

        Mismatch(String text) {
            super(text);
        }
    }

    private Roundtrip(String bootstrap) {
        this.bootstrap = bootstrap;
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("auto.offset.reset", "none");
        config.put("max.poll.records", 5000);
        config.put("check.crcs", true);
        consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void expect(String what, Object got, Object wanted) throws Mismatch {
        if (!got.equals(wanted)) {
            throw new Mismatch(what + ": got " + got + ", expected " + wanted);
        }
    }

    private void createTopic() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            NewTopic wanted = new NewTopic(topic, byPartition.size(), (short) 1);
            wanted.configs(Map.of("retention.ms", "-1"));
            admin.createTopics(List.of(wanted)).all().get(60, TimeUnit.SECONDS);
        }
    }

    /** End offsets after the first {@code upto} records. */
    private Map<TopicPartition, Long> ends(int upto) {
        Map<TopicPartition, Long> ends = new HashMap<>();
        byPartition.keySet().forEach(partition -> ends.put(partition, 0L));
        for (Records.Item item : items.subList(0, upto)) {
            ends.merge(new TopicPartition(topic, item.partition), 1L, Long::sum);
        }
        return ends;
    }

    /** Asks for the end offsets until they are these: what acks=0 leaves open. */
    private void waitFor(Map<TopicPartition, Long> ends) throws Mismatch {
        long limit = System.nanoTime() + DEADLINE.toNanos();
        while (true) {
            Map<TopicPartition, Long> got = consumer.endOffsets(byPartition.keySet());
            if (got.equals(ends)) {
                return;
            }
            if (System.nanoTime() > limit || ends.entrySet().stream().anyMatch(e -> got.get(e.getKey()) > e.getValue())) {
                throw new Mismatch(topic + " end offsets after acks=0: got " + got + ", expected " + ends);
            }
        }
    }

    /** Writes a third of the records with each acks. */
    private void produce(String codec) throws Exception {
        int count = items.size();
        int[] cuts = {0, count / 3, 2 * count / 3, count};
        String[] kinds = {"all", "1", "0"};
        Map<Integer, Long> next = new HashMap<>();
        for (int part = 0; part < kinds.length; part++) {
            Map<String, Object> config = new HashMap<>();
            config.put("bootstrap.servers", bootstrap);
            config.put("acks", kinds[part]);
            config.put("compression.type", codec);
            config.put("linger.ms", 5);
            config.put("batch.size", 65_536);
            if (!kinds[part].equals("all")) {
                // Without idempotence only one request in flight keeps the order if one had to be sent again.
                config.put("enable.idempotence", false);
                config.put("max.in.flight.requests.per.connection", 1);
            }
            try (KafkaProducer<byte[], byte[]> producer =
                    new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
                List<Future<RecordMetadata>> told = new ArrayList<>();
                for (Records.Item item : items.subList(cuts[part], cuts[part + 1])) {
                    ProducerRecord<byte[], byte[]> record =
                            new ProducerRecord<>(topic, item.partition, item.timestamp, item.key, item.value);
                    item.headers.forEach(header -> record.headers().add(header.name, header.value));
                    told.add(producer.send(record));
                }
                producer.flush();
                for (int i = cuts[part]; i < cuts[part + 1]; i++) {
                    Records.Item item = items.get(i);
                    RecordMetadata metadata = told.get(i - cuts[part]).get(60, TimeUnit.SECONDS);
                    long wanted = next.merge(item.partition, 1L, Long::sum) - 1;
                    if (!kinds[part].equals("0")) {
                        expect(topic + " acks=" + kinds[part] + " offset told for record " + i, metadata.offset(), wanted);
                        expect(topic + " timestamp told for record " + i, metadata.timestamp(), item.timestamp);
                    }
                }
                if (kinds[part].equals("0")) {
                    waitFor(ends(cuts[part + 1]));
                }
            }
        }
        produced += count;
    }

    private void compare(ConsumerRecord<byte[], byte[]> got, Records.Item wanted) throws Mismatch {
        String where = topic + " partition " + got.partition() + " offset " + got.offset();
        expect(where + " timestamp", got.timestamp(), wanted.timestamp);
        if (!Arrays.equals(got.key(), wanted.key)) {
            throw new Mismatch(where + " key: got " + Records.show(got.key()) + ", expected " + Records.show(wanted.key));
        }
        if (!Arrays.equals(got.value(), wanted.value)) {
            String values = Records.show(got.value()) + ", expected " + Records.show(wanted.value);
            throw new Mismatch(where + " value: got " + values);
        }
        int at = 0;
        for (org.apache.kafka.common.header.Header header : got.headers()) {
            boolean same = at < wanted.headers.size()
                    && header.key().equals(wanted.headers.get(at).name)
                    && Arrays.equals(header.value(), wanted.headers.get(at).value);
            if (!same) {
                throw new Mismatch(where + " headers: got " + got.headers() + ", expected " + wanted.headers);
            }
            at++;
        }
        expect(where + " header count", at, wanted.headers.size());
    }

    /** Reads from {@code starts} to the end and compares everything; returns how many. */
    private int read(Map<TopicPartition, Long> starts, String what) throws Mismatch {
        Map<TopicPartition, Long> ends = ends(items.size());
        Map<TopicPartition, Long> position = new HashMap<>(starts);
        consumer.assign(starts.keySet());
        starts.forEach(consumer::seek);
        long left = ends.values().stream().mapToLong(Long::longValue).sum()
                - starts.values().stream().mapToLong(Long::longValue).sum();
        int total = 0;
        while (left > 0) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofSeconds(60));
            if (records.isEmpty()) {
                throw new Mismatch(topic + " " + what + ": nothing came for 60 s, " + left + " records left");
            }
            for (ConsumerRecord<byte[], byte[]> record : records) {
                TopicPartition partition = new TopicPartition(topic, record.partition());
                long expected = position.get(partition);
                expect(topic + " " + what + ": next offset of " + partition, record.offset(), expected);
                compare(record, byPartition.get(partition).get((int) record.offset()));
                position.put(partition, record.offset() + 1);
                total++;
                left--;
            }
        }
        expect(topic + " " + what + ": read up to", position, ends);
        return total;
    }

    /** The three kinds of reading. */
    private void readAll() throws Mismatch {
        Map<TopicPartition, Long> begins = new HashMap<>();
        Map<TopicPartition, Long> halves = new HashMap<>();
        Map<TopicPartition, Long> found = new HashMap<>();
        Map<TopicPartition, Long> ends = ends(items.size());
        long target = Records.TIMESTAMP_BASE + 10L * (2 * items.size() / 3);
        byPartition.forEach((partition, all) -> {
            begins.put(partition, 0L);
            halves.put(partition, ends.get(partition) / 2);
            long at = 0;
            while (all.get((int) at).timestamp < target) {
                at++;
            }
            found.put(partition, at);
        });
        expect(topic + " begin offsets", consumer.beginningOffsets(byPartition.keySet()), begins);
        expect(topic + " end offsets", consumer.endOffsets(byPartition.keySet()), ends);
        earliest += read(begins, "from earliest");
        offset += read(halves, "from an offset");
        Map<TopicPartition, Long> asked = new HashMap<>();
        byPartition.keySet().forEach(partition -> asked.put(partition, target));
        Map<TopicPartition, OffsetAndTimestamp> answers = consumer.offsetsForTimes(asked);
        for (TopicPartition partition : byPartition.keySet()) {
            long wanted = found.get(partition);
            OffsetAndTimestamp answer = answers.get(partition);
            String what = partition + " offset for time " + target;
            expect(what, answer == null ? -1L : answer.offset(), wanted);
            expect(what + ", its timestamp", answer.timestamp(), byPartition.get(partition).get((int) wanted).timestamp);
        }
        timestamp += read(found, "from a timestamp");
    }

    private void run(Map<String, String> options) throws Exception {
        boolean roundtrip = options.get("mode").equals("roundtrip");
        for (String codec : Records.CODECS) {
            int seed = Integer.parseInt(options.get("seed")) + Records.CODECS.indexOf(codec);
            topic = options.get("prefix") + "-" + codec;
            String profile = roundtrip ? "full" : options.get("writer");
            items = Records.generate(seed, Integer.parseInt(options.get("records")), profile);
            byPartition = new HashMap<>();
            for (Records.Item item : items) {
                byPartition.computeIfAbsent(new TopicPartition(topic, item.partition), p -> new ArrayList<>()).add(item);
            }
            if (roundtrip) {
                createTopic();
                produce(codec);
            }
            readAll();
        }
        consumer.close();
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new TreeMap<>(
                Map.of("seed", "1", "records", "100000", "mode", "roundtrip", "writer", "full"));
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i].substring(2), arguments[i + 1]);
        }
        long began = System.nanoTime();
        Roundtrip run = new Roundtrip(options.get("bootstrap"));
        try {
            run.run(options);
        } catch (Mismatch error) {
            System.err.println("java: " + error.getMessage());
            System.exit(1);
        }
        String line = String.format(
                Locale.ROOT,
                "{\"client\":\"java\",\"produced\":%d,\"earliest\":%d,\"offset\":%d,\"timestamp\":%d,\"seconds\":%.1f}%n",
                run.produced, run.earliest, run.offset, run.timestamp, (System.nanoTime() - began) / 1e9);
        System.out.write(line.getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }
}
