#!/usr/bin/env bash
# Edge and device in two network namespaces joined by a veth pair, with a limited rate, loss, delay and a black-out of two seconds.
# Exits with 1 unless every task has an answer, the edge has given at least a third of them, the black-out cost no more than the line, both
# programs end with exit code 0, and the energy accounts of both sides are the same to the last digit.
# Needs root, `ip` and `tc`, and a built program: scripts/two_namespaces.sh target/release/enachi [LOSS% [TASKS]]
# Loss and delay come from the kernel's netem, or, where it has none, from scripts/lossy.py in the edge's namespace.
set -euo pipefail
program=$(realpath "${1:?path of the enachi program}")
loss=${2:-10}
tasks=${3:-150}
scripts=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
cleanup() {
    kill "${edge:-}" "${proxy:-}" 2>/dev/null || true
    ip netns del enachi-edge 2>/dev/null || true
    ip netns del enachi-device 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
ip netns add enachi-edge
ip netns add enachi-device
ip link add ve0 type veth peer name ve1
ip link set ve0 netns enachi-edge
ip link set ve1 netns enachi-device
ip -n enachi-edge addr add 10.77.0.1/24 dev ve0
ip -n enachi-device addr add 10.77.0.2/24 dev ve1
port=4433
for side in "enachi-edge ve0" "enachi-device ve1"; do
    set -- $side
    ip -n "$1" link set lo up
    ip -n "$1" link set "$2" up
    if ! ip netns exec "$1" tc qdisc add dev "$2" root netem delay 5ms loss "$loss%" rate 20mbit 2>/dev/null; then
        port=4434
        ip netns exec "$1" tc qdisc add dev "$2" root tbf rate 20mbit burst 20kb latency 50ms
    fi
done
"$program" pki init "$work/lab" --host 10.77.0.1 >/dev/null
"$program" pki admit "$work/lab" camera >/dev/null
ip netns exec enachi-edge "$program" serve --pki "$work/lab" --listen 10.77.0.1:4433 --queues "$work/queues.txt" \
    --records "$work/records.parquet" 2>"$work/edge.log" &
edge=$!
if [ "$port" = 4434 ]; then
    echo "no netem in this kernel: loss of $loss % and delay of 5 ms in each direction by scripts/lossy.py"
    ip netns exec enachi-edge python3 "$scripts/lossy.py" 10.77.0.1:4434 10.77.0.1:4433 --loss "$loss" --delay-ms 5 &
    proxy=$!
fi
sleep 1
ip netns exec enachi-device "$program" device camera --pki "$work/lab" --edge "10.77.0.1:$port" --tasks "$tasks" \
    --queue "$work/device.txt" 2>"$work/device.log" &
device=$!
sleep 5
echo "black-out of 2 s"
ip -n enachi-device link set ve1 down
sleep 2
ip -n enachi-device link set ve1 up
failures=0
fail() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}
wait "$device" || fail "the device ended with exit code $?"
sleep 0.5
kill -INT "$edge"
wait "$edge" || fail "the edge ended with exit code $?"
edge=
if [ -n "${proxy:-}" ]; then
    kill -INT "$proxy"
    wait "$proxy" || true
fi
summary=$(grep -h "tasks:" "$work/device.log" || true)
echo "$summary"
tail -n 1 "$work/edge.log"
at_edge=$(grep " camera$" "$work/queues.txt" || true)
at_device=$(grep " camera$" "$work/device.txt" || true)
echo "energy account (queue J, spent J, frames) at the edge: $at_edge"
if [[ "$summary" =~ ^([0-9]+)\ tasks:\ ([0-9]+)\ answered\ by\ the\ edge,\ ([0-9]+)\ by\ the\ device,\ ([0-9]+)\ not ]]; then
    [ "${BASH_REMATCH[1]}" = "$tasks" ] || fail "${BASH_REMATCH[1]} tasks ended, $tasks were begun"
    [ "${BASH_REMATCH[4]}" = 0 ] || fail "${BASH_REMATCH[4]} tasks without an answer"
    [ $((3 * BASH_REMATCH[2])) -ge "$tasks" ] || fail "the edge has answered ${BASH_REMATCH[2]} of $tasks tasks only"
else
    fail "no summary of the device: $(tail -n 3 "$work/device.log")"
fi
welcomes=$(grep -c "welcome" "$work/device.log" || true)
[ "$welcomes" -ge 1 ] && [ "$welcomes" -le 3 ] || fail "$welcomes connections for one black-out"
[ -n "$at_edge" ] && [ "$at_edge" = "$at_device" ] || fail "the edge's account is ${at_edge:-none}, the device's ${at_device:-none}"
grep -q panicked "$work"/*.log && fail "a panic: $(grep -h panicked "$work"/*.log)"
[ "$failures" = 0 ]
