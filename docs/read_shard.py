import sys, h5py, numpy as np
f = h5py.File(sys.argv[1], "r")
print({k: v.decode() if isinstance(v, bytes) else v.item() for k, v in f.attrs.items()})
start = f["doc_start"][:]
for a, b, topic in zip(start[:3], start[1:], f["doc/topic"][:3]):
    print(f"{topic.decode()!r}: {f['ids'][a:b]}")
    if "topk_ids" in f:
        row = a + np.flatnonzero(f["valid"][a:b])
        assert np.array_equal(f["target_id"][:][row], f["ids"][:][row + 1]), "rows are not about the next token"
        print("mass:", np.exp(f["topk_logprob"][a:b][row - a]).sum(1) + f["rest_mass"][a:b][row - a])
