package io.sagemakerpyspark.datasource;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;

/** Data files under a path. Names that begin with {@code _} or {@code .} are somebody's notes and never data. */
final class Files {
  private Files() {}

  /**
   * The files of a folder and its folders, of a pattern, or one file; by name.
   *
   * @throws IllegalArgumentException if nothing is there
   */
  static List<FileStatus> data(String path, Configuration hadoop) throws IOException {
    Path root = new Path(path);
    FileSystem system = root.getFileSystem(hadoop);
    // A name that is there may look like a pattern.
    FileStatus[] found = system.exists(root) ? new FileStatus[] {system.getFileStatus(root)} : system.globStatus(root);
    if (found == null || found.length == 0) {
      throw new IllegalArgumentException("path must exist, nothing is at '" + path + "'");
    }
    List<FileStatus> files = new ArrayList<>();
    for (FileStatus status : found) {
      collect(system, status, files);
    }
    return files;
  }

  private static void collect(FileSystem system, FileStatus status, List<FileStatus> files) throws IOException {
    if (!status.isDirectory()) {
      files.add(status);
      return;
    }
    FileStatus[] inside = system.listStatus(status.getPath());
    Arrays.sort(inside);
    for (FileStatus each : inside) {
      String name = each.getPath().getName();
      if (!name.startsWith("_") && !name.startsWith(".")) {
        collect(system, each, files);
      }
    }
  }

  /** Where to write. On a local disk Hadoop would add a checksum file to each file, and a training job reads all it finds. */
  static FileSystem toWrite(Path path, Configuration hadoop) throws IOException {
    FileSystem system = path.getFileSystem(hadoop);
    return system instanceof LocalFileSystem ? ((LocalFileSystem) system).getRawFileSystem() : system;
  }
}
