"""Put and get a file or a folder by fsspec, in an environment that has the file system.

``fsspec_transfer.py PROTOCOL OPTIONS ROOT PATH ROUNDS`` prints the median seconds of each.
"""

import json
import shutil
import statistics
import sys
import time
from pathlib import Path

import fsspec

protocol, options, root, path, rounds = sys.argv[1:6]
files = fsspec.filesystem(protocol, **json.loads(options))
many = Path(path).is_dir()


def timed(move, *given, **more):
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    move(*given, **more)
    return time.perf_counter() - started


small = Path("small")
small.write_bytes(b"small")
files.put_file(str(small), f"{root}/small")  # imports and connects

put, got = [], []
for number in range(int(rounds)):
    there, back = f"{root}/{number}", Path(f"back-{number}")
    if many:
        put.append(timed(files.put, path + "/", there + "/", recursive=True))
        got.append(timed(files.get, there + "/", str(back) + "/", recursive=True))
        shutil.rmtree(back)
    else:
        put.append(timed(files.put_file, path, there))
        got.append(timed(files.get_file, there, str(back)))
        back.unlink()
print(json.dumps({"put": statistics.median(put), "get": statistics.median(got)}))
