#!/usr/bin/env python3
"""Event files by TensorBoard's own code (PyPI: tensorboard).

  events.py make FOLDER     writes FOLDER/metrics.jsonl and FOLDER/events, what tensorboard_add() has to make of those lines
  events.py read FOLDER     prints what TensorBoard reads from the event files there, as JSON: {tag: [[step, value], ...]}
"""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2, types_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

LINES = [
    '{"step":1,"loss":5.7,"lr":0.001,"grad_norm":1.25,"tokens_per_s":null,"unix_ms":1764115200123}',
    '{"step":2,"loss":5.5,"lr":0.002,"grad_norm":0.75,"tokens_per_s":1234.5,"peak_bytes":12345678901,"experts":[{"load_min":0.5,"entropy":1.38},'
    '{"load_min":0.25,"entropy":null}],"unix_ms":1764115201456}',
    '{"step":3,"event":"skipped: loss or gradient not finite","samples":"17 <b>","skipped":1,"unix_ms":1764115202789}',
    '{"step":300,"valid_loss":5.25,"valid_bits_per_byte":2.5,"unix_ms":1764115300000}',
    '{"step":70000,"event":"\\u00e9t\\u00e9","unix_ms":1764115400000}',
    '{"step":70001,"list":[1,2],"nested":{"a":1},"word":"w","unix_ms":1764115400001}',
]


def event(line):
    o = json.loads(line)
    e = event_pb2.Event(wall_time=o["unix_ms"] / 1000, step=o["step"])
    number = lambda v: float("nan") if v is None else v
    scalar = lambda v: v is None or isinstance(v, (int, float))
    for key, v in o.items():
        if key in ("step", "unix_ms"):
            continue
        if scalar(v):
            e.summary.value.add(tag=key, simple_value=number(v))
        elif isinstance(v, list):
            for i, member in enumerate(v):
                for name, w in member.items() if isinstance(member, dict) else ():
                    e.summary.value.add(tag=f"{key}/{name}/{i:02d}", simple_value=number(w))
        elif key == "event":
            value = e.summary.value.add(tag=key)
            value.metadata.plugin_data.plugin_name = "text"
            value.metadata.data_class = summary_pb2.DATA_CLASS_TENSOR
            value.tensor.dtype = types_pb2.DT_STRING
            value.tensor.string_val.append(json.dumps(o, separators=(",", ":"), ensure_ascii=False).encode())
    return e if e.summary.value else None


def make(folder):
    seconds = 1764115000
    events = [event_pb2.Event(wall_time=seconds, file_version="brain.Event:2"),
              event_pb2.Event(wall_time=seconds, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))]
    events += [e for e in map(event, LINES) if e]
    with open(f"{folder}/events", "wb") as f:
        w = RecordWriter(f)
        for e in events:
            w.write(e.SerializeToString())
    with open(f"{folder}/metrics.jsonl", "w") as f:
        f.write("\n".join(LINES) + "\n")


def read(folder):
    acc = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    acc.Reload()
    tags = acc.Tags()
    out = {t: [[s.step, None if s.value != s.value else s.value] for s in acc.Scalars(t)] for t in tags["scalars"]}
    out.update({t: [[s.step, s.tensor_proto.string_val[0].decode()] for s in acc.Tensors(t)] for t in tags["tensors"]})
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    {"make": make, "read": read}[sys.argv[1]](sys.argv[2])
