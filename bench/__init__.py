"""Vision Transformers against CNNs: one harness for accuracy, compute, speed and memory.

The folders are the stages: catalog -> suite -> data, learn, measure -> execute -> store,
and for reading: store -> analyse -> report. README.md says what each holds.
"""

__version__ = "0.1.0"
