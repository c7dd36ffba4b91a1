// The records that every client program writes and expects (see ../README.md), in Java. Not a client: no Kafka library
// is imported here.

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Generates records. */
final class Records {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final int PARTITION_COUNT = 3;
    static final long TIMESTAMP_BASE = 1_600_000_000_000L;
    private static final int POOL_SIZE = 262_144;
    private static final String[] HEADER_NAMES = {"a", "b", "trace-id", "größe"};
    private static final byte[] POOL = pool();

    private Records() {}

    /** A header; a null value is null. */
    static final class Header {
        final String name;
        final byte[] value;

        Header(String name, byte[] value) {
            this.name = name;
            this.value = value;
        }

        @Override
        public String toString() {
            return name + "=" + show(value);
        }
    }

    /** One record; null keys and values are null. */
    static final class Item {
        int partition;
        long timestamp;
        byte[] key;
        byte[] value;
        List<Header> headers;
    }

    /** Scrambles 32 bits. */
    static int mix(int x) {
        x ^= x >>> 16;
        x *= 0x85ebca6b;
        x ^= x >>> 13;
        x *= 0xc2b2ae35;
        return x ^ (x >>> 16);
    }

    private static byte[] pool() {
        ByteBuffer buffer = ByteBuffer.allocate(POOL_SIZE).order(ByteOrder.LITTLE_ENDIAN);
        for (int w = 0; w < POOL_SIZE / 4; w++) {
            buffer.putInt(mix((w >>> 6) % 4 != 3 ? w & 63 : w));
        }
        return buffer.array();
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static List<Header> headersOf(int h1) {
        List<Header> headers = new ArrayList<>();
        for (int j = 0; j < ((h1 >>> 3) & 3); j++) {
            int g = mix(h1 + 3 + j);
            byte[] value;
            switch ((g >>> 2) & 3) {
                case 0:
                    value = null;
                    break;
                case 1:
                    value = new byte[0];
                    break;
                default:
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    bytes.writeBytes(text(String.format(Locale.ROOT, "%08x", g)));
                    bytes.write(0xff);
                    bytes.write(0x01);
                    value = bytes.toByteArray();
            }
            headers.add(new Header(HEADER_NAMES[g & 3], value));
        }
        return headers;
    }

    private static Item item(int seed, int i) {
        int h1 = mix(mix(seed) + i);
        int h2 = mix(h1 + 1);
        int h3 = mix(h1 + 2);
        Item item = new Item();
        switch (h1 & 7) {
            case 0:
                break;
            case 1:
                item.key = new byte[0];
                break;
            case 2:
                item.key = ByteBuffer.allocate(4).putInt(h2).array();
                break;
            default:
                item.key = text("key-" + (h2 >>> 8) % 5000);
        }
        int v = h2 & 4095;
        if (v < 16 && item.key != null) {
            item.value = null;
        } else if (v < 32) {
            item.value = new byte[0];
        } else {
            int size = v < 34 ? 100_000 + Integer.remainderUnsigned(h3, 100_000) : 8 + (h2 >>> 12) % 240;
            int start = Integer.remainderUnsigned(h3, POOL_SIZE - (size - 8));
            item.value = ByteBuffer.allocate(size).putInt(seed).putInt(i).put(POOL, start, size - 8).array();
        }
        item.partition = (h3 >>> 16) % PARTITION_COUNT;
        item.timestamp = TIMESTAMP_BASE + 10L * i + (h3 >>> 8) % 64;
        item.headers = headersOf(h1);
        return item;
    }

    private static List<Header> withoutNull(List<Header> headers) {
        List<Header> result = new ArrayList<>();
        for (Header header : headers) {
            result.add(new Header(header.name, header.value == null ? new byte[0] : header.value));
        }
        return result;
    }

    /** All records of one topic, in the order in which they are written. */
    static List<Item> generate(int seed, int count, String profile) {
        List<Item> items = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            Item item = item(seed, i);
            switch (profile) {
                case "full":
                    break;
                case "nonull":
                    item.headers = withoutNull(item.headers);
                    break;
                default:
                    throw new IllegalArgumentException("unknown profile " + profile);
            }
            items.add(item);
        }
        return items;
    }

    /** Bytes for a message, cut short. */
    static String show(byte[] bytes) {
        if (bytes == null) {
            return "null";
        }
        return bytes.length + " bytes " + Arrays.toString(Arrays.copyOf(bytes, Math.min(bytes.length, 40)));
    }
}
