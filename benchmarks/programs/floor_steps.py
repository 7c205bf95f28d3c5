"""The floor of a step: what recording one small result costs in plain Python."""

import hashlib
import json
import sqlite3
import sys
import time
from pathlib import Path

count = int(sys.argv[1])
database = sqlite3.connect("floor.db", isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = NORMAL")
database.execute("CREATE TABLE results (name TEXT, digest TEXT)")

started = time.process_time()
for number in range(count):
    content = json.dumps({"answer": number}).encode()
    staged = Path(f"{number}.part")
    staged.write_bytes(content)
    staged.rename(f"{number}.json")
    digest = hashlib.sha256(content).hexdigest()
    database.execute("INSERT INTO results VALUES (?, ?)", (str(number), digest))
print(json.dumps({"seconds": [time.process_time() - started]}))
