package io.sagemakerpyspark.codec;

import java.io.ByteArrayInputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The frames of a RecordIO stream, one after the other; see proto/FORMAT.md.
 *
 * <pre>
 * try (RecordReader reader = new RecordReader(bytes)) {
 *   while (reader.next()) {
 *     RecordMessage record = reader.record();
 *   }
 * }
 * </pre>
 */
public final class RecordReader implements Closeable {
  /** Bytes before the payload. */
  public static final int HEADER = 8;
  /** For a stream whose end is not known, as of a compressed file. */
  public static final long UNKNOWN = Long.MAX_VALUE;
  /** Memory follows the bytes that are really there, and not the length that a frame claims. */
  private static final int FIRST_BUFFER = 1 << 16;

  private final InputStream in;
  private final long size;
  private byte[] buffer = new byte[FIRST_BUFFER];
  private int length;
  private long frame;
  private long at;

  public RecordReader(byte[] stream) {
    this(new ByteArrayInputStream(stream), 0, stream.length);
  }

  /**
   * @param in the stream from a frame's beginning on; better a buffered one
   * @param offset of its first byte, for error messages
   * @param size offset of the end, or {@link #UNKNOWN}; a frame that claims more is refused before it is read
   */
  public RecordReader(InputStream in, long offset, long size) {
    this.in = in;
    this.frame = offset;
    this.at = offset;
    this.size = size;
  }

  /**
   * Goes to the next frame.
   *
   * @return false at the end of the stream
   * @throws IllegalArgumentException if the stream is not RecordIO there
   */
  public boolean next() throws IOException {
    frame = at;
    int got = fill(HEADER);
    if (got == 0) {
      return false;
    }
    length = payload(buffer, 0, got, frame, size);
    int need = padded(length);
    got = fill(need);
    if (got < need) {
      throw claims(frame, length, got);
    }
    at = frame + HEADER + need;
    return true;
  }

  /** The frame's record, parsed. */
  public RecordMessage record() {
    return RecordMessage.parse(buffer, 0, length, frame + HEADER);
  }

  /** Where the frame begins. */
  public long offset() {
    return frame;
  }

  /** Where the next frame begins. */
  public long end() {
    return at;
  }

  @Override
  public void close() throws IOException {
    in.close();
  }

  /**
   * The payload's length that a header says.
   *
   * @param got bytes of the header that are there
   * @param frame offset of the header
   * @param size offset of the stream's end, or {@link #UNKNOWN}
   * @throws IllegalArgumentException if no frame may begin so
   */
  public static int payload(byte[] header, int from, int got, long frame, long size) {
    if (got < HEADER) {
      throw new IllegalArgumentException("a frame header needs " + HEADER + " bytes, " + got + " are left at offset " + frame);
    }
    ByteBuffer words = ByteBuffer.wrap(header, from, HEADER).order(ByteOrder.LITTLE_ENDIAN);
    int magic = words.getInt();
    int length = words.getInt();
    if (magic != RecordWriter.MAGIC) {
      throw new IllegalArgumentException(String.format("a frame must begin with %#010x, got %#010x at offset %d",
          RecordWriter.MAGIC, magic, frame));
    }
    if (length < 0 || length > RecordWriter.MAX_PAYLOAD) {
      throw new IllegalArgumentException(String.format("the length word at offset %d must be below %d, got %#x: its upper three "
          + "bits mark a part of a split record, which SageMaker's algorithms do not write", frame + 4,
          RecordWriter.MAX_PAYLOAD + 1, length));
    }
    if (padded(length) > size - frame - HEADER) {
      throw claims(frame, length, size - frame - HEADER);
    }
    return length;
  }

  /** A payload's bytes with their padding. */
  public static int padded(int length) {
    return length + 3 & ~3;
  }

  private static IllegalArgumentException claims(long frame, int length, long left) {
    return new IllegalArgumentException("the frame at offset " + frame + " claims " + length + " bytes, " + left + " are left");
  }

  /** Bytes read into the buffer, fewer than wanted only at the end of the stream. */
  private int fill(int want) throws IOException {
    int got = 0;
    while (got < want) {
      if (got == buffer.length) {
        buffer = Arrays.copyOf(buffer, (int) Math.min(want, 2L * buffer.length));
      }
      int more = in.read(buffer, got, Math.min(want, buffer.length) - got);
      if (more < 0) {
        return got;
      }
      got += more;
    }
    return got;
  }
}
