#!/bin/sh
# Generates the Python stubs and checks them; run from the repository's root by the Makefile.
#   protos.sh generate FOLDER   writes the stubs into FOLDER
#   protos.sh drift             fails when the checked-in stubs are not those of the protos
#   protos.sh breaking          fails when a change breaks clients built before it
set -eu

PATH="$PWD/.venv/bin:$PATH"

generate() {
    mkdir -p "$1"
    python -m grpc_tools.protoc -I protos \
        --python_out="$1" --grpc_python_out="$1" --mypy_out=quiet:"$1" --mypy_grpc_out=quiet:"$1" \
        protos/tuning/v1/*.proto
}

drift() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    generate "$folder"
    if ! diff --recursive --brief --exclude=__pycache__ "$folder/tuning" protos/gen/tuning; then
        echo "error: protos/gen is not what protos/ generates; run 'make proto' and commit" >&2
        exit 1
    fi
}

# What clients were built from: the last tag, else where this branch left main.
base() {
    git describe --tags --abbrev=0 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || true
}

breaking() {
    commit=$(base)
    if [ -z "$commit" ] || ! git cat-file -e "$commit:buf.yaml" 2>/dev/null; then
        echo "no earlier protos to compare with"
        return
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    git archive "$commit" buf.yaml protos | tar -x -C "$folder"
    buf breaking --against "$folder"
}

case "${1:-}" in
generate) generate "$2" ;;
drift) drift ;;
breaking) breaking ;;
*)
    sed -n '2,5p' "$0" >&2
    exit 2
    ;;
esac
