package io.sagemakerpyspark.datasource;

import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import org.apache.hadoop.conf.Configuration;

/** Hadoop's settings on their way to the tasks. */
final class Settings implements Serializable {
  private static final long serialVersionUID = 1L;

  private transient Configuration hadoop;

  Settings(Configuration hadoop) {
    this.hadoop = hadoop;
  }

  Configuration hadoop() {
    return hadoop;
  }

  private void writeObject(ObjectOutputStream out) throws IOException {
    hadoop.write(out);
  }

  private void readObject(ObjectInputStream in) throws IOException {
    hadoop = new Configuration(false);
    hadoop.readFields(in);
  }
}
