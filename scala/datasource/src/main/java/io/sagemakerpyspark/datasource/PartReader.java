package io.sagemakerpyspark.datasource;

import io.sagemakerpyspark.codec.RecordReader;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;

/** The rows of one part of a file. */
final class PartReader implements PartitionReader<InternalRow> {
  private static final int BUFFER = 1 << 16;
  private static final InternalRow COUNTED = new GenericInternalRow(new Object[0]);

  private final FilePart part;
  private final Columns columns;
  private final Alignment alignment;
  private final FSDataInputStream file;
  /** Null once there is nothing more to read. */
  private RecordReader reader;
  private InternalRow row;

  PartReader(FilePart part, Columns columns, Configuration hadoop) throws IOException {
    this.part = part;
    this.columns = columns;
    Path path = new Path(part.path);
    file = path.getFileSystem(hadoop).open(path);
    alignment = new Alignment(file::readFully, part.size);
    try {
      reader = open();
    } catch (IOException | RuntimeException problem) {
      file.close();
      throw said(problem);
    }
  }

  private RecordReader open() throws IOException {
    if (FilePart.isGzip(part.path)) {
      return new RecordReader(new BufferedInputStream(new GZIPInputStream(file, BUFFER), BUFFER), 0, RecordReader.UNKNOWN);
    }
    long begin = part.from == 0 ? 0 : alignment.find(part.from, Math.min(part.from + part.step, part.size));
    if (begin == Alignment.NONE) { // the part lies inside a frame of one before, which checks that
      return null;
    }
    file.seek(begin);
    return new RecordReader(new BufferedInputStream(file, BUFFER), begin, part.size);
  }

  @Override
  public boolean next() throws IOException {
    try {
      if (reader == null) {
        return false;
      }
      if (isInside(reader.end()) && reader.next()) {
        row = columns.none() ? COUNTED : columns.row(reader.record());
        return true;
      }
      if (!FilePart.isGzip(part.path)) {
        alignment.prove(reader.end(), part.from + part.step, part.step);
      }
      reader = null;
      return false;
    } catch (IOException | RuntimeException problem) {
      throw said(problem);
    }
  }

  private boolean isInside(long at) {
    return FilePart.isGzip(part.path) || at < part.from + part.step;
  }

  /** A problem of the content with the file it is in; file systems name theirs. */
  private IOException said(Exception problem) throws IOException {
    if (problem instanceof IllegalArgumentException) {
      String where = reader == null ? "" : ", in the frame at offset " + reader.offset();
      String parts = part.from == 0 ? "" : " (the file was read in parts; option splitBytes=0 reads it whole)";
      throw new IllegalArgumentException(problem.getMessage() + where + " of " + part.path + parts, problem);
    }
    if (FilePart.isGzip(part.path) && (problem instanceof ZipException || problem instanceof EOFException)) {
      throw new IllegalArgumentException(part.path + " must be whole gzip, as its name says: " + problem.getMessage(), problem);
    }
    if (problem instanceof IOException) {
      return (IOException) problem;
    }
    throw (RuntimeException) problem;
  }

  @Override
  public InternalRow get() {
    return row;
  }

  @Override
  public void close() throws IOException {
    file.close();
  }

  static final class Factory implements PartitionReaderFactory {
    private static final long serialVersionUID = 1L;

    private final Columns columns;
    private final Settings settings;

    Factory(Columns columns, Settings settings) {
      this.columns = columns;
      this.settings = settings;
    }

    @Override
    public PartitionReader<InternalRow> createReader(InputPartition partition) {
      try {
        return new PartReader((FilePart) partition, columns, settings.hadoop());
      } catch (IOException problem) {
        throw new UncheckedIOException(problem);
      }
    }
  }
}
