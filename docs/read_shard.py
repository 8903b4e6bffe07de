"""Shows a shard with h5py alone: python docs/read_shard.py SHARD.h5   (data/FORMAT.md says what the names mean)"""
import sys

import h5py

with h5py.File(sys.argv[1]) as shard:
    print(dict(shard.attrs))
    start, ids = shard["doc_start"][:], shard["ids"][:]
    print(f"{len(start) - 1} documents, {len(ids)} tokens; the first: {ids[start[0]:start[1]].tolist()}")
    if "topk_ids" in shard:
        row = shard["valid"][:].argmax()
        print(f"row {row} is about token {shard['target_id'][row]}: {shard['topk_ids'][row].tolist()} {shard['topk_logprob'][row].tolist()}")
