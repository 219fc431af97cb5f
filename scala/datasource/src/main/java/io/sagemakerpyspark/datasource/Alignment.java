package io.sagemakerpyspark.datasource;

import io.sagemakerpyspark.codec.RecordReader;
import java.io.IOException;

/**
 * Where the parts of a file begin that tasks read on their own. RecordIO has no mark to find a record by: the magic may as well be
 * four bytes of a payload. A task in the middle of a file guesses a boundary, by a chain of headers that fit each other, and the
 * task before it, which knows where its last frame ends, checks that guess. So every boundary is proved from the one before, back
 * to the beginning of the file, and a wrong guess is an error and never a shifted or doubled row. To walk all headers on the driver
 * instead would be a request for each record where files are objects of a store.
 */
final class Alignment {
  /** Frames that must follow each other for a guess. */
  private static final int CHAIN = 8;
  private static final int SEARCH = 256 << 10;
  private static final int MAGIC = 0x0a23d7ce; // as it lies in the file
  static final long NONE = -1;

  /** The bytes of a file, any of them. */
  interface Bytes {
    void read(long at, byte[] into, int from, int count) throws IOException;
  }

  private final Bytes bytes;
  private final long size;

  Alignment(Bytes bytes, long size) {
    this.bytes = bytes;
    this.size = size;
  }

  /** The first place in [from, stop) from which frames seem to follow each other, or {@link #NONE}. */
  long find(long from, long stop) throws IOException {
    byte[] window = new byte[(int) Math.min(SEARCH + RecordReader.HEADER, size)];
    for (long base = from + 3 & ~3L; base < stop; base += SEARCH) {
      int have = (int) Math.min(window.length, size - base);
      bytes.read(base, window, 0, have);
      for (int at = 0; at < SEARCH && at + RecordReader.HEADER <= have && base + at < stop; at += 4) {
        if (word(window, at) == MAGIC && chains(window, base, have, base + at)) {
          return base + at;
        }
      }
    }
    return NONE;
  }

  private static int word(byte[] window, int at) {
    return window[at] << 24 | (window[at + 1] & 0xff) << 16 | (window[at + 2] & 0xff) << 8 | window[at + 3] & 0xff;
  }

  private boolean chains(byte[] window, long base, int have, long start) throws IOException {
    byte[] header = new byte[RecordReader.HEADER];
    long at = start;
    for (int frames = 0; frames < CHAIN && at < size; frames++) {
      if (size - at < RecordReader.HEADER) {
        return false;
      }
      if (at + RecordReader.HEADER <= base + have) {
        System.arraycopy(window, (int) (at - base), header, 0, RecordReader.HEADER);
      } else {
        bytes.read(at, header, 0, RecordReader.HEADER);
      }
      try {
        at += RecordReader.HEADER + RecordReader.padded(RecordReader.payload(header, 0, RecordReader.HEADER, at, size));
      } catch (IllegalArgumentException noFrame) {
        return false;
      }
    }
    return true;
  }

  /**
   * Refuses the file unless the next part that is not inside our last frame begins exactly where that frame ends.
   *
   * @param end of our last frame
   * @param from where the next part begins to look
   * @param step bytes of a part
   */
  void prove(long end, long from, long step) throws IOException {
    for (long next = from; next < size; next += step) {
      long stop = Math.min(next + step, size);
      long guess = find(next, stop);
      if (guess == NONE && end >= stop) {
        continue;
      }
      if (guess != end) {
        refuse(end, guess);
      }
      return;
    }
  }

  private void refuse(long end, long guess) throws IOException {
    if (end < size) { // says so if the file is broken right here
      int have = (int) Math.min(RecordReader.HEADER, size - end);
      byte[] header = new byte[RecordReader.HEADER];
      bytes.read(end, header, 0, have);
      RecordReader.payload(header, 0, have, end, size);
    }
    throw new IllegalArgumentException("the file cannot be read in parts: a frame ends at offset " + end + ", but the next part "
        + (guess == NONE ? "finds no beginning" : "seems to begin at " + guess) + "; a payload looks like RecordIO, or the file is "
        + "damaged. Read it whole with option splitBytes=0");
  }
}
