# What CI runs.
check:
    bash .ci/run

# Plan, slots and codec benchmarks.
bench:
    cargo bench -p enachi-core -p enachi-sim -p enachi-model -p enachi-proto

# The default scenario.
run:
    cargo run --release -- simulate
