#!/usr/bin/env bash
# As interrupt.sh, with a disk on which a checkpoint takes half a minute.
DELAY=30 exec bash "$SOURCE_DIR/tests/cli/interrupt.sh"
