"""Checks that transformers does not load a folder: neither by its config.json nor by a class that is named.

usage: check_refused.py MODEL_DIR

Exit status: 0 each way fails with a message, 1 one of them loads (with random weights for what it does not find).
"""
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import AutoModel, AutoModelForCausalLM, LlamaForCausalLM
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()
loaded = 0
for reader in (AutoModel, AutoModelForCausalLM, LlamaForCausalLM):
    try:
        reader.from_pretrained(sys.argv[1])
        print(f"{reader.__name__} loads {sys.argv[1]}")
        loaded = 1
    except (ValueError, RuntimeError) as error:
        print(f"{reader.__name__}: {str(error).splitlines()[0]}")
sys.exit(loaded)
