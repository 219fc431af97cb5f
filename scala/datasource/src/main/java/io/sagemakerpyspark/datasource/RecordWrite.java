package io.sagemakerpyspark.datasource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.connector.write.BatchWrite;
import org.apache.spark.sql.connector.write.DataWriterFactory;
import org.apache.spark.sql.connector.write.PhysicalWriteInfo;
import org.apache.spark.sql.connector.write.SupportsTruncate;
import org.apache.spark.sql.connector.write.Write;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.types.StructType;

/**
 * One job that writes. Tasks write into a folder that readers pass over; the commit moves the files of the tasks that succeeded out
 * of it. No other file is left, since a training job reads all it finds.
 */
final class RecordWrite implements SupportsTruncate, Write, BatchWrite {
  private final RowEncoder encoder;
  private final boolean gzip;
  private final Path folder;
  private final Path temporary;
  private final Configuration hadoop;
  private boolean overwrite;
  /** Files that an overwrite takes away: those that were there before the first task began. */
  private final List<Path> replaced = new ArrayList<>();
  /** Files of this job that can be seen, until all can. */
  private final List<Path> moved = new ArrayList<>();

  RecordWrite(StructType schema, Options options) {
    encoder = new RowEncoder(schema, options);
    gzip = options.gzip();
    if (options.paths().size() != 1) {
      throw new IllegalArgumentException("rows are written to one path, got " + String.join(", ", options.paths()));
    }
    folder = new Path(options.paths().get(0));
    temporary = new Path(folder, "_temporary-" + UUID.randomUUID());
    hadoop = options.hadoop();
  }

  @Override
  public WriteBuilder truncate() {
    overwrite = true;
    return this;
  }

  @Override
  public Write build() {
    return this;
  }

  @Override
  public BatchWrite toBatch() {
    return this;
  }

  @Override
  public DataWriterFactory createBatchWriterFactory(PhysicalWriteInfo info) {
    try {
      FileSystem system = Files.toWrite(folder, hadoop);
      if (system.exists(folder)) {
        if (!system.getFileStatus(folder).isDirectory()) {
          throw new IllegalArgumentException("rows are written to a folder, '" + folder + "' is a file");
        }
        if (overwrite) {
          for (FileStatus file : Files.data(folder.toString(), hadoop)) {
            replaced.add(file.getPath());
          }
        }
      }
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    return new PartWriter.Factory(encoder, gzip, temporary.toString(), new Settings(hadoop));
  }

  @Override
  public void commit(WriterCommitMessage[] messages) {
    try {
      FileSystem system = Files.toWrite(folder, hadoop);
      system.mkdirs(folder);
      for (WriterCommitMessage message : messages) {
        String name = ((PartWriter.Written) message).name;
        if (name != null) { // a task without rows writes no file
          Path seen = new Path(folder, name);
          moved.add(seen);
          if (!system.rename(new Path(temporary, name), seen)) {
            throw new IOException("cannot move " + name + " from " + temporary + " to " + folder);
          }
        }
      }
      // From here on the new rows are complete, and an abort must not take them back.
      moved.clear();
      for (Path old : replaced) {
        if (!system.delete(old, false) && system.exists(old)) {
          throw new IOException("the new rows are written, but " + old + " could not be deleted; delete it, or overwrite again");
        }
      }
      system.delete(temporary, true);
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
  }

  @Override
  public void abort(WriterCommitMessage[] messages) {
    try {
      FileSystem system = Files.toWrite(folder, hadoop);
      for (Path seen : moved) {
        system.delete(seen, false);
      }
      system.delete(temporary, true);
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
  }
}
