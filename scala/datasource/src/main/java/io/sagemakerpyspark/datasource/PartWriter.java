package io.sagemakerpyspark.datasource;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.UUID;
import java.util.zip.GZIPOutputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.DataWriterFactory;
import org.apache.spark.sql.connector.write.WriterCommitMessage;

/** The file of one task, begun with its first row. */
final class PartWriter implements DataWriter<InternalRow> {
  private static final int BUFFER = 1 << 16;

  private final RowEncoder encoder;
  private final boolean gzip;
  private final Path path;
  private final Configuration hadoop;
  private OutputStream out;

  PartWriter(RowEncoder encoder, boolean gzip, Path path, Configuration hadoop) {
    this.encoder = encoder;
    this.gzip = gzip;
    this.path = path;
    this.hadoop = hadoop;
  }

  @Override
  public void write(InternalRow row) throws IOException {
    byte[] frame = encoder.encode(row);
    if (out == null) {
      OutputStream file = Files.toWrite(path, hadoop).create(path, false);
      out = gzip ? new GZIPOutputStream(file, BUFFER) : new BufferedOutputStream(file, BUFFER);
    }
    out.write(frame);
  }

  @Override
  public WriterCommitMessage commit() throws IOException {
    if (out == null) {
      return new Written(null);
    }
    close();
    return new Written(path.getName());
  }

  @Override
  public void abort() throws IOException {
    boolean begun = out != null;
    close();
    if (begun) {
      Files.toWrite(path, hadoop).delete(path, false);
    }
  }

  @Override
  public void close() throws IOException {
    if (out != null) {
      out.close();
      out = null;
    }
  }

  /** The name of a finished file, null if there were no rows. */
  static final class Written implements WriterCommitMessage {
    private static final long serialVersionUID = 1L;

    final String name;

    Written(String name) {
      this.name = name;
    }
  }

  static final class Factory implements DataWriterFactory {
    private static final long serialVersionUID = 1L;

    private final RowEncoder encoder;
    private final boolean gzip;
    private final String folder;
    private final Settings settings;

    Factory(RowEncoder encoder, boolean gzip, String folder, Settings settings) {
      this.encoder = encoder;
      this.gzip = gzip;
      this.folder = folder;
      this.settings = settings;
    }

    @Override
    public DataWriter<InternalRow> createWriter(int partition, long task) {
      // Each attempt at a task has a file of its own.
      String name = String.format("part-%05d-%s.pbr%s", partition, UUID.randomUUID(), gzip ? ".gz" : "");
      return new PartWriter(encoder, gzip, new Path(folder, name), settings.hadoop());
    }
  }
}
