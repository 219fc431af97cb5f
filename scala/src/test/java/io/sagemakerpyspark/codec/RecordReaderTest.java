package io.sagemakerpyspark.codec;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.Test;

/** Rows through the writer and back, and messages put together by hand as the protobuf libraries read them. */
public class RecordReaderTest {
  private static final double[] SPECIAL = {0.0, -0.0, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY,
      Double.MIN_VALUE, Float.MIN_VALUE, -Float.MIN_VALUE, 1e-40, Float.MAX_VALUE, 3.5e38, -1e300, Double.MAX_VALUE};

  @Test
  public void randomRowsReadBack() throws Exception {
    Random random = new Random(7);
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    List<Object[]> rows = new ArrayList<>();
    for (int row = 0; row < 5000; row++) {
      double[] values = new double[random.nextInt(4) == 0 ? random.nextInt(3) : random.nextInt(60)];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextInt(4) == 0 ? SPECIAL[random.nextInt(SPECIAL.length)] : random.nextGaussian();
      }
      boolean sparse = random.nextBoolean();
      long[] shape = sparse ? new long[] {Long.MAX_VALUE >>> random.nextInt(50)} : null;
      long[] keys = sparse ? random.longs(values.length, 0, shape[0]).sorted().toArray() : null;
      Double label = random.nextBoolean() ? Double.valueOf(SPECIAL[random.nextInt(SPECIAL.length)]) : null;
      stream.write(RecordWriter.write(values, keys, shape, label));
      rows.add(new Object[] {values, keys, shape, label});
    }
    try (RecordReader whole = new RecordReader(stream.toByteArray());
        RecordReader dripping = new RecordReader(dripping(stream.toByteArray()), 0, RecordReader.UNKNOWN)) {
      for (Object[] row : rows) {
        assertTrue(whole.next() && dripping.next());
        assertEquals(whole.end(), dripping.end());
        check(row, whole.record());
        check(row, dripping.record());
      }
      assertFalse(whole.next() || dripping.next());
    }
  }

  private static void check(Object[] row, RecordMessage record) {
    Tensor found = record.features.get("values");
    long[] keys = (long[]) row[1];
    assertArrayEquals(Numbers.bits(Numbers.float32((double[]) row[0])), Numbers.bits(found.values));
    assertArrayEquals(keys == null || keys.length == 0 ? null : keys, found.keys);
    assertArrayEquals((long[]) row[2], found.shape);
    if (row[3] == null) {
      assertTrue(record.label.isEmpty());
    } else {
      assertArrayEquals(Numbers.bits(Numbers.float32((Double) row[3])), Numbers.bits(record.label.get("values").values));
    }
  }

  /** A stream that hands out a few bytes at a time, as a network does. */
  private static ByteArrayInputStream dripping(byte[] bytes) {
    return new ByteArrayInputStream(bytes) {
      @Override
      public synchronized int read(byte[] into, int from, int count) {
        return super.read(into, from, Math.min(count, 7));
      }
    };
  }

  @Test
  public void aLengthThatIsNotThereTakesNoMemory() throws Exception {
    byte[] header = {0x0a, 0x23, (byte) 0xd7, (byte) 0xce, (byte) 0xff, (byte) 0xff, (byte) 0xff, 0x1f, 1, 2, 3};
    for (long size : new long[] {header.length, RecordReader.UNKNOWN}) {
      RecordReader reader = new RecordReader(new ByteArrayInputStream(header), 0, size);
      long before = allocated();
      IllegalArgumentException problem = assertThrows(IllegalArgumentException.class, reader::next);
      assertTrue("allocated " + (allocated() - before), allocated() - before < 1 << 20);
      assertEquals("the frame at offset 0 claims 536870911 bytes, 3 are left", problem.getMessage());
    }
  }

  private static long allocated() {
    return ((ThreadMXBean) ManagementFactory.getThreadMXBean())
        .getThreadAllocatedBytes(Thread.currentThread().getId());
  }

  @Test
  public void piecesAreMergedAndLaterOnesWin() {
    byte[] one = field(2, field(1, floats(1)));
    byte[] two = field(2, field(1, floats(2, 3)));
    RecordMessage merged = parse(field(1, join(field(1, text("a")), field(2, join(one, two)))));
    assertArrayEquals(new double[] {1, 2, 3}, merged.features.get("a").values, 0);
    RecordMessage pieces = parse(field(1, join(field(1, text("a")), field(2, one), field(2, two))));
    assertArrayEquals(new double[] {1, 2, 3}, pieces.features.get("a").values, 0);
    RecordMessage replaced = parse(join(entry("a", one), entry("a", two)));
    assertArrayEquals(new double[] {2, 3}, replaced.features.get("a").values, 0);
    RecordMessage switched = parse(field(1, field(2, join(one, field(7, new byte[] {8, 5})))));
    assertEquals("int32", switched.features.get("").kind);
    assertArrayEquals(new double[] {5}, switched.features.get("").values, 0);
    assertEquals("v", parse(join(field(3, text("u")), field(3, text("v")))).uid);
    Tensor unset = parse(field(1, field(1, text("a")))).features.get("a");
    assertEquals("float32", unset.kind);
    assertEquals(0, unset.values.length);
    assertNull(unset.keys);
  }

  @Test
  public void otherTypesAndGroupsArePassedOver() {
    byte[] record = join(new byte[] {0x08, 1, 0x1b, 0x08, 1, 0x1c}, field(3, text("u")), new byte[] {0x25, 1, 2, 3, 4});
    assertEquals("u", parse(record).uid);
    assertNull(parse(record).metadata);
    assertArrayEquals(new double[] {-1}, parse(entry("a", field(7, join(new byte[] {8}, bytes(0xff, 0xff, 0xff, 0xff, 0x0f)))))
        .features.get("a").values, 0);
  }

  @Test
  public void unsoundMessagesAreRefused() {
    byte[] twoKeys = join(field(1, floats(1)), field(2, bytes(1, 2)));
    refused("as many keys as values, got 2 and 1", entry("a", field(2, twoKeys)));
    byte[] far = join(field(1, floats(1)), field(2, bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)));
    refused("must be below the shape's 6, got 18446744073709551615", entry("a", field(2, join(far, field(3, bytes(2, 3))))));
    refused("must be below the shape's 0", entry("a", field(2, join(far, field(3, bytes(2, 0))))));
    refused("must be UTF-8", field(1, field(1, bytes(0xc0, 0x80))));
    refused("must be UTF-8", field(5, bytes(0xff)));
    refused("number must be between", new byte[] {0, 0});
    refused("type must be between", new byte[] {0x0e});
    refused("begin before it ends", new byte[] {0x0c});
    refused("a group must end inside", new byte[] {0x0b});
    refused("begin before it ends", new byte[] {0x0b, 0x14});
    refused("must stay inside its message", bytes(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f));
    refused("a varint must end", bytes(0x50, 0x80));
    refused("after at most 10 bytes", bytes(0x50, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1));
    refused("whole times 8 bytes, got 4", entry("a", field(3, field(1, floats(1)))));
  }

  private static void refused(String message, byte[] record) {
    IllegalArgumentException problem = assertThrows(message, IllegalArgumentException.class, () -> parse(record));
    assertTrue(problem.getMessage(), problem.getMessage().contains(message));
    assertTrue(problem.getMessage(), problem.getMessage().contains("offset 100"));
  }

  private static RecordMessage parse(byte[] record) {
    return RecordMessage.parse(record, 0, record.length, 100);
  }

  private static byte[] entry(String key, byte[] value) {
    return field(1, join(field(1, text(key)), field(2, value)));
  }

  private static byte[] field(int number, byte[] content) {
    return join(bytes(number << 3 | 2, content.length), content);
  }

  private static byte[] floats(float... values) {
    ByteBuffer made = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      made.putFloat(value);
    }
    return made.array();
  }

  private static byte[] text(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] bytes(int... values) {
    byte[] made = new byte[values.length];
    for (int i = 0; i < made.length; i++) {
      made[i] = (byte) values[i];
    }
    return made;
  }

  private static byte[] join(byte[]... parts) {
    ByteArrayOutputStream made = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      made.write(part, 0, part.length);
    }
    return made.toByteArray();
  }
}
