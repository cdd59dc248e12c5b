#!/usr/bin/env bash
# Make the keys of one agency and one broker's operator in a folder, for development.
set -euo pipefail
dir=${1:?usage: certs/make-dev-pki.sh DIR}
accord certs init --agency dev-police --name "Development Police" --kind police --state CA \
  --contact "developer" --node-address 127.0.0.1:7443 --dir "$dir/dev-police"
accord certs init --agency dev-exchange --name "Development Exchange" --kind operator --state CA \
  --contact "developer" --broker-address 127.0.0.1:7440 --dir "$dir/dev-exchange"
