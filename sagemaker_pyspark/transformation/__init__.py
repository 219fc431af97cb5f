"""Import paths of 1.4.5; the classes live in ``sagemaker_pyspark.codecs``."""
