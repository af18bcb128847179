# Snakemake runs this in the environment it made, from the folder that it was started in.
set -euo pipefail
python -m pip install --no-deps --editable .
