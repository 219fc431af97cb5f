package io.sagemakerpyspark.datasource;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import scala.Tuple2;
import scala.collection.Iterator;

/** What the user asks for, checked. */
final class Options {
  private static final List<String> NAMES = Arrays.asList("path", "paths", "labelColumnName", "featuresColumnName",
      "featuresType", "tensors", "splitBytes", "compression");
  private static final String SPLIT_BYTES = Long.toString(128L << 20);

  final String label;
  final String features;
  private final CaseInsensitiveStringMap given;

  Options(CaseInsensitiveStringMap given) {
    this.given = given;
    for (String name : given.asCaseSensitiveMap().keySet()) {
      // A name with a dot is a setting of the file system, as Spark's own sources have it.
      if (NAMES.stream().noneMatch(name::equalsIgnoreCase) && !name.contains(".")) {
        throw new IllegalArgumentException("unknown option '" + name + "'; there are " + String.join(", ", NAMES));
      }
    }
    label = given.getOrDefault("labelColumnName", "label");
    features = given.getOrDefault("featuresColumnName", "features");
  }

  /** Of reading, where the user gives none. */
  StructType schema() {
    StructType made = new StructType().add(label, DataTypes.DoubleType);
    String kind = given.getOrDefault("featuresType", "vector").toLowerCase(Locale.ROOT);
    switch (kind) {
      case "vector":
        made = made.add(features, SQLDataTypes.VectorType());
        break;
      case "matrix":
        made = made.add(features, SQLDataTypes.MatrixType());
        break;
      case "array":
        made = made.add(features, Columns.DOUBLES);
        break;
      default:
        throw new IllegalArgumentException("option featuresType must be vector, matrix or array, got '" + kind + "'");
    }
    return given.getBoolean("tensors", false) ? Columns.addTensors(made) : made;
  }

  /** Bytes of a piece of a file, 0 for whole files. */
  long splitBytes() {
    String text = given.getOrDefault("splitBytes", SPLIT_BYTES);
    try {
      long bytes = Long.parseLong(text.trim());
      if (bytes >= 0) {
        return bytes;
      }
    } catch (NumberFormatException sayBelow) {
      // Both are said in the same words.
    }
    throw new IllegalArgumentException("option splitBytes must be a number of bytes, or 0 to read each file in one task, got '"
        + text + "'");
  }

  boolean gzip() {
    String compression = given.getOrDefault("compression", "none").toLowerCase(Locale.ROOT);
    if (!compression.equals("none") && !compression.equals("gzip")) {
      throw new IllegalArgumentException("option compression must be none or gzip, got '" + compression + "'");
    }
    return compression.equals("gzip");
  }

  /** Whether the user named the label column, so that it must be there. */
  boolean namesLabel() {
    return given.containsKey("labelColumnName");
  }

  List<String> paths() {
    try {
      if (given.containsKey("paths")) {
        return Arrays.asList(new ObjectMapper().readValue(given.get("paths"), String[].class));
      }
    } catch (JsonProcessingException problem) {
      throw new IllegalArgumentException("option paths must be a JSON list of texts, got " + given.get("paths"), problem);
    }
    if (given.get("path") == null || given.get("path").isEmpty()) {
      throw new IllegalArgumentException("format sagemaker needs a path: load(path) or save(path)");
    }
    return Arrays.asList(given.get("path"));
  }

  /** Settings of the file systems: Hadoop's of this Spark, over them those of the session, over them the options. */
  Configuration hadoop() {
    SparkSession spark = SparkSession.active();
    Configuration made = new Configuration(spark.sparkContext().hadoopConfiguration());
    Iterator<Tuple2<String, String>> settings = spark.conf().getAll().iterator();
    while (settings.hasNext()) {
      Tuple2<String, String> setting = settings.next();
      if (!setting._1().startsWith("spark.")) {
        made.set(setting._1(), setting._2());
      }
    }
    given.asCaseSensitiveMap().forEach((name, value) -> {
      if (name.contains(".")) {
        made.set(name, value);
      }
    });
    return made;
  }
}
